"""Solving one model: lexicographic levels, each proven before the next is asked.

Mixes: the one plan among those that tie, and who serves what share of a workload.

Builds the CP-SAT model of an instance: every rule by name, none hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.errors import InternalError
from optimizer.fleet import (
    constraints_nodes,
    constraints_pools,
    constraints_ranking,
    constraints_service,
    rules_orders,
    rules_survival,
)
from optimizer.fleet.instance import ACTIVITY_LIMIT, Instance, is_latency_objective
from optimizer.fleet.survival import lost_with_a_node, lost_with_a_site
from optimizer.fleet.types import SolveSettings, Standing
from optimizer.fleet.variables import Variables, most_money
from optimizer.pricing.types import NodeType
from optimizer.units import SHARE_UNITS
from optimizer.vocabulary import Role, Survive

if TYPE_CHECKING:
    from optimizer.fleet.cpsat import CpModel, CpSolver, IntVar, LinearExprT


SMALL = 500
"""Slots up to which a model counts as small."""


@dataclass(frozen=True, slots=True)
class Level:
    """One objective of the lexicographic order."""

    name: str
    expression: LinearExprT
    maximize: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A plan in the indices of the model. Numbers are the largest of any period of the day profile."""

    replicas: dict[int, int]  # by slot, chosen ones only
    nodes: dict[int, int]  # by option, used ones only
    spares: int
    value: int  # of the first level
    bound: int
    proven: bool
    replicas_running: dict[int, tuple[int, ...]]  # by slot: replicas in each period
    nodes_running: dict[int, tuple[int, ...]]  # by option
    lost: dict[int, int]  # by slot: replicas that are gone with whatever the plan survives
    places: dict[int, tuple[Standing, ...]]  # by slot, where a site may be gone


@dataclass(frozen=True, slots=True)
class Nothing:
    """No plan: proven so, or only not found within the limit."""

    proven: bool


def levels(v: Variables) -> list[Level]:
    """The objective, then money, then GPUs, then the content of the candidates, then replicas.

    The content order makes the answer unique whatever the seed. Where an objective is the money or the GPUs
    themselves, it is not asked twice. Of plans that tie so far, one that splits fewer workloads into their length
    classes comes first, and one without pools. Mixes are settled in ``mix`` after money and GPUs.
    """
    objective = v.instance.rules.objective
    cost, gpus = Level("cost", v.cost()), Level("gpus", v.gpus())
    match objective:
        case "minimize_cost":
            first = [cost, gpus]
        case "minimize_gpus":
            first = [gpus, cost]
        case "maximize_load":
            first = [Level("factor", v.factor(), maximize=True), cost, gpus]
        case _:
            first = [Level("latency", v.worst()), cost, gpus]
    splits = [Level("splits", v.splits())] if v.splittable() else []
    if v.instance.rules.mixed:
        return [*first, *splits]
    if v.instance.pools is not None:
        return [*first, Level("split", v.split()), Level("replicas", v.replicas()), *_content_by_role(v)]
    rest = [*first[1:], *splits, *_content(v), Level("replicas", v.replicas())]
    return [first[0], *_merged(rest, _reaches(v, [*first[1:], *splits]))]


def _reaches(v: Variables, before_content: Sequence[Level]) -> list[int]:
    """How large each level after the first can get."""
    instance = v.instance
    most_nodes = {node_type.key: instance.max_nodes(node_type) for node_type in instance.node_types}
    nodes = [most_nodes[option.node_type.key] for option in instance.options]
    gpus = sum(n * option.node_type.gpus_per_node for n, option in zip(nodes, instance.options, strict=True))
    money = most_money(instance, nodes)
    most = [[slot.max_replicas for _, slot in v.slots(w)] for w in range(len(instance.rules.workloads))]
    content = [len(of_workload) for of_workload in most]
    reach = {"cost": money, "gpus": gpus, "splits": len(v.splittable())}
    return [
        *(reach[level.name] for level in before_content),
        *content,
        sum(max(m, default=0) for m in most) * len(v.periods),
    ]


