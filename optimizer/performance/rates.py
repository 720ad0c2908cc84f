"""How fast one card under one engine works: kernel facts of the card x factors of the fit.

Nothing here exceeds a physical peak: efficiencies saturate at one after the fitted factors are applied.

What one GPU of a replica has to do in a step: bytes, operations and calls, from the model and parallelism alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from optimizer.catalog.types import Gpu, Model
from optimizer.performance.architecture import is_latent, is_sparse, kv_bytes, moe_layers
from optimizer.performance.formats import WEIGHT_ONLY, compute_peak, kernel_format, stored_bits
from optimizer.performance.memory import WeightParts, weight_parts
from optimizer.performance.parameters import AllReduce, DecodeAttention, Gemm, Kernels, Parameters
from optimizer.performance.types import ReplicaSpec
from optimizer.vocabulary import Link

BOUND_TOKENS = 1024.0
"""From so many tokens on (of a mixture: per expert) products at 16 bit are bound by arithmetic on every card."""


TURNING = 1.02
"""Least arithmetic of a weight-only product against 16 bit. Per weight and tile of 128 tokens the matrix units do 256
operations; turning the weight takes some four on units about sixteen times slower, a quarter of that where nothing
overlaps. What was measured (int4, fp8 on A100) takes 20 to 40 %; hiding all but a fiftieth is the limit."""


@dataclass(frozen=True, slots=True)
class Host:
    """What an engine's own work beside the kernels takes, and what slows the kernels down under it."""

    slowdown: float
    layer_us: float
    step_ms: float
    sequence_us: float
    prompt_token_us: float
    sampling_us: float
    latent_layer_us: float  # of latent attention


