"""Rules about serving: who serves a workload, with how many replicas, inside which promises.

Rules of the user about cards, links, formats and sizes: stated on decision literals, one row each.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import product

from optimizer.fleet.instance import MAX_LATENCY_US, Decisions, Slot, link_of
from optimizer.fleet.lower_bounds import THOUSANDTHS
from optimizer.fleet.requirements import WorkloadRules
from optimizer.fleet.variables import Variables
from optimizer.units import SHARE_UNITS, seconds_to_us_down
from optimizer.vocabulary import NVLINK_CLASS, Role


def one_candidate(v: Variables) -> None:
    """``sum over c, k of at[c,k] = 1`` for each workload: one candidate at one operating point serves all 2520/2520.

    Where it may be split into length classes, ``= whole[w]``, and ``= 1 - whole[w]`` for each of the classes. Where
    several configurations may share a workload, ``shares`` holds instead. Beside pools ``= 1 - split`` over the slots
    that serve alone.
    """
    if v.instance.rules.mixed:
        shares(v)
        return
    if v.instance.pools is not None:
        serving = [index for index, slot in v.slots() if slot.candidate.role is Role.SERVE]
        v.cp.add(v.chosen(serving) == 1 - v.split()).with_name("one_candidate[0]")
        return
    for workload in range(len(v.instance.rules.workloads)):
        slots, served = [index for index, _ in v.slots(workload)], v.served(workload)
        if isinstance(served, int):
            v.cp.add_exactly_one([v.at(index) for index in slots]).with_name(f"one_candidate[{workload}]")
        else:
            v.cp.add(v.chosen(slots) == served).with_name(f"one_candidate[{workload}]")


def shares(v: Variables) -> None:
    """``sum over c, k of share[c,k] = 2520``, ``at[c,k] <= share[c,k] <= 2520 at[c,k]`` and
    ``1 <= sum over c, k of at[c,k] <= max_configurations_per_workload``, one point of a candidate at most.

    Where a workload may be split into length classes, 2520 and 1 stand times ``whole[w]``, and for each class times
    ``1 - whole[w]``.
    """
    from optimizer.fleet.cpsat import LinearExpr

    most = v.instance.rules.configurations
    for workload in range(len(v.instance.rules.workloads)):
        slots, served = v.slots(workload), v.served(workload)
        total = LinearExpr.sum([v.share(index) for index, _ in slots])
        v.cp.add(total == SHARE_UNITS * served).with_name(f"shares[{workload}]")
        count = v.chosen(index for index, _ in slots)
        v.cp.add(count >= served).with_name(f"configurations.some[{workload}]")
        v.cp.add(count <= most).with_name(f"rule:ranking.max_configurations_per_workload[{workload}]")
        points: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for index, slot in slots:
            points[slot.candidate.key].append(index)
            v.cp.add(v.share(index) >= v.at(index)).with_name(f"share.some[{index}]")
            v.cp.add(v.share(index) <= SHARE_UNITS * v.at(index)).with_name(f"share.follows[{index}]")
        for of_candidate in points.values():
            if len(of_candidate) > 1:
                v.cp.add(v.chosen(of_candidate) <= 1).with_name(f"one_point[{of_candidate[0]}]")


def replicas_follow(v: Variables) -> None:
    """``reps[c,k,p] <= max_reps[c,k] at[c,k]``: replicas run only where the point is chosen; in each period p."""
    for index, slot in v.slots():
        for p in v.periods:
            row = v.reps(index, p) <= slot.max_replicas * v.at(index)
            v.cp.add(row).with_name(f"replicas_follow[{index}{v.when(p)}]")


def min_replicas(v: Variables) -> None:
    """``sum over c, k of left[c,k,p] >= min_replicas[w]`` in each period p: kept running whatever the load.

    Left are all that run, ``reps``, or where ``margins.survive`` asks for it those that are not gone: ``reps - lost``.

    Of a workload that may be split into length classes the row holds for what is served.
    """
    for workload, asked in enumerate(v.instance.rules.workloads):
        least = asked.load.min_replicas
        path = f"{asked.path}.traffic.min_replicas"
        for p in v.periods if least else ():
            total = sum(v.left(index, p) for index, _ in v.slots(workload))
            row = v.cp.add(total >= least - v.excess(path, least - 1)).with_name(f"rule:{path}{v.when(p)}")
            v.where_served(row, workload)


def capacity(v: Variables) -> None:
    """``cap[c,k,p] left[c,k,p] >= demand[w] at[c,k] - excess[w]`` for arrivals, for requests in flight and for users.

    In each period p of the day profile, cap against the load there; a period without load has no row.

    Counted in units of the demand: capacity rounded down and capped at the whole demand, so coefficients stay small.
    The excess, 0 outside the elastic solve, is load given up. In a mix ``demand[w] / 2520 share[c,k]`` stands on the
    right: replicas carry their share, and keep every promise at it.
    """
    demand = v.instance.load_scale
    unit = demand // SHARE_UNITS
    for index, slot in v.slots():
        asked = v.instance.rules.workloads[slot.workload]
        for p in v.periods:
            for path, value in zip(load_paths(asked), v.instance.capacity(slot, p), strict=True):
                if value >= 0:
                    asked_for = unit * v.share(index) if v.instance.rules.mixed else demand * v.at(index)
                    row = min(value, demand) * v.left(index, p) >= asked_for - v.excess(path, demand * 9 // 10)
                    v.cp.add(row).with_name(f"capacity:{path}[{index}{v.when(p)}]")


def carried_as_replayed(v: Variables) -> None:
    """``left[c] >= n + 1`` or ``share[c] <= s`` for each number n that carries at most s as replayed, in mixes."""
    for index, slot in v.slots():
        known = v.instance.carried.get(slot.candidate.key)
        for count, share in known.shares if known is not None else ():
            more = v.cp.new_bool_var(f"more[{index},{count}]")
            v.cp.add(v.left(index, 0) >= count + 1).only_enforce_if(more)
            row = v.cp.add(v.share(index) <= share).only_enforce_if(~more)
            row.with_name(f"carried[{index},{count}]")


def load_paths(asked: WorkloadRules) -> tuple[str, str, str]:
    """YAML paths of the arrivals, of the requests in flight and of the users of a workload."""
    base, decided = f"{asked.path}.traffic", asked.load.decided_by
    inner = {f"{base}.users": f"{base}.users.active", f"{base}.batch": f"{base}.batch.requests"}
    kept = f"{base}.concurrent_sessions"
    people = kept if decided == kept else f"{base}.users.active"
    return inner.get(decided, decided), f"{base}.concurrency", people


def capacity_at_factor(v: Variables) -> None:
    """``sum over c, k of cap[c,k] left[c,k] >= demand[w] f`` for ``maximize_load``: one factor f for all workloads.

    With it ``reps[c,k] >= at[c,k]``: a workload is served by somebody even where that carries less than f = 0.001. In
    each period of the day profile in which the workload has load, cap against the load there. Of a workload that may be
    split into length classes the row holds for what is served.
    """
    from optimizer.fleet.cpsat import LinearExpr

    unit = v.instance.load_scale // THOUSANDTHS
    loads = [asked.load for asked in v.instance.rules.workloads]
    for index, slot in v.slots():
        for p in v.periods:
            if loads[slot.workload].has_load_in(p):
                v.cp.add(v.reps(index, p) >= v.at(index)).with_name(f"served[{index}{v.when(p)}]")
    for workload, load in enumerate(loads):
        slots = v.slots(workload)
        for what, p in product(range(len(load.floors)), v.periods):
            values = [v.instance.capacity(slot, p)[what] for _, slot in slots]
            if load.has_load_in(p) and all(value >= 0 for value in values):
                total = LinearExpr.weighted_sum([v.left(index, p) for index, _ in slots], values)
                name = f"capacity.factor[{workload},{what}{v.when(p)}]"
                v.where_served(v.cp.add(total >= unit * v.factor()).with_name(name), workload)


def latency(v: Variables) -> None:
    """``sum over c, k of latency_us[c,k,p] at[c,k] <= limit_us[w,p] + excess[p]`` for each promise p.

    Limits are rounded down, latencies up, both in whole microseconds; there is no excess outside the elastic solve.
    One point per workload is chosen, so the sum is the latency of the chosen one. In a mix each chosen point keeps the
    limit by itself: ``latency_us[c,k,p] at[c,k] <= limit_us[w,p]``.
    """
    from optimizer.fleet.cpsat import LinearExpr

    for workload, asked in enumerate(v.instance.rules.workloads):
        slots = v.slots(workload)
        for number, promise in enumerate(asked.slo.promises):
            limit = min(MAX_LATENCY_US, seconds_to_us_down(promise.limit_s))
            if v.instance.rules.mixed:
                _latency_of_each(v, slots, number, limit)
                continue
            latencies = [slot.latencies_us[number] for _, slot in slots]
            chosen = LinearExpr.weighted_sum([v.at(index) for index, _ in slots], latencies)
            excess = v.excess(promise.path, _longest(v, promise.path) - limit) if v.elastic else 0
            v.cp.add(chosen <= limit + excess).with_name(f"latency:{promise.path}")


def _longest(v: Variables, path: str) -> int:
    """The longest latency of any slot that a promise is about; length classes share the promises of their workload."""
    asked = v.instance.rules.workloads
    return max(
        (
            latency
            for _, slot in v.slots()
            for promise, latency in zip(asked[slot.workload].slo.promises, slot.latencies_us, strict=False)
            if promise.path == path
        ),
        default=0,
    )


def _latency_of_each(v: Variables, slots: list[tuple[int, Slot]], number: int, limit: int) -> None:
    for index, slot in slots:
        path = v.instance.rules.workloads[slot.workload].slo.promises[number].path
        v.cp.add(slot.latencies_us[number] * v.at(index) <= limit).with_name(f"latency:{path}[{index}]")


def worst_latency(v: Variables) -> None:
    """``worst >= objective_us[c,k] at[c,k]``: what ``minimize_ttft`` and ``minimize_tpot`` make small."""
    for index, slot in v.slots():
        v.cp.add(v.worst() >= slot.objective_us * v.at(index)).with_name(f"worst_latency[{index}]")


QUALITY = "quality.min_recovery"


def channel(v: Variables) -> None:
    """``gpu[w,g] = sum over the slots of w on card g of at[c,k]``; the same for quant, kv, tp, pp, dp, experts, link,
    interconnect and, where a least grade is asked for, grade.

    A value that no slot of the model has gets the literal all the same, and the sum over nothing: 0. In a mix, and
    beside pools, the literal is 1 as soon as a slot is chosen: ``gpu[w,g] <= sum of at[c,k] <= most gpu[w,g]``, with as
    many as may be.
    """
    for workload, decisions in enumerate(v.instance.decisions):
        members: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, slot in v.slots(workload):
            for what, content in _values(slot):
                members[what, content].append(index)
        for what, literals in _ranges(decisions):
            for value in literals:
                literal, slots = v.decision(what, workload, value), members[what, str(value)]
                name = f"channel.{what}[{workload},{value}]"
                if not v.several:
                    v.cp.add(literal == v.chosen(slots)).with_name(name)
                    continue
                v.cp.add(v.chosen(slots) <= v.most(literal)).with_name(name)
                v.cp.add(literal <= v.chosen(slots)).with_name(f"{name}.none")


def allowed_gpus(v: Variables) -> None:
    """``sum over cards g not allowed of gpu[w,g] <= 0`` (``hardware.gpus``)."""
    rules = v.instance.rules
    if rules.options.gpus is None and not rules.options.excluded_gpus:
        return
    for workload, decisions in enumerate(v.instance.decisions):
        _forbid(v, "hardware.gpus", "gpu", workload, [g for g in decisions.gpu if not rules.gpu_allowed(g)])


def licences(v: Variables) -> None:
    """``sum over unlicensed cards g of gpu[w,g] <= 0`` (``hardware.datacenter_licensed_only``)."""
    if not v.instance.rules.options.licensed_only:
        return
    for workload, decisions in enumerate(v.instance.decisions):
        _forbid(v, "hardware.datacenter_licensed_only", "gpu", workload, sorted(decisions.unlicensed))


def nvlink(v: Variables) -> None:
    """``hardware.nvlink``: required: ``interconnect[w,pcie] <= 0``; forbidden: ``sum over NVLink l of link[w,l] <= 0``.

    ``interconnect`` is ``pcie`` for every replica on several GPUs that is not inside one NVLink domain.
    """
    mode = v.instance.rules.nvlink
    for workload, decisions in enumerate(v.instance.decisions):
        if mode == "required":
            values = [value for value in decisions.interconnect if value == "pcie"]
            _forbid(v, "hardware.nvlink", "interconnect", workload, values)
        elif mode == "forbidden":
            direct = {str(link) for link in NVLINK_CLASS}
            _forbid(v, "hardware.nvlink", "link", workload, [value for value in decisions.link if value in direct])


def weight_quants(v: Variables) -> None:
    """``sum over weight formats q not allowed of quant[w,q] <= 0`` (``engine.weight_quant``)."""
    rules = v.instance.rules
    for workload, decisions in enumerate(v.instance.decisions):
        if rules.workloads[workload].quants is not None:
            values = [q for q in decisions.quant if not rules.quant_allowed(workload, q)]
            _forbid(v, "engine.weight_quant", "quant", workload, values)


def kv_caches(v: Variables) -> None:
    """``sum over KV types not allowed of kv[w,v] <= 0`` (``engine.kv_cache``)."""
    allowed = v.instance.rules.kv_caches
    for workload, decisions in enumerate(v.instance.decisions):
        _forbid(v, "engine.kv_cache", "kv", workload, [value for value in decisions.kv if value not in allowed])


def parallel_sizes(v: Variables) -> None:
    """``sum over sizes t not allowed of tp[w,t] <= 0`` (``engine.tensor_parallel``); the same for pipeline stages."""
    rules = v.instance.rules
    for workload, decisions in enumerate(v.instance.decisions):
        tensor = [t for t in decisions.tp if t not in rules.tensor_parallel]
        _forbid(v, "engine.tensor_parallel", "tp", workload, tensor)
        pipeline = [p for p in decisions.pp if p not in rules.pipeline_parallel]
        _forbid(v, "engine.pipeline_parallel", "pp", workload, pipeline)


def expert_shapes(v: Variables) -> None:
    """``sum over numbers d not allowed of dp[w,d] <= 0`` (``engine.attention_dp``); ``experts[w,x] <= 0``: of
    experts dealt where ``engine.expert_parallel`` is off, dealt over nodes where it is off or node, cut where it is
    required."""
    rules = v.instance.rules
    for workload, decisions in enumerate(v.instance.decisions):
        if rules.attention_dp is not None:
            ranks = [d for d in decisions.dp if d not in rules.attention_dp]
            _forbid(v, "engine.attention_dp", "dp", workload, ranks)
        experts = [value for value in decisions.experts if not rules.experts_allowed(value)]
        _forbid(v, "engine.expert_parallel", "experts", workload, experts)


def quality(v: Variables) -> None:
    """``quant[w,q] + kv[w,c] <= 1`` for each pair whose recovery is below the floor (``quality.min_recovery``).

    In a mix a workload may have several of either, so ``sum over the slots of the pair of at[c,k] <= 0``.
    """
    for workload, decisions in enumerate(v.instance.decisions):
        path = quality_path(v, workload)
        for quant, cache in sorted(decisions.poor):
            name = f"{QUALITY}:{path}[{quant},{cache}]"
            if v.instance.rules.mixed:
                v.cp.add(v.chosen(_of_formats(v, workload, quant, cache)) <= 0).with_name(name)
                continue
            both = v.decision("quant", workload, quant) + v.decision("kv", workload, cache)
            v.cp.add(both <= 1 + v.relaxed(path)).with_name(name)


def grades(v: Variables) -> None:
    """``sum over grades g below the least of grade[w,g] <= 0`` (``ranking.min_grade``)."""
    rules = v.instance.rules
    for workload, decisions in enumerate(v.instance.decisions):
        below = [grade for grade in decisions.grade if not rules.grade_allowed(grade)]
        _forbid(v, "ranking.min_grade", "grade", workload, below)


def _of_formats(v: Variables, workload: int, quant: str, cache: str) -> list[int]:
    formats = ((index, slot.candidate.spec) for index, slot in v.slots(workload))
    return [index for index, spec in formats if (spec.weight_quant, spec.kv_cache) == (quant, cache)]


def gpu_kinds(v: Variables) -> None:
    """``kind[g] >= gpu[w,g]`` and ``sum over g of kind[g] <= max_gpu_kinds`` (``hardware.limits.max_gpu_kinds``)."""
    most = v.instance.rules.limits.gpu_kinds
    if most is None:
        return
    path = "hardware.limits.max_gpu_kinds"
    cards = sorted({gpu for decisions in v.instance.decisions for gpu in decisions.gpu})
    for workload, decisions in enumerate(v.instance.decisions):
        for gpu in decisions.gpu:
            v.cp.add(v.kind(gpu) >= v.decision("gpu", workload, gpu)).with_name(f"kind[{workload},{gpu}]")
    total = sum(v.kind(gpu) for gpu in cards)
    v.cp.add(total <= most + v.excess(path, len(cards))).with_name(f"rule:{path}")


def quality_path(v: Variables, workload: int) -> str:
    """YAML path of a workload's quality floor."""
    return quality_path_of(v.instance.rules.workloads[workload])


