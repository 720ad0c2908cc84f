"""Specifications as columns for the closed form: step-time coefficients, slots, scheduler and front end.

From a replica specification to the coefficients of its step time.

Two halves meet here: what a step has to do (``work``: bytes, operations, calls of one GPU over the whole depth) and how
fast the card and engine do it (``rates``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from optimizer.demand import Lengths
from optimizer.performance.architecture import is_latent, is_sparse
from optimizer.performance.expert_ranks import CAPTURED_TOKENS, node_reduce, rank_work, uses_all_to_all
from optimizer.performance.hits import with_prefixes
from optimizer.performance.lengths import LengthMoments, moments_of
from optimizer.performance.memory import PLANNED_SHARE, memory_table
from optimizer.performance.parameters import Parameters
from optimizer.performance.rates import LinkRates, Rates, Work, link_rates_of, rates_of, scopes_of, work_of
from optimizer.performance.speculation import draft_quant
from optimizer.performance.step import StepCoefficients, step_seconds
from optimizer.performance.step_load import Array, Drafts, Replicas
from optimizer.performance.types import ReplicaSpec


def replica_fits(specs: Sequence[ReplicaSpec], lengths: Lengths, params: Parameters) -> npt.NDArray[np.bool_]:
    """Whether weights, one request of ``context_max`` and one planned request within 90 % of the blocks fit."""
    return _room_for_kv(specs, moments_of(lengths), _engine_columns(specs, params)[3])[1]


def replicas_of(specs: Sequence[ReplicaSpec], lengths: Lengths, params: Parameters) -> Replicas:
    """Columns for the closed form."""
    moments = moments_of(lengths)
    c = coefficients(specs, params)
    budget = np.array([spec.max_num_batched_tokens * spec.pipeline_parallel for spec in specs], dtype=np.float64)
    most = np.array([spec.max_num_seqs for spec in specs], dtype=np.float64)
    frontend, service, mixed, reserve = _engine_columns(specs, params)
    requests, fits = _room_for_kv(specs, moments, reserve)
    slots = np.maximum(np.minimum(most, np.minimum(requests, budget / (1.0 + np.asarray(c.drafted)))), 1.0)
    one = np.ones(len(specs))
    alone = step_seconds(c, one, one * moments.resident_seen, 0.0 * one, 0.0 * one)
    idle = step_seconds(c, 0.0 * one, 0.0 * one, 0.0 * one, 0.0 * one)
    ranks = np.array([spec.attention_dp for spec in specs], dtype=np.float64)
    found = Replicas(c, ranks, slots, budget, mixed, frontend, service, alone, idle, fits, drafts=_drafts_of(specs))
    return with_prefixes(found, memory_table(specs), lengths, moments, specs)


def _drafts_of(specs: Sequence[ReplicaSpec]) -> Drafts | None:
    """What steps yield; None where not one of the replicas drafts."""
    if not any(spec.speculation for spec in specs):
        return None
    laws = [spec.speculation.law if spec.speculation else (1.0, 0.0) for spec in specs]
    mean, scatter = np.array(laws, dtype=np.float64).T
    return Drafts(mean, scatter)


def _room_for_kv(specs: Sequence[ReplicaSpec], m: LengthMoments, reserve: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Requests of planned length in 90 % of the KV blocks, and whether a replica can run at all."""
    table = memory_table(specs)
    planned = PLANNED_SHARE * table.kv_budget / table.kv.sequence(np.where(reserve > 0.5, m.reserved, m.resident))
    return planned, (table.kv_budget >= table.kv.sequence(float(m.context_max))) & (planned >= 1.0)


def _engine_columns(specs: Sequence[ReplicaSpec], params: Parameters) -> Array:
    """Front end (s), its service time (s), shared steps (0/1), reservation (0/1); looked up once per engine."""
    found: dict[tuple[str, str], tuple[float, ...]] = {}
    rows = []
    for spec in specs:
        key = (spec.engine.profile, spec.engine_version)
        if key not in found:
            found[key] = _engine_row(spec, params)
        rows.append(found[key])
    return np.array(rows, dtype=np.float64).reshape(-1, 4).T


def _engine_row(spec: ReplicaSpec, params: Parameters) -> tuple[float, float, float, float]:
    profile = spec.engine.profile
    scopes = (f"engine:{profile}@{params.generation(profile, spec.engine_version)}", f"engine:{profile}")
    return (
        params.first("frontend_ms", *scopes) * 1e-3,
        params.first("frontend_service_ms", *scopes) * 1e-3,
        params.first("mixed_steps", *scopes),
        params.first("reserve_output", *scopes),
    )


