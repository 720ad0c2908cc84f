"""How fast one card under one engine works: kernel facts of the card x factors of the fit.

Nothing here exceeds a physical peak: efficiencies saturate at one after the fitted factors are applied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from optimizer.catalog.types import Gpu
from optimizer.performance.parameters import AllReduce, DecodeAttention, Gemm, Kernels, Parameters
from optimizer.performance.types import ReplicaSpec
from optimizer.performance.work import Work
from optimizer.vocabulary import Link


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
    dense_peak: float
    peak16: float
    expert: Gemm
    expert_peak: float
    decode: DecodeAttention
    prefill_rate: float
    prefill_overhead_s: float
    host: Host


def compute_peak(gpu: Gpu, fmt: str) -> float:
    """Dense peak in flop/s at which a weight format computes on a card; weight-only formats compute at 16 bit."""
    peak16 = gpu.bf16_tflops or 0.0
    capability = gpu.compute_capability or 9.0
    peak = peak16
    if fmt in ("fp8", "fp8_block") and gpu.supports_fp8:
        peak = gpu.fp8_tflops or peak16
    elif fmt == "int8" and capability < 10.0:
        peak = gpu.int8_tops or peak16
    elif fmt == "nvfp4" and gpu.supports_fp4:
        peak = gpu.fp4_tflops or peak16
    elif fmt == "mxfp4_a8":
        peak = gpu.fp8_tflops or peak16
    return max(peak, 1e-3) * 1e12


def scopes_of(spec: ReplicaSpec, fmt: str, params: Parameters) -> tuple[str, ...]:
    """Scopes of a specification, from specific to general."""
    engine, gpu = spec.engine.profile, spec.gpu
    generation = params.generation(engine, spec.engine_version)
    return (
        f"engine:{engine}@{generation}",
        f"engine:{engine}@{generation}/{gpu.arch}",
        f"engine:{engine}/{fmt}",
        f"engine:{engine}",
        f"gpu:{gpu.id}/{fmt}",
        f"gpu:{gpu.id}",
        f"arch:{gpu.arch}/{fmt}",
        f"arch:{gpu.arch}",
        f"vendor:{gpu.vendor}",
        f"format:{fmt}",
    )


def rates_of(spec: ReplicaSpec, work: Work, params: Parameters) -> Rates:
    """Kernel facts of the card times the fitted factors, clipped at the physical peaks."""
    gpu = spec.gpu
    kernels, _own = params.kernels_of(gpu.id, gpu.arch)
    dense_scopes = scopes_of(spec, work.dense_format, params)
    expert_scopes = scopes_of(spec, work.expert_format, params)
    decode = kernels.decode.get("fp8" if spec.kv_cache == "fp8" else "16bit") or kernels.decode["16bit"]
    peak16 = compute_peak(gpu, "bf16")
    return Rates(
        bandwidth=gpu.bandwidth_gb_s * 1e9,
        dense=_scaled(_pick(kernels.gemm, work.dense_format), "gemm", dense_scopes, params),
        dense_peak=compute_peak(gpu, work.dense_format),
        peak16=peak16,
        expert=_scaled(expert_fact(kernels, spec.engine.profile, work.expert_format), "moe", expert_scopes, params),
        expert_peak=compute_peak(gpu, work.expert_format),
        decode=DecodeAttention(
            saturated(decode.bandwidth_fraction * params.product("kv_bandwidth_factor", *dense_scopes)),
            decode.overhead_s * params.product("kv_overhead_factor", *dense_scopes),
            decode.sharpness,
        ),
        prefill_rate=peak16
        * saturated(kernels.prefill.mfu * params.product("prefill_attention_factor", *dense_scopes)),
        prefill_overhead_s=kernels.prefill.overhead_s,
        host=_host(spec, expert_scopes, params),
    )


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
    kernels, _own = params.kernels_of(spec.gpu.id, spec.gpu.arch)
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
        "int8": ("int8", "fp8"), "int4": ("int4",), "fp8": ("fp8",), "fp8_block": ("fp8",), "bf16": (),
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