def _merged(levels: Sequence[Level], reaches: Sequence[int]) -> list[Level]:
    """Neighbouring levels as one, weighted, as long as the weights stay small: fewer solves, the same answer."""
    merged: list[Level] = []
    size = ACTIVITY_LIMIT
    for level, reach in zip(levels, reaches, strict=True):
        if size * (reach + 1) >= ACTIVITY_LIMIT // 4 or not merged:
            merged.append(level)
            size = reach + 1
        else:
            last = merged[-1]
            merged[-1] = Level(f"{last.name}, {level.name}", last.expression * (reach + 1) + level.expression)
            size *= reach + 1
    return merged


def _content(v: Variables) -> list[Level]:
    """Position of the chosen slot in content order, workload after workload."""
    return [
        Level(f"content {w}", _weighted([(position, v.at(index)) for position, (index, _) in enumerate(v.slots(w))]))
        for w in range(len(v.instance.rules.workloads))
    ]


def _content_by_role(v: Variables) -> list[Level]:
    """The position of the chosen slot of each role in content order, then how many prefill workers there are."""
    found = []
    for role in Role:
        mine = [index for index, slot in v.slots() if slot.candidate.role is role]
        found.append(Level(f"content {role}", _weighted([(at, v.at(index)) for at, index in enumerate(mine)])))
    before = [v.reps(index) for index, slot in v.slots() if slot.candidate.role is Role.PREFILL]
    return [*found, Level("prefill workers", _weighted([(1, count) for count in before]))]


def _weighted(terms: Sequence[tuple[int, IntVar]]) -> LinearExprT:
    from optimizer.fleet.cpsat import LinearExpr

    return LinearExpr.weighted_sum([variable for _, variable in terms], [weight for weight, _ in terms])


def solver_of(settings: SolveSettings, *, small: bool = True) -> CpSolver:
    """One worker, fixed seed, limits in deterministic time; presolve inclusion off (or-tools issue 5293).

    Small models spend most of a solve on probing and symmetry that they do not need.
    """
    from optimizer.fleet.cpsat import CpSolver

    solver = CpSolver()
    parameters = solver.parameters
    parameters.num_workers = 1
    parameters.random_seed = settings.random_seed
    parameters.presolve_inclusion_work_limit = 0
    parameters.max_deterministic_time = settings.max_deterministic_time
    parameters.symmetry_level = 0
    if settings.clock.left is not None:
        parameters.max_time_in_seconds = settings.clock.left
    if small:
        parameters.cp_model_probing_level = 0
    return solver


def solve_levels(v: Variables, cp: CpModel, settings: SolveSettings) -> Found | Nothing:
    """Solve level after level on a copy of the model, each value held as an equality for the next."""
    from optimizer.fleet.cpsat import FEASIBLE, INFEASIBLE, OPTIMAL

    proven, first = True, True
    value = bound = 0
    found: Found | None = None
    for level in levels(v)[: 1 if settings.first_level else None]:
        if level.maximize:
            cp.maximize(level.expression)
        else:
            cp.minimize(level.expression)
        solver = solver_of(settings, small=len(v.instance.slots) <= SMALL)
        status = solver.solve(cp)
        if status not in (OPTIMAL, FEASIBLE):
            if found is None:
                return Nothing(proven=status == INFEASIBLE)
            proven = False
            break
        reached, best = round(solver.objective_value), round(solver.best_objective_bound)
        proven = proven and status == OPTIMAL and reached == best
        if first:
            value, bound, first = reached, best, False
        found = _read(v, solver, value, bound, proven)
        cp.add(level.expression == reached)
    assert found is not None
    if not proven or settings.first_level:
        return found
    return _canonical_nodes(v, cp, settings, _settled(v, cp, settings, found) if v.instance.rules.mixed else found)


