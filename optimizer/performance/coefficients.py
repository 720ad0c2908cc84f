"""From a replica specification to the coefficients of its step time.

Two halves meet here: what a step has to do (``work``: bytes, operations, calls of one GPU over the whole depth) and how
fast the card and engine do it (``rates``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optimizer.performance.architecture import is_latent, is_sparse
from optimizer.performance.parameters import Parameters
from optimizer.performance.rates import LinkRates, Rates, link_rates_of, rates_of
from optimizer.performance.step import StepCoefficients
from optimizer.performance.types import ReplicaSpec
from optimizer.performance.work import Work, work_of


def coefficients(specs: Sequence[ReplicaSpec], params: Parameters) -> StepCoefficients:
    """Coefficients of the step time, one entry per specification. What several have in common is worked out once."""
    works: dict[tuple[object, ...], Work] = {}
    rates: dict[tuple[object, ...], Rates] = {}
    links: dict[tuple[object, ...], LinkRates] = {}
    rows = []
    for spec in specs:
        card, tp, ep = spec.gpu.id, spec.tensor_parallel, spec.expert_parallel
        engine = (spec.engine.profile, spec.engine_version)
        work_key = (card, id(spec.model), spec.weight_quant, spec.kv_cache, tp, ep)
        if (work := works.get(work_key)) is None:
            work = works[work_key] = work_of(spec)
        rates_key = (card, *engine, spec.kv_cache, work.dense_format, work.expert_format)
        if (rate := rates.get(rates_key)) is None:
            rate = rates[rates_key] = rates_of(spec, work, params)
        link_key = (card, *engine, tp, spec.link, spec.known_host)
        if (link := links.get(link_key)) is None:
            link = links[link_key] = link_rates_of(spec, params)
        rows.append(_assemble(spec, work, rate, link, params))
    return StepCoefficients(*np.array(rows, dtype=np.float64).reshape(len(rows), -1).T)


def _assemble(spec: ReplicaSpec, work: Work, rates: Rates, link: LinkRates, params: Parameters) -> tuple[float, ...]:
    host, slow = rates.host, rates.host.slowdown
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
    reduce = link.allreduce
    hops = spec.pipeline_parallel if spec.pipeline_parallel > 1 else 0
    fixed = work.layers * host.layer_us * 1e-6
    fixed += work.gemms * rates.dense.overhead_s
    fixed += work.moe_layers * rates.expert.overhead_s
    if is_latent(spec.model):
        fixed += spec.model.full_attention_layers * host.latent_layer_us * 1e-6
    if is_sparse(spec.model):
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
        slow * work.head_bytes / (rates.peak16 * rates.dense.mfu) + host.sampling_us * 1e-6,
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
        hops * link.hop_s,
        hops * 2.0 * work.hidden / link.hop_bytes_s,
        host.step_ms * 1e-3,
        host.sequence_us * 1e-6,
        host.prompt_token_us * 1e-6,
        float(spec.max_num_batched_tokens),
    )