def coefficients(specs: Sequence[ReplicaSpec], params: Parameters, *, lone: bool = False) -> StepCoefficients:
    """Coefficients of the step time, one entry per specification. What several have in common is worked out once.

    ``lone``: of each attention-DP group one rank alone has work, so that its tokens spread over the experts of all.
    """
    works: dict[tuple[object, ...], Work] = {}
    rates: dict[tuple[object, ...], Rates] = {}
    links: dict[tuple[object, ...], LinkRates] = {}
    rows = []
    for spec in specs:
        card, tp, shared = spec.gpu.id, spec.tensor_parallel, (spec.attention_dp, spec.expert_parallel)
        engine = (spec.engine.profile, spec.engine_version)
        model = (id(spec.model), spec.weight_quant, spec.kv_cache)
        work_key = (card, spec.engine.profile, *model, tp, shared, spec.overlap, spec.link)
        if (work := works.get(work_key)) is None:
            work = works[work_key] = grouped_experts(spec, work_of(spec))
        rates_key = (card, *engine, spec.kv_cache, work.dense_format, work.expert_format)
        if (rate := rates.get(rates_key)) is None:
            rate = rates[rates_key] = rates_of(spec, work, params)
        link_key = (card, *engine, tp, spec.link, spec.known_host)
        if (link := links.get(link_key)) is None:
            link = links[link_key] = link_rates_of(spec, params)
        rows.append(_assemble(spec, work, rate, link, params, lone=lone))
    return StepCoefficients(*np.ascontiguousarray(np.array(rows, dtype=np.float64).reshape(len(rows), -1).T))


def grouped_experts(spec: ReplicaSpec, work: Work) -> Work:
    """The same where all-to-all kernels deliver tokens sorted by expert: block-scaled fp8 then runs grouped products.

    SGLang with ``--moe-a2a-backend deepep`` and vLLM with its DeepEP backends call DeepGEMM's grouped kernels in place
    of the fused expert layer that the kernel tables time (SGLang documentation "Expert parallelism"; vLLM
    documentation "Expert parallel deployment"). TensorRT-LLM's own tables are of such kernels already.
    """
    sorted_first = spec.attention_dp > 1 and uses_all_to_all(spec) and spec.engine.profile != "trtllm"
    if sorted_first and work.expert_format == "fp8_block":
        return replace(work, expert_format="fp8_grouped")
    return work


def _assemble(
    spec: ReplicaSpec, work: Work, rates: Rates, link: LinkRates, params: Parameters, *, lone: bool
) -> tuple[float, ...]:
    host, slow = rates.host, rates.host.slowdown
    pad = params.first("expert_tile_tokens")
    ranks, more = spec.attention_dp, rank_work(spec, params)
    busy = 1 if lone else ranks  # ranks whose tokens the experts work off
    miss = (1.0 - work.experts_per_token / work.experts) ** busy if work.experts else 1.0
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
    across_fixed, across_token = node_reduce(spec)
    passes = params.first("elementwise_whole_passes") + params.first("elementwise_passes") / spec.tensor_parallel
    launches = params.product("launch_share", *scopes_of(spec, "", params)) if work.experts else 1.0
    drafting = drafting_of(spec, params)
    sent = params.first("dispatch_passes") * work.experts_per_token * busy / spec.expert_parallel
    return (
        float(spec.pipeline_parallel),
        slow * work.dense_bytes / (bandwidth * rates.dense.mbu),
        slow * work.expert_bytes / (bandwidth * rates.expert.mbu),
        miss,
        slow * work.dense_flops / dense_rate,
        slow * work.expert_flops * busy / ranks / expert_rate,
        slow * pad * per_token_of_experts / expert_rate if work.experts else 0.0,
        rates.dense.sharpness,
        slow * launches * fixed + calls * across_fixed,
        slow * (work.layers * passes + work.moe_layers * sent) * 2.0 * work.hidden / bandwidth + calls * across_token,
        slow * work.head_bytes / (bandwidth * rates.head.mbu),
        slow * work.head_bytes / (rates.peak16 * rates.head.mfu) + host.sampling_us * 1e-6,
        slow
        * max(
            work.kv_bytes / reads,
            work.kv_flops * (1.0 + drafting[0]) / (rates.latent_peak * params.first("latent_attention_mfu")),
        ),
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
        more.hot_spread,
        more.skew_choice * ranks / busy,
        more.skew_kept,
        more.rank_spread,
        more.exchange_fixed,
        more.exchange_token,
        more.exchange_prompt_token,
        more.exchange_hidden,
        more.floor_captured,
        more.floor_eager,
        float(CAPTURED_TOKENS),
        *drafting,
    )


DRAFT_BATCH = 64.0
"""What a draft pass takes is close to a straight line in the sequences of a step; drawn through one and so many."""


def drafting_of(spec: ReplicaSpec, params: Parameters) -> tuple[float, float, float, float]:
    """Tokens drafted for a sequence, and seconds of all draft passes before it: of one sequence, of each further one,
    per token of KV.

    Passes run on the replica's own cards, a dense head or model as one rank on the GPUs of a tensor group; the host
    launches each within the step.
    """
    drafts = spec.speculation
    if drafts is None:
        return 0.0, 0.0, 0.0, 0.0
    degrees = (spec.attention_dp, spec.expert_parallel) if drafts.draft.is_moe else (1, 1)
    quant = draft_quant(drafts, spec.weight_quant)
    own = replace(
        spec, model=drafts.draft, weight_quant=quant, pipeline_parallel=1, speculation=None, overlap=False,
        attention_dp=degrees[0], expert_parallel=degrees[1],
    )  # fmt: skip
    launch = params.first("draft_pass_ms", f"engine:{spec.engine.profile}") * 1e-3
    c = coefficients([own], params).row(0)._replace(step_fixed=launch, step_sequence=0.0)
    one, many = (float(step_seconds(c, n, 0.0, 0.0, 0.0)) for n in (1.0, DRAFT_BATCH))
    slope = (many - one) / (DRAFT_BATCH - 1.0)
    return drafts.tokens, drafts.tokens * (one - slope), drafts.tokens * slope, drafts.tokens * float(c.kv_token)