def _settled(v: Variables, cp: CpModel, settings: SolveSettings, found: Found) -> Found:
    """The one mix among those that tie on every level so far."""
    from optimizer.fleet.cpsat import OPTIMAL

    def least(expression: LinearExprT) -> CpSolver | None:
        cp.minimize(expression)
        solver = solver_of(settings, small=len(v.instance.slots) <= SMALL)
        if solver.solve(cp) != OPTIMAL:
            return None
        cp.add(expression == round(solver.objective_value))
        return solver

    solver = settle(v, cp, least)
    return found if solver is None else _read(v, solver, found.value, found.bound, found.proven)


def _read(v: Variables, solver: CpSolver, value: int, bound: int, proven: bool) -> Found:
    chosen = [index for index, _ in v.slots() if solver.value(v.at(index))]
    replicas = {index: tuple(int(solver.value(v.reps(index, p))) for p in v.periods) for index in chosen}
    counts = ((i, tuple(int(solver.value(v.node(i, p))) for p in v.periods)) for i in range(len(v.instance.options)))
    nodes = {index: running for index, running in counts if any(running)}
    counted = {
        index: [(at, int(solver.value(count))) for at, count in sorted(v.standing(index).items())] for index in chosen
    }
    places = {index: tuple(Standing(*at, n) for at, n in there if n) for index, there in counted.items()}
    return Found(
        replicas={index: max(running) for index, running in replicas.items()},
        nodes={index: max(running) for index, running in nodes.items()},
        spares=v.instance.rules.spare_nodes,
        value=value,
        bound=bound,
        proven=proven,
        replicas_running=replicas,
        nodes_running=nodes,
        lost={index: _lost(v, index, places[index]) for index in chosen},
        places=places,
    )


def _lost(v: Variables, index: int, places: Sequence[Standing]) -> int:
    """Replicas of a slot that are gone with whatever the plan survives: no more than that, whatever the solver put."""
    match v.instance.rules.survive:
        case Survive.NODE:
            return lost_with_a_node(v.instance.slots[index].candidate)
        case Survive.SITE:
            return lost_with_a_site(places)
    return 0


def _canonical_nodes(v: Variables, cp: CpModel, settings: SolveSettings, found: Found) -> Found:
    """Of plans that tie so far, the one with most nodes of the option first in content order, then the second, ...

    Nothing is asked where every node type in use has one option left, or its nodes all are of its single cheapest. With
    a day profile the numbers of all periods are asked for, several in one weighted level.
    """
    from optimizer.fleet.cpsat import OPTIMAL

    for expression in _open_numbers(v, found):
        cp.maximize(expression)
        solver = solver_of(settings)
        if solver.solve(cp) != OPTIMAL:
            return found
        cp.add(expression == round(solver.objective_value))
        found = _read(v, solver, found.value, found.bound, found.proven)
    return found


def _open_numbers(v: Variables, found: Found) -> list[LinearExprT]:
    """Numbers of nodes that may still vary, the first to settle first."""
    if len(v.periods) == 1:
        return [v.node(index) for index in _open_options(v, found)]
    used = {v.instance.options[index].node_type.key for index in found.nodes}
    most = {key: v.instance.max_nodes(node_type) for key, node_type in _types_of(v.instance, found).items()}
    counts = [
        (Level(f"nodes {index}", count), most[option.node_type.key])
        for index, option in enumerate(v.instance.options)
        if option.node_type.key in used
        for count in v.node_counts(index)
    ]
    merged = _merged([level for level, _ in counts], [reach for _, reach in counts])
    return [level.expression for level in merged] if len(counts) > 1 else []


def _types_of(instance: Instance, found: Found) -> dict[tuple[str, int, str, float, float], NodeType]:
    """Node types that a plan has nodes of."""
    return {instance.options[index].node_type.key: instance.options[index].node_type for index in found.nodes}


def _open_options(v: Variables, found: Found) -> list[int]:
    """Options whose number may still vary, in content order."""
    instance = v.instance
    used = _types_of(instance, found)
    if any(option.ordered_in_lots for option in instance.options) or instance.rules.limits.provider_share is not None:
        return [index for index, option in enumerate(instance.options) if option.node_type.key in used]
    members = {key: [i for i, o in enumerate(instance.options) if o.node_type.key == key] for key in used}
    if all(
        _is_single_cheapest(indices, found, instance.prices) or _is_only_cheapest_fill(indices, found, instance)
        for indices in members.values()
    ):
        return []
    return sorted(index for indices in members.values() if len(indices) > 1 for index in indices)


