"""Rules about a prefill pool and a decode pool, recomputed forward from the plan as printed.

What one worker does at most is worked out anew from the step model: prompts in its fullest steps, answers at every
number of requests up to its slots. The replay itself is not run again; it is of the planned load, keeps every promise
with the model error of disaggregated serving, and is nowhere faster than a lone request.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, isclose
from typing import TYPE_CHECKING

import numpy as np

from optimizer.demand import Metric
from optimizer.performance import grade_of
from optimizer.performance.accuracy import factor_in, named_band
from optimizer.performance.architecture import is_latent
from optimizer.performance.lengths import moments_of
from optimizer.performance.memory import memory_table, weight_parts
from optimizer.performance.rates import link_bandwidth, part_formats
from optimizer.performance.replicas import coefficients
from optimizer.performance.step import step_seconds
from optimizer.verify.case import CheckedCase, GroupCase, Mismatch
from optimizer.vocabulary import POOL_ENGINES, Disaggregation, Link, Role

if TYPE_CHECKING:
    from optimizer.demand import Promise
    from optimizer.performance.types import Grade, ReplicaSpec
    from optimizer.plan.types import Replay, ReplayedPromise
    from optimizer.verify.service import GroupAtLoad

TOLERANCE = 1e-6
"""Relative: floating noise between two ways of computing the same figure."""

STRAIGHT = 0.02
"""The replay draws the step time over an answer as a straight line between its ends; here it is taken in the middle."""

SATURATION, SENT, BLOCKS = 0.9, 0.7, 0.9
"""Shares of the saturation rate, of a network and of the KV blocks that planned load may take."""


def pool_pair(case: CheckedCase) -> Iterator[Mismatch]:
    """One prefill and one decode pool serve a workload, with the same weights and cache format under one engine that
    has such workers; tensor parallelism of the decode pool is a multiple (of latent attention the same)."""
    asked = case.problem.engine.disaggregation
    roles = sorted(str(group.group.role) for group in case.groups)
    if asked is Disaggregation.REQUIRED and not case.plan.has_pools:
        yield Mismatch("pool pair", "engine.disaggregation", "pools", roles, "replicas that do both phases")
    if not case.plan.has_pools:
        return
    if asked is Disaggregation.OFF:
        yield Mismatch("pool pair", "engine.disaggregation", "off", roles, "pools nobody asked for")
    if roles != [Role.DECODE, Role.PREFILL]:
        yield Mismatch("pool pair", "groups", "one prefill and one decode pool", roles, "roles of the groups")
        return
    before, after = _both(case)
    for name in ("model", "engine", "weight_quant", "kv_cache"):
        one, other = getattr(before.group, name), getattr(after.group, name)
        if one != other:
            yield Mismatch("pool pair", f"{after.path}.{name}", one, other, "both pools have the same")
    sizes, latent = (before.spec.tensor_parallel, after.spec.tensor_parallel), is_latent(before.spec.model)
    if sizes[1] % sizes[0] or (latent and sizes[0] != sizes[1]):
        yield Mismatch("pool pair", f"{after.path}.tensor_parallel", sizes[0], sizes[1], "what connectors join")
    for group in (before, after):
        spec = group.spec
        known = spec.engine.profile in POOL_ENGINES and spec.gpu.vendor == "nvidia" and spec.pipeline_parallel == 1
        if not known or spec.crosses_nodes or group.node_type.gpus_per_node < spec.gpus:
            yield Mismatch("pool pair", group.path, "a worker inside one node", spec.split, "no worker of a pool")


def pool_site(case: CheckedCase) -> Iterator[Mismatch]:
    """Both pools stand on one node with switched links, or on nodes of one provider and region (of one offer, where no
    region is stated) that all state a network."""
    if not _pooled(case):
        return
    if _inside(case):
        for group in case.groups:
            if group.node_type.link is not Link.NVSWITCH:
                yield Mismatch("pool site", group.path, Link.NVSWITCH, group.node_type.link, "links of the one node")
        return
    places = {(line.provider, line.region or line.offer_id) for line in case.plan.nodes}
    if len(places) > 1:
        yield Mismatch("pool site", "nodes", "one provider and region", sorted(places), "where the pools stand")
    for group in case.groups:
        if not group.node_type.fabric_gbps or not group.spec.gpu.datacenter_licensed:
            found = group.node_type.fabric_gbps
            yield Mismatch("pool site", group.path, "a stated network with RDMA", found, "how caches are sent (Gb/s)")


def pool_transfer(case: CheckedCase) -> Iterator[Mismatch]:
    """The caches of all prompts a second fit 0.7 of the network that each pool's GPUs have of their nodes'."""
    if not _pooled(case) or _inside(case):
        return
    for group in case.groups:
        moved = _rate(case) * moments_of(group.lengths).prompt * _bytes_per_token(group.spec)
        ranks = group.group.replicas * group.spec.attention_dp
        room = SENT * group.node_type.fabric_gbps * 1e9 / 8 / group.node_type.gpus_per_node * ranks
        if moved > room * (1 + TOLERANCE):
            yield Mismatch("pool transfer", f"{group.path}.replicas", room, moved, "bytes/s of caches")


def pool_capacity(case: CheckedCase) -> Iterator[Mismatch]:
    """Arrivals take at most 0.9 of what each pool does at most, model error included, and requests held in flight find
    a slot of the decode pool, whose answers fit 0.9 of its cache."""
    if not _pooled(case):
        return
    for group in case.groups:
        grade = grade_of(group.spec, case.params)[0]
        share = SATURATION * min(_factor("throughput_pools", grade, 1.0 - case.problem.margins.confidence), 1.0)
        most = _prompts(case, group) if group.group.role is Role.PREFILL else _answers(case, group)
        used = _rate(case) / (group.group.replicas * most)
        if used > share * (1 + STRAIGHT):
            yield Mismatch("pool capacity", f"{group.path}.replicas", f"at most {share:.6g}", used, "of saturation")
        if group.group.role is not Role.DECODE:
            continue
        slots, held = group.group.max_num_seqs * group.spec.attention_dp, group.load.inflight
        if held > slots * group.group.replicas:
            yield Mismatch("pool capacity", f"{group.path}.max_num_seqs", held, slots * group.group.replicas, "slots")
        kv = memory_table([group.spec])
        need = group.group.max_num_seqs * float(kv.kv.sequence(moments_of(group.lengths).reserved)[0])
        if need > BLOCKS * float(kv.kv_budget[0]) * (1 + TOLERANCE) and group.group.max_num_seqs > 1:
            path, most_bytes = f"{group.path}.max_num_seqs", BLOCKS * float(kv.kv_budget[0])
            yield Mismatch("pool capacity", path, most_bytes, need, "bytes of KV")


def pool_replays(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """Each pool carries the replay of both at the planned load, which keeps every promise with its margin and is
    nowhere faster than a lone request."""
    del served
    if not _pooled(case):
        return
    if len(case.plan.simulated) != len(case.groups):
        yield Mismatch("pool replays", "simulated", len(case.groups), len(case.plan.simulated), "one of each group")
        return
    for group, replay in zip(case.groups, case.plan.simulated, strict=True):
        figures = (
            ("replicas", group.group.replicas, replay.replicas),
            ("requests_per_second", group.load.requests_per_second, replay.requests_per_second),
            ("inflight", ceil(group.load.inflight - TOLERANCE), replay.inflight),
        )
        for name, expected, found in figures:
            if not isclose(expected, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
                yield Mismatch("pool replays", f"{group.path} {name}", expected, found, "what was replayed is the load")
        if not replay.kept:
            yield Mismatch("pool replays", group.path, "every promise kept", "one missed", "the replay of both pools")
        yield from _of_its_promises(case, replay)


def pool_printed(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """What is predicted is what was replayed, with the bands of disaggregated serving and the worse grade of both; what
    it costs without pools is said of pools alone, and is never less where they are free to compete."""
    del served
    without, free = case.plan.without_pools_cents, case.problem.engine.disaggregation is Disaggregation.ANY
    if without is not None and not (_pooled(case) and (without >= case.plan.monthly_cents or not free)):
        yield Mismatch("pool printed", "without_pools_cents", None, without, "pools serve only where they cost less")
    if not _pooled(case) or not case.plan.simulated:
        return
    grade, replay = _grade(case), case.plan.simulated[0]
    told = [("grade", case.plan.grade)]
    told += [(f"predicted[{one.workload}].grade", one.grade) for one in case.plan.predicted]
    for where, found in told:
        if found != str(grade):
            yield Mismatch("pool printed", where, str(grade), found, "the worse grade of both pools")
    for one in case.plan.predicted:
        load, rate = case.groups[0].load, _rate_seen(case, replay)
        figures = [
            ("ttft_ms", replay.ttft_ms, one.ttft_ms),
            ("tpot_ms", replay.tpot_ms, one.tpot_ms),
            ("e2e_s", replay.e2e_s, one.e2e_s),
        ]
        for name, expected, found_there in figures:
            if expected != found_there:
                path = f"predicted[{one.workload}].{name}"
                yield Mismatch("pool printed", path, expected, found_there, "as replayed")
        if not isclose(one.requests_per_second, rate, rel_tol=TOLERANCE):
            path = f"predicted[{one.workload}].requests_per_second"
            yield Mismatch("pool printed", path, rate, one.requests_per_second, "of the planned load")
        if one.capacity.requests_per_second < load.requests_per_second * (1 - TOLERANCE):
            path = f"predicted[{one.workload}].capacity"
            yield Mismatch("pool printed", path, load.requests_per_second, one.capacity.requests_per_second, "the load")
        listed = {(promise.path, promise.percentile): promise for promise in one.promises}
        for seen in replay.promises:
            kept, ends = listed.get((seen.path, seen.percentile)), _ends(seen, grade)
            if kept is None or not isclose(kept.estimate_s, seen.simulated_s, rel_tol=TOLERANCE):
                yield Mismatch("pool printed", seen.path, seen.simulated_s, kept and kept.estimate_s, "as replayed")
            elif not np.allclose(ends, (kept.low_s, kept.high_s), rtol=TOLERANCE):
                yield Mismatch("pool printed", seen.path, ends, (kept.low_s, kept.high_s), "band of pools")


def _pooled(case: CheckedCase) -> bool:
    """Whether one prefill and one decode pool serve, which ``pool_pair`` checks."""
    return sorted(str(group.group.role) for group in case.groups) == [Role.DECODE, Role.PREFILL]


def _both(case: CheckedCase) -> tuple[GroupCase, GroupCase]:
    by_role = {group.group.role: group for group in case.groups}
    return by_role[Role.PREFILL], by_role[Role.DECODE]


def _inside(case: CheckedCase) -> bool:
    return sum(line.count - line.spare for line in case.plan.nodes) == 1


def _grade(case: CheckedCase) -> Grade:
    return max(grade_of(group.spec, case.params)[0] for group in case.groups)


def _factor(figure: str, grade: Grade, quantile: float) -> float:
    return factor_in(named_band(figure, grade), quantile)


def _figure(metric: Metric) -> str:
    return "ttft_pools" if metric is Metric.TTFT else "tpot_pools"


def _ends(promise: ReplayedPromise, grade: Grade) -> tuple[float, float]:
    low, high = (_factor(_figure(promise.metric), grade, end) for end in (0.05, 0.95))
    return promise.simulated_s * low, promise.simulated_s * high


def _rate(case: CheckedCase) -> float:
    """Requests a second that both pools work off: those that arrive, or what a number in flight makes."""
    group = case.groups[0]
    first, each = (group.slo.limit_of(metric) for metric in (Metric.TTFT, Metric.TPOT))
    held = 0.0
    if first is not None and each is not None:
        held = group.load.inflight / (first + moments_of(group.lengths).steps * each)
    return max(group.load.requests_per_second, held)


def _rate_seen(case: CheckedCase, replay: Replay) -> float:
    load = case.groups[0].load
    return max(load.requests_per_second, load.inflight / replay.e2e_s.mean)


def _bytes_per_token(spec: ReplicaSpec) -> float:
    kv = memory_table([spec]).kv
    return float(kv.per_token[0] + kv.per_window_token[0])


def _slower(case: CheckedCase, spec: ReplicaSpec) -> float:
    """How much slower prompts are on attention ranks than the step model says."""
    if spec.attention_dp == 1:
        return 1.0
    experts = part_formats(spec, weight_parts(spec.model, spec.weight_quant))[1]
    return case.params.first("pool_prompt_factor", f"arch:{spec.gpu.arch}/{experts}")


def _prompts(case: CheckedCase, group: GroupCase) -> float:
    """Prompts a second of one prefill worker whose steps are as full as is fastest."""
    spec, prompt = group.spec, moments_of(group.lengths).prompt
    tokens = np.geomspace(16.0, float(spec.max_num_batched_tokens), 185)
    context = np.where(prompt <= spec.max_num_batched_tokens, prompt / 2, tokens / 2)
    rates = []
    for lone, ranks in ((True, 1), (False, spec.attention_dp)):
        c = coefficients([spec], case.params, lone=lone).row(0)
        rates.append(float(np.max(ranks * tokens / step_seconds(c, 0.0 * tokens, 0.0 * tokens, tokens, context))))
    return max(rates) / _slower(case, spec) / prompt


def _answers(case: CheckedCase, group: GroupCase) -> float:
    """Answers a second of one decode worker, at the number of requests that is best."""
    spec, moments = group.spec, moments_of(group.lengths)
    held = np.arange(1, group.group.max_num_seqs * spec.attention_dp + 1, dtype=np.float64)
    each = np.maximum(held / spec.attention_dp, 1.0)
    c = coefficients([spec], case.params).row(0)
    step = step_seconds(c, each, each * (moments.input + 0.5 * moments.output), 0.0 * each, 0.0 * each)
    return float(np.max(held / (max(moments.output, 1.0) * step)))


def _of_its_promises(case: CheckedCase, replay: Replay) -> Iterator[Mismatch]:
    promises = case.groups[0].slo.promises
    seen = {(one.path, one.percentile): one for one in replay.promises}
    grade, confidence = _grade(case), case.problem.margins.confidence
    for promise in promises:
        found = seen.get((promise.path, promise.percentile))
        if found is None or (found.metric, found.limit_s) != (promise.metric, promise.limit_s):
            yield Mismatch("pool replays", promise.path, promise.limit_s, found and found.limit_s, "a promise")
            continue
        margin = _factor(_figure(promise.metric), grade, confidence)
        if not isclose(found.with_margin_s, found.simulated_s * margin, rel_tol=TOLERANCE):
            expected = found.simulated_s * margin
            yield Mismatch("pool replays", promise.path, expected, found.with_margin_s, "seconds times the model error")
        least = _alone(case, promise)
        if found.simulated_s < least * (1 - STRAIGHT):
            yield Mismatch("pool replays", promise.path, f"at least {least} s", found.simulated_s, "a lone request")


def _alone(case: CheckedCase, promise: Promise) -> float:
    """What a lone request comes to at least at the percentile: its prompt, its transfer, steps of one sequence."""
    before, after = _both(case)
    moments, spec = moments_of(before.lengths), before.spec
    c = coefficients([after.spec], case.params).row(0)
    step = float(step_seconds(c, 1.0, moments.input * 0.5, 0.0, 0.0))
    if promise.metric is Metric.TPOT:
        return step
    cells = sorted(moments.prompt_cells)
    prompt = cells[max(int(promise.percentile / 100.0 * len(cells)) - 1, 0)]
    lone, budget = coefficients([spec], case.params, lone=True).row(0), float(spec.max_num_batched_tokens)
    chunks = [min(budget, prompt - done) for done in np.arange(0.0, prompt, budget)]
    seconds = sum(float(step_seconds(lone, 0.0, 0.0, chunk, chunk / 2)) for chunk in chunks) * _slower(case, spec)
    if _inside(case):
        sent = _bytes_per_token(spec) / (SENT * link_bandwidth(spec))
    else:
        sent = max(
            _bytes_per_token(one.spec) / (SENT * one.node_type.fabric_gbps * 1e9 / 8 / one.node_type.gpus_per_node)
            for one in (before, after)
        )
    return seconds + sent * prompt + step
