"""From a replica specification to the coefficients of its step time.

Two halves meet here: what a step has to do (``work``: bytes, operations, calls of one GPU over the whole depth) and how
fast the card and engine do it (``Rates``: kernel facts x fitted factors). Nothing here exceeds a physical peak:
efficiencies saturate at one after the fitted factors are applied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.catalog.types import Attention, Gpu
from optimizer.performance.parameters import AllReduce, DecodeAttention, Gemm, Kernels, Parameters
from optimizer.performance.step import StepCoefficients
from optimizer.performance.types import ReplicaSpec
from optimizer.performance.work import Work, work_of
from optimizer.vocabulary import Link


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
    allreduce: AllReduce | None
    hop_s: float
    hop_bytes_s: float


def compute_peak(gpu: Gpu, fmt: str) -> float:
    """Dense peak in flop/s at which a weight format computes on a card; weight-only formats compute at 16 bit."""
    peak16 = gpu.bf16_tflops or 0.0
    capability = gpu.compute_capability or 9.0
    peak = peak16
    if fmt == "fp8" and gpu.supports_fp8:
        peak = gpu.fp8_tflops or peak16
    elif fmt == "int8" and capability < 10.0:
        peak = gpu.int8_tops or peak16
    elif fmt == "nvfp4" and gpu.supports_fp4:
        peak = gpu.fp4_tflops or peak16
    elif fmt == "mxfp4_a8":
        peak = gpu.fp8_tflops or peak16
    return max(peak, 1e-3) * 1e12


def coefficients(specs: Sequence[ReplicaSpec], params: Parameters) -> StepCoefficients:
    """Coefficients of the step time, one entry per specification."""
    rates: dict[tuple[object, ...], Rates] = {}
    rows = []
    for spec in specs:
        work = work_of(spec)
        key = (
            spec.gpu.id, spec.engine.profile, spec.engine_version, spec.kv_cache, spec.link,
            spec.tensor_parallel, work.dense_format, work.expert_format,
        )  # fmt: skip
        if key not in rates:
            rates[key] = rates_of(spec, work, params)
        rows.append(_assemble(spec, work, rates[key], params))
    return StepCoefficients(*np.array(rows, dtype=np.float64).reshape(len(rows), -1).T)


def scopes_of(spec: ReplicaSpec, fmt: str, params: Parameters) -> tuple[str, ...]:
    """Scopes of a specification, from specific to general."""
    engine, gpu = spec.engine.profile, spec.gpu
    generation = params.generation(engine, spec.engine_version)
    return (
        f"engine:{engine}@{generation}",
        f"engine:{engine}@{generation}/{gpu.arch}",
        f"engine:{engine}/{fmt}",
        f"engine:{engine}",
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
        expert=_scaled(_pick(kernels.moe, work.expert_format), "moe", expert_scopes, params),
        expert_peak=compute_peak(gpu, work.expert_format),
        decode=DecodeAttention(
            saturated(decode.bandwidth_fraction * params.product("kv_bandwidth_factor", *dense_scopes)),
            decode.overhead_s * params.product("kv_overhead_factor", *dense_scopes),
            decode.sharpness,
        ),
        prefill_rate=peak16
        * saturated(kernels.prefill.mfu * params.product("prefill_attention_factor", *dense_scopes)),
        prefill_overhead_s=kernels.prefill.overhead_s,
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

    Over a direct fabric the card's own kernel figures (or its reference card's, scaled by link bandwidth); over PCIe
    its own or those of the PCIe reference card, scaled by the bus: host topology moves these tenfold (grade C).
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
    kind = "link:direct" if direct else "link:pcie"
    vendor = f"vendor:{spec.gpu.vendor}"
    engine = f"engine:{spec.engine.profile}"
    release = f"{engine}@{params.generation(spec.engine.profile, spec.engine_version)}"
    extra = params.first("allreduce_extra_us", release, engine, kind) * 1e-6
    return AllReduce(
        fact.latency_s * params.product("allreduce_latency_factor", kind, vendor) + extra,
        fact.bus_bytes_s * link_bandwidth(spec) / nominal * params.product("allreduce_bandwidth_factor", kind, vendor),
        fact.sharpness,
    )


def _assemble(spec: ReplicaSpec, work: Work, rates: Rates, params: Parameters) -> tuple[float, ...]:
    scopes = scopes_of(spec, work.expert_format, params)
    slow = params.product("slowdown", *scopes)
    pad = params.first("expert_tile_tokens")
    ranks = max(spec.expert_parallel, 1)
    miss = (1.0 - work.experts_per_token / work.experts) ** ranks if work.experts else 1.0
    bandwidth = rates.bandwidth
    dense_rate = rates.dense_peak * rates.dense.mfu
    expert_rate = rates.expert_peak * rates.expert.mfu
    per_token_of_experts = work.expert_flops / ranks / max(work.experts_per_token, 1) * max(work.experts, 1)
    reads = bandwidth * rates.decode.bandwidth_fraction
    calls = 2.0 * work.layers
    wire = 2.0 * (spec.tensor_parallel - 1) / spec.tensor_parallel * 2.0 * work.hidden
    reduce = rates.allreduce
    hops = spec.pipeline_parallel if spec.pipeline_parallel > 1 else 0
    engine = f"engine:{spec.engine.profile}"
    layer_us = params.product("layer_us", f"engine:{spec.engine.profile}", *scopes[:1], f"arch:{spec.gpu.arch}")
    fixed = (
        work.layers * layer_us * 1e-6 + work.gemms * rates.dense.overhead_s + work.moe_layers * rates.expert.overhead_s
    )
    if spec.model.attention is Attention.MLA:
        fixed += work.layers * params.first("latent_layer_us", engine) * 1e-6
    if spec.model.index_bytes_per_token:
        fixed += work.layers * params.first("sparse_index_us") * 1e-6
    passes = params.first("elementwise_whole_passes") + params.first("elementwise_passes") / spec.tensor_parallel
    sent = params.first("dispatch_passes") * work.experts_per_token
    return (
        float(spec.pipeline_parallel),
        slow * work.dense_bytes / (bandwidth * rates.dense.mbu),
        slow * work.expert_bytes / (bandwidth * rates.expert.mbu),
        miss,
        slow * work.dense_flops / dense_rate,
        slow * work.expert_flops / expert_rate,
        slow * pad * per_token_of_experts / expert_rate if work.experts else 0.0,
        rates.dense.sharpness,
        slow * fixed,
        slow * (work.layers * passes + work.moe_layers * sent) * 2.0 * work.hidden / bandwidth,
        slow * work.head_bytes / (bandwidth * rates.dense.mbu),
        slow * work.head_bytes / (rates.peak16 * rates.dense.mfu) + params.first("sampling_us", engine) * 1e-6,
        slow * max(work.kv_bytes / reads, work.kv_flops / (rates.peak16 * params.first("latent_attention_mfu"))),
        slow * work.kv_window_bytes / reads,
        work.window,
        slow * work.state_bytes / reads,
        slow * work.attention_layers * rates.decode.overhead_s,
        rates.decode.sharpness,
        slow * work.pair_flops / rates.prefill_rate,
        slow * work.pair_window_flops / rates.prefill_rate,
        slow * work.attention_layers * rates.prefill_overhead_s,
        calls * reduce.latency_s if reduce else 0.0,
        calls * wire / reduce.bus_bytes_s if reduce else 0.0,
        reduce.sharpness if reduce else 1.0,
        hops * rates.hop_s,
        hops * 2.0 * work.hidden / rates.hop_bytes_s,
        params.first("step_ms", *scopes[:1], engine) * 1e-3,
        params.first("sequence_us", *scopes[:1], engine) * 1e-6,
        params.first("prompt_token_us", *scopes[:1], engine) * 1e-6,
        float(spec.max_num_batched_tokens),
    )


def _pick(facts: Mapping[str, Gemm], fmt: str) -> Gemm:
    """Kernel facts of a format, or of the nearest one that was measured on the card."""
    near = {
        "mxfp4_a8": ("mxfp4_a8", "nvfp4", "fp8"), "mxfp4_a16": ("mxfp4_a16", "int4"), "nvfp4": ("nvfp4", "fp8"),
        "int8": ("int8", "fp8"), "int4": ("int4",), "fp8": ("fp8",), "bf16": (),
    }[fmt]  # fmt: skip
    return next((facts[name] for name in near if name in facts), facts["bf16"])


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