def quality_path_of(asked: WorkloadRules) -> str:
    """YAML path of the quality floor of a workload."""
    return f"{asked.path}.quality.min_recovery"


def _forbid(v: Variables, path: str, what: str, workload: int, values: list[str] | list[int]) -> None:
    total = sum(v.decision(what, workload, value) for value in values)
    if values:
        v.cp.add(total <= v.relaxed(path)).with_name(f"rule:{path}[{workload}]")


def _values(slot: Slot) -> tuple[tuple[str, str], ...]:
    spec, node_type = slot.candidate.spec, slot.node_type
    return (
        ("gpu", node_type.gpu.id),
        ("quant", spec.weight_quant),
        ("kv", spec.kv_cache),
        ("tp", str(spec.tensor_parallel)),
        ("pp", str(spec.pipeline_parallel)),
        ("dp", str(spec.attention_dp)),
        ("experts", slot.candidate.experts),
        ("link", link_of(node_type)),
        ("interconnect", slot.candidate.interconnect),
        ("grade", str(slot.candidate.grade)),
    )


def _ranges(decisions: Decisions) -> tuple[tuple[str, tuple[str, ...] | tuple[int, ...]], ...]:
    return (
        ("gpu", decisions.gpu),
        ("quant", decisions.quant),
        ("kv", decisions.kv),
        ("tp", decisions.tp),
        ("pp", decisions.pp),
        ("dp", decisions.dp),
        ("experts", decisions.experts),
        ("link", decisions.link),
        ("interconnect", decisions.interconnect),
        ("grade", decisions.grade),
    )