def _is_single_cheapest(indices: Sequence[int], found: Found, prices: Sequence[int]) -> bool:
    cheapest = min(prices[index] for index in indices)
    ties = [index for index in indices if prices[index] == cheapest]
    return len(indices) == 1 or (len(ties) == 1 and all(index == ties[0] for index in indices if index in found.nodes))


def _is_only_cheapest_fill(indices: Sequence[int], found: Found, instance: Instance) -> bool:
    """Whether no other nodes of the type cost as little: all cheaper stocks are used up, and no equally dear is left.

    Only where each option stands for itself: no quota, no second tier of an offer, no replica over several nodes.
    """
    options, prices = [instance.options[index] for index in indices], instance.prices
    if instance.rules.limits.quotas or any(option.node_type.fabric_gbps for option in options):
        return False
    if len({option.offer.id for option in options}) < len(options):
        return False
    dearest = max(prices[index] for index in indices if index in found.nodes)
    for index in indices:
        stock, used = instance.options[index].max_nodes, found.nodes.get(index, 0)
        if prices[index] < dearest and used != stock:
            return False
    ties = [index for index in indices if prices[index] == dearest]
    return len(ties) == 1 or all(instance.options[i].max_nodes == found.nodes.get(i, 0) for i in ties)


Minimum = Callable[["LinearExprT"], "CpSolver | None"]
"""Solves for the least value of an expression and holds it; None where that was not proven."""


def settle(v: Variables, cp: CpModel, least: Minimum) -> CpSolver | None:
    """Of mixes that tie so far: fewest configurations, first in content order (workload by workload), fewest replicas.

    Content order alone would not do as a sum: positions 1 and 4 add up to the same as 2 and 3. So the first chosen
    position is made small, then the second, and so on. Returns the solver that holds the answer; None where a step was
    not proven.
    """
    solver = None
    for workload in range(len(v.instance.rules.workloads)):
        solver = least(v.chosen(index for index, _ in v.slots(workload)))
        if solver is None:
            return None
        chosen = [index for index, _ in v.slots(workload) if solver.value(v.at(index))]
        for expression in _positions(v, cp, workload, len(chosen)):
            solver = least(expression)
            if solver is None:
                return None
    solver = least(v.replicas())
    chosen = [] if solver is None else [index for index, _ in v.slots() if solver.value(v.at(index))]
    served = {v.instance.slots[index].workload for index in chosen}
    for index in chosen if len(chosen) > len(served) else ():
        solver = least(v.reps(index))
        if solver is None:
            return None
    return solver


def _positions(v: Variables, cp: CpModel, workload: int, count: int) -> Iterator[LinearExprT]:
    """Content positions of the first, second, ... chosen slot, as expressions: ``sum of p first[p]``, one of them 1."""
    from optimizer.fleet.cpsat import LinearExpr

    slots = [index for index, _ in v.slots(workload)]
    before = None
    for number in range(count):
        here = [cp.new_bool_var(f"place[{workload},{number},{index}]") for index in slots]
        cp.add_exactly_one(here)
        for literal, index in zip(here, slots, strict=True):
            cp.add_implication(literal, v.at(index))
        position = LinearExpr.weighted_sum(here, list(range(len(slots))))
        if before is not None:
            cp.add(position >= before + 1)
        yield position
        before = position