@dataclass(frozen=True, slots=True)
class LinkRates:
    """How fast the GPUs of a replica talk to each other."""

    allreduce: AllReduce | None  # None: no tensor parallelism
    hop_s: float  # to the next pipeline stage
    hop_bytes_s: float


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast one card under one engine works."""

    bandwidth: float
    dense: Gemm
    head: Gemm  # the output head, 16 bit whatever the format
    dense_peak: float
    peak16: float
    expert: Gemm
    expert_peak: float
    decode: DecodeAttention
    prefill_rate: float
    prefill_overhead_s: float
    latent_peak: float  # of decoding with latent attention
    host: Host


def measured_as(gpu: Gpu) -> str:
    """The card whose figures a card takes: of one of the user's own (``hardware.custom``) its sibling's."""
    return (gpu.sibling if gpu.custom else None) or gpu.id


def scopes_of(spec: ReplicaSpec, fmt: str, params: Parameters) -> tuple[str, ...]:
    """Scopes of a specification, from specific to general. ``fmt``: of products, the format of their kernels; empty for
    what has nothing to do with how weights are stored (attention, the host)."""
    engine, gpu, card = spec.engine.profile, spec.gpu, measured_as(spec.gpu)
    generation = params.generation(engine, spec.engine_version)
    return (
        f"engine:{engine}@{generation}",
        f"engine:{engine}@{generation}/{gpu.arch}",
        *((f"engine:{engine}/{fmt}",) if fmt else ()),
        f"engine:{engine}",
        f"gpu:{card}/{fmt}",
        f"gpu:{card}",
        *((f"arch:{gpu.arch}/{fmt}",) if fmt else ()),
        f"arch:{gpu.arch}",
        f"vendor:{gpu.vendor}",
        *((f"format:{fmt}",) if fmt else ()),
    )


def rates_of(spec: ReplicaSpec, work: Work, params: Parameters) -> Rates:
    """Kernel facts of the card times the fitted factors, clipped at the physical peaks.

    A weight-only kernel takes from 16 bit what it computes in, and never does it faster (``weight_only``).
    """
    gpu, scopes = spec.gpu, scopes_of(spec, "", params)
    kernels, _own = params.kernels_of(measured_as(gpu), gpu.arch)
    decode = kernels.decode.get("fp8" if spec.kv_cache == "fp8" else "16bit") or kernels.decode["16bit"]
    peak16 = compute_peak(gpu, "bf16")
    bandwidth = gpu.bandwidth_gb_s * 1e9

    def product(kind: str, fact: Callable[[str], Gemm], kernel: str) -> Gemm:
        own = _scaled(fact(kernel), kind, scopes_of(spec, kernel, params), params)
        if kernel not in WEIGHT_ONLY:
            return own
        wide = _scaled(fact("bf16"), kind, scopes_of(spec, "bf16", params), params)
        return weight_only(own, wide, stored_bits(kernel), peak16 / bandwidth)

    def expert(kernel: str) -> Gemm:
        return expert_fact(kernels, spec.engine.profile, kernel)

    dense = product("gemm", lambda kernel: _pick(kernels.gemm, kernel), work.dense_format)
    wide = _scaled(kernels.gemm["bf16"], "gemm", scopes_of(spec, "bf16", params), params)
    if work.dense_format in WEIGHT_ONLY:  # nothing but the bytes read may speak for it
        dense = replace(dense, overhead_s=max(dense.overhead_s, wide.overhead_s))
    return Rates(
        bandwidth=bandwidth,
        dense=dense,
        head=wide,
        dense_peak=compute_peak(gpu, work.dense_format),
        peak16=peak16,
        expert=product("moe", expert, work.expert_format),
        expert_peak=compute_peak(gpu, work.expert_format),
        decode=DecodeAttention(
            saturated(decode.bandwidth_fraction * params.product("kv_bandwidth_factor", *scopes)),
            decode.overhead_s * params.product("kv_overhead_factor", *scopes),
            decode.sharpness,
        ),
        prefill_rate=peak16 * saturated(kernels.prefill.mfu * params.product("prefill_attention_factor", *scopes)),
        prefill_overhead_s=kernels.prefill.overhead_s,
        latent_peak=latent_peak(spec, peak16),
        host=_host(spec, scopes, params),
    )


def latent_peak(spec: ReplicaSpec, peak16: float) -> float:
    """Peak of the products of latent attention while decoding: on Blackwell an 8-bit cache is multiplied at 8 bit
    (TensorRT-LLM's generation kernels, which vLLM and SGLang take from FlashInfer); on Hopper FlashMLA turns it to 16.
    """
    narrow = spec.kv_cache == "fp8" and spec.gpu.arch in ("blackwell", "blackwell_ultra")
    return compute_peak(spec.gpu, "fp8") if narrow else peak16


def weight_only(own: Gemm, wide: Gemm, bits: float, ridge: float) -> Gemm:
    """Products of weights that are stored narrow and multiplied at 16 bit: ``own`` as far as ``wide`` (16 bit) allows.

    Where 16 bit is bound by arithmetic (``BOUND_TOKENS``), turning the weights, done again for every tile of tokens,
    takes at least what reading less of them saves. ``ridge``: flop per byte of the card, 16 bit. Per weight, in units
    of what the card computes in one flop: reading takes bits / 8 x ridge / mbu, a token 2 / mfu.
    """
    s, t = own.sharpness, wide.sharpness
    read, wide_read = bits / 8.0 * ridge / own.mbu, 2.0 * ridge / wide.mbu
    token, wide_token = 2.0 / own.mfu, 2.0 / wide.mfu
    whole = (wide_read**t + (BOUND_TOKENS * wide_token) ** t) ** (1.0 / t)
    least = max(whole**s - read**s, 0.0) ** (1.0 / s) / BOUND_TOKENS
    return Gemm(own.mbu, 2.0 / max(token, TURNING * max(wide_token, least)), own.overhead_s, s)


def _host(spec: ReplicaSpec, scopes: tuple[str, ...], params: Parameters) -> Host:
    engine = f"engine:{spec.engine.profile}"
    return Host(
        slowdown=params.product("slowdown", *scopes),
        layer_us=params.product("layer_us", engine, *scopes[:1], f"arch:{spec.gpu.arch}"),
        step_ms=params.first("step_ms", *scopes[:1], engine),
        sequence_us=params.first("sequence_us", *scopes[:1], engine),
        prompt_token_us=params.first("prompt_token_us", *scopes[:1], engine),
        sampling_us=params.first("sampling_us", engine),
        latent_layer_us=params.first("latent_layer_us", engine),
    )


def link_rates_of(spec: ReplicaSpec, params: Parameters) -> LinkRates:
    """All-reduces and pipeline hops of a replica."""
    kernels, _own = params.kernels_of(measured_as(spec.gpu), spec.gpu.arch)
    return LinkRates(
        allreduce=link_facts(spec, kernels, params),
        hop_s=params.first("pipeline_hop_us") * 1e-6,
        hop_bytes_s=link_bandwidth(spec),
    )


def link_bandwidth(spec: ReplicaSpec) -> float:
    """Bytes per second one way between two GPUs of the replica, nominal."""
    gpu = spec.gpu
    if spec.link in (Link.NVSWITCH, Link.XGMI, Link.HCCS, Link.NVLINK_PAIR) and gpu.link_gb_s > 0:
        return gpu.link_gb_s * 0.5e9
    return {3: 16e9, 4: 32e9, 5: 64e9, 6: 128e9}.get(gpu.pcie_gen, 32e9) * gpu.pcie_lanes / 16


def link_facts(spec: ReplicaSpec, kernels: Kernels, params: Parameters) -> AllReduce | None:
    """One all-reduce over the tensor-parallel group.

    Over a direct fabric the card's own kernel figures (or its reference card's, scaled by link bandwidth). Over PCIe
    its own or those of the PCIe reference card, scaled by the bus and never faster than it; hosts differ tenfold from
    four GPUs on, so a plan, whose host nobody knows, gets the slowest one measured, unless a calibration tells of the
    user's own. Between GeForce cards, which drivers refuse peer to peer, every copy goes through host memory. (A fabric
    may pass its links: switches reduce.)
    """
    tp = spec.tensor_parallel
    if tp == 1:
        return None
    direct = spec.link not in (Link.PCIE, Link.UNVERIFIED) and spec.gpu.link_gb_s > 0
    if direct:
        source, nominal = kernels, params.first("link_nominal_gb_s", f"gpu:{kernels.gpu}") * 1e9
        if nominal < 100e9:  # the reference card has no fabric of its own
            source = params.kernels[params.references["nvlink"]]
            nominal = params.first("link_nominal_gb_s", f"gpu:{source.gpu}") * 1e9
    else:
        source, nominal = kernels, params.first("link_nominal_gb_s", f"gpu:{kernels.gpu}") * 1e9
        if nominal >= 100e9:  # the reference card was measured on a fabric
            source = params.kernels[params.references["pcie"]]
            nominal = params.first("link_nominal_gb_s", f"gpu:{source.gpu}") * 1e9
    size = min((n for n in source.allreduce if n >= tp), default=max(source.allreduce))
    fact = source.allreduce[size]
    kinds = ["link:direct" if direct else "link:pcie", f"vendor:{spec.gpu.vendor}"]
    kinds += ["link:pcie/geforce"] if not direct and _is_geforce(spec.gpu) else []
    engine = f"engine:{spec.engine.profile}"
    release = f"{engine}@{params.generation(spec.engine.profile, spec.engine_version)}"
    extra = params.first("allreduce_extra_us", release, engine, kinds[0]) * 1e-6
    share = fact.bus_bytes_s / nominal * params.product("allreduce_bandwidth_factor", *kinds)
    if not direct:
        unknown = 1.0 if spec.known_host else params.first("slow_host_bus_share", f"gpus:{size}")
        share = min(saturated(share), params.values.get(("slow_host_bus_share", f"own/gpus:{size}"), unknown))
    return AllReduce(
        fact.latency_s * params.product("allreduce_latency_factor", *kinds) + extra,
        link_bandwidth(spec) * share,
        fact.sharpness,
    )


def _is_geforce(gpu: Gpu) -> bool:
    """NVIDIA cards whose drivers are not licensed for data centres: those have no peer to peer either."""
    return gpu.vendor == "nvidia" and not gpu.datacenter_licensed


def _pick(facts: Mapping[str, Gemm], fmt: str) -> Gemm:
    """Kernel facts of a format, or of the nearest one that was measured on the card."""
    near = {
        "mxfp4_a8": ("mxfp4_a8", "nvfp4", "fp8"), "mxfp4_a16": ("mxfp4_a16", "int4"), "nvfp4": ("nvfp4", "fp8"),
        "nvfp4_a16": ("mxfp4_a16", "int4"), "int8": ("int8", "fp8"), "int8_a16": ("int4",), "int4": ("int4",),
        "fp8": ("fp8",), "fp8_block": ("fp8",), "fp8_grouped": ("fp8_grouped", "fp8_block", "fp8"),
        "fp8_a16": ("int4",), "bf16": (),
    }[fmt]  # fmt: skip
    return next((facts[name] for name in near if name in facts), facts["bf16"])


def expert_fact(kernels: Kernels, engine: str, fmt: str) -> Gemm:
    """The engine's own expert kernel of a format (of the other kind of fp8 scales where only that was measured), else
    what the engines have in common: engines differ threefold here, unlike in dense products.
    """
    kinds = {"fp8": ("fp8", "fp8_block"), "fp8_block": ("fp8_block", "fp8")}.get(fmt, (fmt,))
    own = next((kernels.moe[engine, kind] for kind in kinds if (engine, kind) in kernels.moe), None)
    return own or _pick({kind: fact for (name, kind), fact in kernels.moe.items() if not name}, fmt)


def _scaled(fact: Gemm, kind: str, scopes: tuple[str, ...], params: Parameters) -> Gemm:
    return Gemm(
        saturated(fact.mbu * params.product(f"{kind}_mbu_factor", *scopes)),
        saturated(fact.mfu * params.product(f"{kind}_mfu_factor", *scopes)),
        fact.overhead_s * params.product(f"{kind}_overhead_factor", *scopes),
        max(fact.sharpness * params.product(f"{kind}_sharpness_factor", *scopes), 1.0),
    )


def saturated(efficiency: float) -> float:
    """An efficiency that never passes one: bends smoothly from about 0.9 on, so that a fit can follow it."""
    return min(efficiency / math.pow(1.0 + math.pow(efficiency, 12.0), 1.0 / 12.0), 1.0)


SPARSE_ATTENTION_TOKENS = 2048
"""Keys each query attends to under DeepSeek sparse attention (V3.2 technical report: top-k 2048)."""

INDEX_FLOPS_PER_PAIR = 2.0 * 32 * 128
"""Scoring one key for one query by the sparse-attention indexer: 32 heads of 128, on every rank (same report)."""

LARGE = 1e30


@dataclass(frozen=True, slots=True)
class Work:
    """What one GPU does in a step, over the whole depth of the model (1/tp of it where it is sharded)."""

    dense_bytes: float
    expert_bytes: float
    dense_flops: float  # per token
    expert_flops: float  # per token
    experts: int
    experts_per_token: int
    head_bytes: float
    layers: int
    moe_layers: int
    gemms: int
    kv_bytes: float  # per token, full-attention layers, this GPU
    kv_flops: float  # per token of KV and sequence (latent attention computes in the compressed space)
    kv_window_bytes: float
    window: float
    state_bytes: float  # per sequence: states read and written; beside sparse attention the windows of sliding layers
    attention_layers: int
    pair_flops: float
    pair_window_flops: float
    hidden: int
    dense_format: str
    expert_format: str


def part_formats(spec: ReplicaSpec, stored: WeightParts) -> tuple[str, str]:
    """Kernels of the always-used weights and of the routed experts, by what memory stores of each."""
    model, kernel = spec.model, kernel_format(spec.gpu, spec.weight_quant)
    dense = "bf16" if stored.rest_is_wide else kernel
    return dense, "fp8_block" if kernel == "fp8" and model.is_moe and has_scale_blocks(model) else kernel


def has_scale_blocks(model: Model) -> bool:
    """Whether the published fp8 weights carry a scale per block: models trained in fp8 and those the catalog marks."""
    return model.native_dtype == "fp8" or bool(model.fp8_block_legal_tp)


def work_of(spec: ReplicaSpec) -> Work:
    """Bytes, operations and calls of one step on one GPU of the replica."""
    model, tp = spec.model, spec.tensor_parallel
    stored = weight_parts(model, spec.weight_quant)
    dense_format, routed_format = part_formats(spec, stored)
    body = model.total_params - model.embed_params - model.head_params - model.routed_expert_params
    head = model.head_params or model.embed_params  # tied: the embedding is the head
    active_routed = model.routed_expert_params * model.experts_per_token / max(model.num_experts, 1)
    # attention ranks share all experts and work off each other's tokens: bytes fall, operations do not
    shard = spec.expert_gpus
    kv, sparse, latent = kv_bytes(model, tp, spec.kv_cache), is_sparse(model), is_latent(model)
    heads = model.num_attention_heads / tp
    width = model.nope_head_dim + model.rope_head_dim + model.v_head_dim if latent else 2 * model.head_dim
    layers_full = model.full_attention_layers
    pair = 2.0 * heads * width * layers_full
    latent_width = 2 * model.kv_lora_rank + model.rope_head_dim
    return Work(
        dense_bytes=stored.rest / tp + stored.everywhere,
        expert_bytes=stored.experts / shard,
        dense_flops=2.0 * body / tp,
        expert_flops=2.0 * active_routed / tp,
        experts=model.num_experts,
        experts_per_token=model.experts_per_token,
        head_bytes=2.0 * head / tp,
        layers=model.num_layers,
        moe_layers=moe_layers(model),
        gemms=gemm_calls(model),
        kv_bytes=kv.index if sparse else kv.full,
        kv_flops=2.0 * heads * latent_width * layers_full if latent and not sparse else 0.0,
        kv_window_bytes=kv.full if sparse else kv.sliding,
        window=float(SPARSE_ATTENTION_TOKENS if sparse else model.sliding_window or LARGE),
        state_bytes=2.0 * model.linear_state_bytes / tp + (kv.sliding * model.sliding_window if sparse else 0.0),
        attention_layers=model.num_layers,
        pair_flops=INDEX_FLOPS_PER_PAIR * model.num_layers if sparse else pair,
        pair_window_flops=pair if sparse else 2.0 * heads * width * model.sliding_layers,
        hidden=model.hidden_size,
        dense_format=dense_format,
        expert_format=routed_format,
    )


def gemm_calls(model: Model) -> int:
    """Matrix products of a step besides the fused experts.

    Attention takes two (query-key-value, output); latent attention five (two down, one up, two absorbed, output);
    linear attention four (two in, gate, output). Dense feed-forward takes two, a mixture its router and two where
    experts are shared.
    """
    attention = 5 if is_latent(model) else 2
    dense_layers = model.num_layers - moe_layers(model)
    mixture = 3 if model.shared_experts else 1
    full_layers = model.num_layers - model.linear_layers
    return attention * full_layers + 4 * model.linear_layers + 2 * dense_layers + mixture * moe_layers(model)
