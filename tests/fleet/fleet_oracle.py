"""Two second opinions on small cases, written from the case itself: brute force, and a mixed-integer model for SCIP."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import product

from optimizer.candidates.types import Candidate
from optimizer.pricing.types import NodeOption
from optimizer.vocabulary import Link
from tests.fleet.fleet_cases import Case

GUARD = 1e-9
DIRECT = {Link.NVSWITCH, Link.NVLINK_PAIR, Link.XGMI, Link.HCCS}


def usable(case: Case) -> list[tuple[Candidate, int]]:
    """Candidates and points that no rule about one configuration forbids, in content order."""
    found = []
    for candidate in sorted(case.candidates, key=lambda c: c.key):
        spec, node, rules = candidate.spec, candidate.node_type, case.rules
        gpus = spec.tensor_parallel * spec.pipeline_parallel * spec.attention_dp
        domain = {Link.NVLINK_PAIR: 2}.get(node.link, node.gpus_per_node) if node.link in DIRECT else 1
        if rules.nvlink == "required" and gpus > max(1, domain):
            continue
        if rules.nvlink == "forbidden" and node.link in DIRECT and node.gpus_per_node > 1:
            continue
        if candidate.recovery < rules.workloads[candidate.workload].min_recovery:
            continue
        if spec.tensor_parallel not in rules.tensor_parallel or spec.kv_cache not in rules.kv_caches:
            continue
        if spec.model.num_experts:
            if rules.attention_dp is not None and spec.attention_dp not in rules.attention_dp:
                continue
            if (rules.expert_parallel == "off" and spec.expert_parallel > 1) or (
                rules.expert_parallel == "required" and spec.expert_parallel == 1 and gpus > 1
            ):
                continue
        promises = rules.workloads[candidate.workload].slo.promises
        for point, of_point in enumerate(candidate.points):
            if all(value <= p.limit_s for value, p in zip(of_point.latencies_s, promises, strict=True)):
                found.append((candidate, point))
    return found


def allowed_options(case: Case) -> list[NodeOption]:
    rules = case.rules.options
    return [
        option
        for option in sorted(case.options, key=lambda o: o.key)
        if str(option.tier) == "owned" or (option.tier in rules.tiers and not rules.only_owned)
    ]


def replicas_for(case: Case, candidate: Candidate, point: int) -> int:
    load, of_point = case.rules.workloads[candidate.workload].load, candidate.points[point]
    pairs = ((load.requests_per_second, of_point.requests_per_second), (load.inflight, of_point.inflight))
    return max(1, *(math.ceil(asked / capacity * (1 - GUARD)) for asked, capacity in pairs))


def fits(sizes: list[int], nodes: int, gpus: int) -> bool:
    """Place replicas one by one, largest first."""
    free = [gpus] * nodes
    for size in sorted(sizes, reverse=True):
        for index, room in enumerate(free):
            if room >= size:
                free[index] -= size
                break
        else:
            return False
    return True


def _within(case: Case, nodes: dict[NodeOption, int]) -> bool:
    limits, pairs = case.rules.limits, list(nodes.items())
    checks = [
        (sum(n * o.node_type.gpus_per_node for o, n in pairs), limits.gpus),
        (sum(n for _, n in pairs), limits.nodes),
        (sum(n * o.power_kw * 1000 for o, n in pairs), limits.power_w),
        (len({o.node_type.gpu.id for o, n in pairs if n}), limits.gpu_kinds),
        (sum(n * o.monthly_cents for o, n in pairs) + case.rules.fixed_cents, limits.budget_cents),
    ]
    for quota in limits.quotas:
        gpus = sum(
            n * o.node_type.gpus_per_node
            for o, n in pairs
            if o.offer.provider == quota.provider and o.node_type.gpu.id == quota.gpu
        )
        checks.append((gpus, quota.max_gpus))
    checks += [(n, o.max_nodes) for o, n in pairs]
    if limits.provider_share is not None:
        share = limits.provider_share * sum(n * o.monthly_cents for o, n in pairs)
        for provider in {o.offer.provider for o, _ in pairs if str(o.tier) != "owned"}:
            theirs = [n * o.monthly_cents for o, n in pairs if o.offer.provider == provider and str(o.tier) != "owned"]
            checks.append((1000 * sum(theirs), share))
    return all(limit is None or value <= limit for value, limit in checks)


def _node_vectors(
    case: Case, chosen: list[tuple[Candidate, int, int]], options: list[NodeOption]
) -> Iterator[dict[NodeOption, int]]:
    """Every way to get nodes for the chosen replicas, with the spares."""
    sizes: dict[tuple, list[int]] = defaultdict(list)
    gpus: dict[tuple, int] = {}
    for candidate, _, replicas in chosen:
        sizes[candidate.node_type.key] += [candidate.spec.gpus] * replicas
        gpus[candidate.node_type.key] = candidate.node_type.gpus_per_node
    per_type = []
    for key, items in sizes.items():
        mine = [option for option in options if option.node_type.key == key]
        need = next((n for n in range(len(items) + 1) if fits(items, n, gpus[key])), None)
        if need is None or not mine:
            return
        spare = case.rules.spare_nodes
        caps = [min(len(items) + spare, 99 if o.max_nodes is None else o.max_nodes) for o in mine]
        more = max(o.from_nodes for o in mine) - 1
        caps = [cap if o.max_nodes is not None else cap + more for cap, o in zip(caps, mine, strict=True)]
        vectors = [
            dict(zip(mine, counts, strict=True))
            for counts in product(*(range(cap + 1) for cap in caps))
            if need + spare <= sum(counts) <= len(items) + spare + _lots(mine, counts) and _sold(mine, counts)
        ]
        per_type.append(vectors)
    for parts in product(*per_type):
        yield {option: n for part in parts for option, n in part.items() if n}


def _sold(options: list[NodeOption], counts: tuple[int, ...]) -> bool:
    """Whether each number is one that is sold, and one offer has one price."""
    used = [(o, n) for o, n in zip(options, counts, strict=True) if n]
    lots = [(o.offer.id, o.tier) for o, _ in used if o.from_nodes > 1 or o.up_to_nodes is not None]
    return len(set(lots)) == len(lots) and all(o.from_nodes <= n <= (o.up_to_nodes or n) for o, n in used)


def _lots(options: list[NodeOption], counts: tuple[int, ...]) -> int:
    """Nodes that may stand empty because the offer is sold in no smaller number."""
    return sum(o.from_nodes - 1 for o, n in zip(options, counts, strict=True) if n)


def all_plans(case: Case) -> list[tuple]:
    """Every plan with its sort key, its slots and its key: (sort key, plan, flagged)."""
    options, slots = allowed_options(case), usable(case)
    order = {(c.key, p): position for position, (c, p) in enumerate(slots)}
    names = [option.key for option in options]
    plans = []
    per_workload = [[s for s in slots if s[0].workload == w] for w in range(len(case.rules.workloads))]
    for combo in product(*per_workload):
        for chosen, factor in _with_replicas(case, list(combo)):
            for nodes in _node_vectors(case, chosen, options):
                if not _within(case, nodes):
                    continue
                cents = sum(n * o.monthly_cents for o, n in nodes.items()) + case.rules.fixed_cents
                gpus = sum(n * o.node_type.gpus_per_node for o, n in nodes.items())
                objective = _objective(case, chosen, cents, gpus, factor)
                positions = tuple(order[c.key, p] for c, p, _ in chosen)
                counts = tuple(-next((n for o, n in nodes.items() if o.key == name), 0) for name in names)
                replicas = sum(r for _, _, r in chosen)
                sort_key = (objective, cents, gpus, positions, replicas, counts)
                plans.append((sort_key, (chosen, nodes), any(_flagged(case, c) for c, _, _ in chosen)))
    plans.sort(key=lambda plan: plan[0])
    return plans


def _with_replicas(case: Case, combo: list[tuple[Candidate, int]]) -> Iterator[tuple[list, int]]:
    if case.rules.objective != "maximize_load":
        yield [(c, p, replicas_for(case, c, p)) for c, p in combo], 1000
        return
    most = case.rules.limits.gpus or 16
    ranges = [range(1, most // c.spec.gpus + 1) for c, _ in combo]
    for counts in product(*ranges):
        chosen = [(c, p, n) for (c, p), n in zip(combo, counts, strict=True)]
        yield chosen, min(factor_of(case, *choice) for choice in chosen)


def factor_of(case: Case, candidate: Candidate, point: int, replicas: int) -> int:
    """Thousandths of the load, each replica's part counted in millionths and rounded down."""
    load, of_point = case.rules.workloads[candidate.workload].load, candidate.points[point]
    pairs = ((of_point.requests_per_second, load.requests_per_second), (of_point.inflight, load.inflight))
    return min(math.floor(capacity / asked * 1e6) * replicas // 1000 for capacity, asked in pairs if asked)


def _objective(case: Case, chosen: list, cents: int, gpus: int, factor: int) -> int:
    match case.rules.objective:
        case "minimize_cost":
            return cents
        case "minimize_gpus":
            return gpus
        case "maximize_load":
            return -factor
    index = 0 if case.rules.objective == "minimize_ttft" else 1
    return max(round(c.points[p].latencies_s[index] * 1e6) for c, p, _ in chosen)


def _flagged(case: Case, candidate: Candidate) -> bool:
    slow = candidate.node_type.link in (Link.PCIE, Link.UNVERIFIED, Link.NVLINK_PAIR)
    return slow and candidate.spec.tensor_parallel >= 4 and candidate.node_type.gpu.id not in case.rules.named_gpus


def _alone(case: Case, candidate: Candidate, point: int) -> float:
    """Cheapest nodes that a candidate needs, whatever the limits: stock only."""
    replicas = replicas_for(case, candidate, point)
    per_node = candidate.node_type.gpus_per_node // candidate.spec.gpus
    left, cents = math.ceil(replicas / per_node) + case.rules.spare_nodes, 0
    mine = [o for o in allowed_options(case) if o.node_type.key == candidate.node_type.key]
    for option in sorted(mine, key=lambda o: o.monthly_cents):
        taken = left if option.max_nodes is None else min(left, option.max_nodes)
        left, cents = left - taken, cents + taken * option.monthly_cents
    return cents if not left else math.inf


def key_of(case: Case, chosen: list, nodes: dict[NodeOption, int]) -> frozenset:
    facts = set()
    for c, _, _ in chosen:
        s, n = c.spec, c.node_type
        name = case.rules.workloads[c.workload].name
        config = (name, n.gpu.id, str(n.link), s.weight_quant, s.kv_cache, s.tensor_parallel, s.pipeline_parallel)
        facts |= {("configuration", config), ("gpu", n.gpu.id), ("weight_quant", s.weight_quant)}
        facts.add(("node", (n.gpus_per_node, n.gpu.id, str(n.link))))
    facts |= {("provider", o.offer.provider) for o in nodes}
    return frozenset(fact for fact in facts if fact[0] in case.rules.distinct_by)


def brute_force(case: Case, plans: list[tuple] | None = None) -> list[tuple]:
    """The ranking: (objective, cents, gpus, slots with replicas, nodes)."""
    plans = all_plans(case) if plans is None else plans
    first = next((plan for plan in plans if not plan[2]), None)
    if first is None:
        return []
    cost = first[0][1] - case.rules.fixed_cents if case.rules.objective == "minimize_cost" else math.inf
    ranking, seen = [(first[0], *first[1])], {key_of(case, *first[1])}
    for sort_key, (chosen, nodes), _ in plans:
        if any(_flagged(case, c) and _alone(case, c, p) < cost for c, p, _ in chosen):
            continue
        key = key_of(case, chosen, nodes)
        if key not in seen:
            seen.add(key)
            ranking.append((sort_key, chosen, nodes))
    return [_row(*plan) for plan in ranking[: case.rules.top]]


def _row(sort_key: tuple, chosen: list, nodes: dict[NodeOption, int]) -> tuple:
    slots = tuple((c.key, p, r) for c, p, r in chosen)
    return (sort_key[0], sort_key[1], sort_key[2], slots, tuple(sorted((o.key, n) for o, n in nodes.items())))


def scip(case: Case) -> float | None:
    """Objective of rank 1 by SCIP, in reals, from a formulation of its own: one binary per (slot, replicas)."""
    from ortools.linear_solver import pywraplp  # type: ignore[attr-defined]

    solver = pywraplp.Solver.CreateSolver("SCIP")
    options, rules = allowed_options(case), case.rules
    nodes = {o: solver.IntVar(0, 200 if o.max_nodes is None else o.max_nodes, "") for o in options}
    picks = []
    for candidate, point in usable(case):
        if _flagged(case, candidate):
            continue
        for chosen, factor in _with_replicas(case, [(candidate, point)]):
            picks.append((solver.BoolVar(""), chosen[0], factor))
    for workload in range(len(rules.workloads)):
        solver.Add(sum(b for b, (c, _, _), _ in picks if c.workload == workload) == 1)
    for key in {o.node_type.key for o in options} | {c.node_type.key for c in case.candidates}:
        mine = [(b, c, r) for b, (c, _, r), _ in picks if c.node_type.key == key]
        have = sum(n for o, n in nodes.items() if o.node_type.key == key)
        for b, _, _ in mine:
            solver.Add(have >= rules.spare_nodes * b)
        used = solver.BoolVar("")
        for b, _, _ in mine:
            solver.Add(used >= b)
        gpus = key[1]
        for size in (1, 2, 4, 8):
            load = sum(b * (r * c.spec.gpus) for b, c, r in mine if c.spec.gpus >= size)
            solver.Add(load <= (have - rules.spare_nodes * used) * (gpus // size * size))
        solver.Add(have <= sum(b * r for b, _, r in mine) + rules.spare_nodes * used)
    _scip_limits(case, solver, nodes)
    money = sum(o.monthly_cents * n for o, n in nodes.items()) + rules.fixed_cents
    match rules.objective:
        case "minimize_cost":
            solver.Minimize(money)
        case "minimize_gpus":
            solver.Minimize(sum(o.node_type.gpus_per_node * n for o, n in nodes.items()))
        case "maximize_load":
            f = solver.NumVar(0, 1e7, "")
            for workload in range(len(rules.workloads)):
                solver.Add(f <= sum(b * factor for b, (c, _, _), factor in picks if c.workload == workload))
            solver.Minimize(-f)
        case _:
            index = 0 if rules.objective == "minimize_ttft" else 1
            worst = solver.NumVar(0, 1e9, "")
            for b, (c, p, _), _ in picks:
                solver.Add(worst >= b * (c.points[p].latencies_s[index] * 1e6))
            solver.Minimize(worst)
    return solver.Objective().Value() if solver.Solve() == pywraplp.Solver.OPTIMAL else None


def _scip_limits(case: Case, solver: object, nodes: dict) -> None:
    limits = case.rules.limits
    pairs = list(nodes.items())

    def at_most(terms: list, limit: int | None) -> None:
        if limit is not None and terms:
            solver.Add(sum(terms) <= limit)  # type: ignore[attr-defined]

    at_most([n * o.node_type.gpus_per_node for o, n in pairs], limits.gpus)
    at_most([n for _, n in pairs], limits.nodes)
    at_most([n * (o.power_kw * 1000) for o, n in pairs], limits.power_w)
    at_most([n * o.monthly_cents for o, n in pairs], limits.budget_cents)
    for quota in limits.quotas:
        mine = [(o, n) for o, n in pairs if (o.offer.provider, o.node_type.gpu.id) == (quota.provider, quota.gpu)]
        at_most([n * o.node_type.gpus_per_node for o, n in mine], quota.max_gpus)
    if limits.gpu_kinds is not None:
        kinds = {o.node_type.gpu.id: solver.BoolVar("") for o, _ in pairs}  # type: ignore[attr-defined]
        for o, n in pairs:
            solver.Add(n <= 200 * kinds[o.node_type.gpu.id])  # type: ignore[attr-defined]
        at_most(list(kinds.values()), limits.gpu_kinds)