def shares_of(instance: Instance, replicas: Mapping[int, int]) -> dict[int, int]:
    """Shares in 1/2520 of each chosen slot: in proportion to what its replicas carry (those that are left, where
    something may be gone), so that all run equally full.

    No share is more than its replicas carry. One slot of a workload alone serves all of it.
    """
    shares: dict[int, int] = {}
    if instance.pools is not None:  # each pool takes part in every request
        return dict.fromkeys(replicas, SHARE_UNITS)
    for workload in range(len(instance.rules.workloads)):
        mine = [index for index in sorted(replicas) if instance.slots[index].workload == workload]
        if len(mine) == 1:
            shares[mine[0]] = SHARE_UNITS
            continue
        carried = [_carried(instance, index, replicas[index]) for index in mine]
        shares |= zip(mine, split(carried), strict=True)
    return shares


def _carried(instance: Instance, index: int, replicas: int) -> int:
    """Parts of the workload, in 1/2520, that replicas of a slot carry."""
    slot = instance.slots[index]
    capacity = min(value for value in slot.capacity if value >= 0) * replicas * SHARE_UNITS // instance.load_scale
    known = instance.carried.get(slot.candidate.key)
    return capacity if known is None else min(capacity, known.most(replicas))


def split(carried: Sequence[int]) -> list[int]:
    """2520 parts in proportion to what each can carry (2520 at least in all), none more than it can.

    Each gets its proportion rounded down, and those with the largest remainders one part more.
    """
    total = sum(carried)
    parts = [SHARE_UNITS * one // total for one in carried]
    order = sorted(range(len(parts)), key=lambda i: (-(SHARE_UNITS * carried[i] % total), i))
    for index in order[: SHARE_UNITS - sum(parts)]:
        parts[index] += 1
    return parts


def build_model(instance: Instance, *, elastic: bool = False) -> Variables:
    """Variables of a new model with every rule stated and no objective yet."""
    from optimizer.fleet.cpsat import CpModel

    v = Variables(CpModel(), instance, elastic)
    _service(v)
    _decisions(v)
    _nodes(v)
    _limits(v)
    if not elastic:
        constraints_ranking.facts(v)
    problem = v.cp.validate()
    if problem:
        raise InternalError(f"the fleet model is not valid: {problem}")
    return v


def _service(v: Variables) -> None:
    constraints_service.one_candidate(v)
    constraints_pools.one_pair(v)
    constraints_pools.capacity(v)
    constraints_pools.missed(v)
    constraints_service.replicas_follow(v)
    constraints_service.min_replicas(v)
    if v.instance.rules.objective == "maximize_load":
        constraints_service.capacity_at_factor(v)
    else:
        constraints_service.capacity(v)
    constraints_service.carried_as_replayed(v)
    constraints_service.latency(v)
    if is_latency_objective(v.instance.rules):
        constraints_service.worst_latency(v)


def _decisions(v: Variables) -> None:
    constraints_service.channel(v)
    constraints_service.allowed_gpus(v)
    constraints_service.licences(v)
    constraints_service.nvlink(v)
    constraints_service.weight_quants(v)
    constraints_service.kv_caches(v)
    constraints_service.parallel_sizes(v)
    constraints_service.expert_shapes(v)
    constraints_service.quality(v)
    constraints_service.grades(v)
    constraints_service.gpu_kinds(v)


def _nodes(v: Variables) -> None:
    constraints_nodes.in_use(v)
    constraints_nodes.packing(v)
    if len(v.periods) == 1:
        constraints_nodes.no_empty_nodes(v)
    else:
        constraints_nodes.no_idle_renting(v)
    constraints_nodes.spans_one_offer(v)
    rules_survival.survives_a_node(v)
    rules_survival.survives_a_site(v)
    constraints_nodes.offer_rules(v)
    constraints_pools.inside_one_node(v)
    constraints_pools.one_site(v)
    constraints_pools.pays(v)


def _limits(v: Variables) -> None:
    constraints_nodes.max_gpus(v)
    constraints_nodes.max_nodes(v)
    constraints_nodes.max_power(v)
    constraints_nodes.budget(v)
    constraints_nodes.stock(v)
    constraints_nodes.quota(v)
    rules_orders.order_sizes(v)
    rules_orders.provider_share(v)


def model_text(v: Variables) -> str:
    """The model as protobuf text, as ``--save-model`` writes it."""
    return str(v.cp.proto)
