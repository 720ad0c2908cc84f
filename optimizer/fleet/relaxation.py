"""The elastic solve: an infeasible problem with a slack on every promise and rule, and the fewest of them used.

Each solve asks for the fewest rules to give up, then by how little, then for the least money. A rule given up is then
forbidden and the next way out is looked for, so that every single change that helps is found where there is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.candidates.types import Candidate
from optimizer.demand import Load
from optimizer.fleet.candidate_set import CandidateSet
from optimizer.fleet.constraints_ranking import flagged_never_first
from optimizer.fleet.constraints_service import load_paths
from optimizer.fleet.funnel import nvlink_kept, promise_kept
from optimizer.fleet.instance import (
    Instance,
    Slot,
    can_serve,
    decisions_of,
    money_unit,
    power_of,
    slots_of,
    use_prices_of,
)
from optimizer.fleet.lower_bounds import DEMAND, NodeKey, most_cents
from optimizer.fleet.requirements import UserRules
from optimizer.fleet.solve import SMALL, build_model, solver_of
from optimizer.fleet.survival import place_of
from optimizer.fleet.types import SolveSettings
from optimizer.fleet.variables import Variables
from optimizer.pricing.rules import BUYERS
from optimizer.pricing.types import NodeOption
from optimizer.units import seconds_to_us_down
from optimizer.vocabulary import Survive

if TYPE_CHECKING:
    from optimizer.fleet.cpsat import LinearExprT

MOST_CHANGES = 3
"""Ways out that need more changes at once are not looked for."""

MOST_COMBINATIONS = 3
"""Ways out of several changes that are listed."""

FLAGGED = "flagged"
"""Relaxation of the rule that an unnamed card with TP >= 4 over PCIe never comes first."""

_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class WayOut:
    """Rules given up, by how much limits are exceeded, and a plan that then exists."""

    paths: tuple[str, ...]
    excess: dict[str, int]
    slots: tuple[Slot, ...]
    options: tuple[NodeOption, ...]
    cents: int


def ways_out(candidate_set: CandidateSet, options: Sequence[NodeOption], settings: SolveSettings) -> tuple[WayOut, ...]:
    """Smallest sets of changes that make a plan possible; empty where three changes at once do not."""
    rules = _elastic_rules(candidate_set.rules)
    usable = [option for option in options if BUYERS.isdisjoint(rules.options.forbidden_by(option))]
    for changes in range(1, MOST_CHANGES + 1):
        instance = _instance(candidate_set, usable, rules, changes)
        if not can_serve(instance):
            continue
        found = _search(instance, changes, settings)
        if found:
            return tuple(found)
    return ()


def _elastic_rules(rules: UserRules) -> UserRules:
    """Money is what counts last; under ``maximize_load`` any load at all is a way out.

    Ways out are sought with one configuration per workload: what helps one helps a mix, and each is solved again with
    all that the problem permits.
    """
    rules = replace(rules, configurations=1)
    if rules.objective != "maximize_load":
        return replace(rules, objective="minimize_cost")
    tiny = [replace(w, load=Load(0.0, 1e-6, w.load.decided_by)) for w in rules.workloads]
    return replace(rules, objective="minimize_cost", workloads=tuple(tiny))


def _instance(candidate_set: CandidateSet, options: Sequence[NodeOption], rules: UserRules, changes: int) -> Instance:
    """Slots that break at most so many rules by themselves, the cheapest option for each set of rules it breaks."""
    in_play = _cheapest_by_breach(options, rules)
    breaches: dict[NodeKey, set[frozenset[str]]] = defaultdict(set)
    for option in in_play:
        breaches[option.node_type.key].add(_option_breaches(option, rules))
    slots = _worth_trying(
        (slot, broken)
        for candidate in candidate_set.candidates
        if rules.licence_allowed(candidate)
        for slot in slots_of(candidate, rules, DEMAND, range(len(candidate.points)))
        for broken in (slot_breaches(candidate, slot.point, rules),)
        if min((len(broken | by) for by in breaches[slot.node_type.key]), default=MOST_CHANGES + 1) <= changes
    )
    types = {slot.node_type.key for slot in slots}
    in_play = [option for option in in_play if option.node_type.key in types]
    unit = money_unit(0 if not slots else _most_money(slots, in_play))
    return Instance(
        rules=rules,
        slots=tuple(slots),
        options=tuple(sorted(in_play, key=lambda option: option.key)),
        prices=tuple(-(-o.monthly_cents // unit) for o in sorted(in_play, key=lambda option: option.key)),
        power_w=tuple(power_of(o) for o in sorted(in_play, key=lambda option: option.key)),
        decisions=tuple(decisions_of(w, candidate_set.candidates, rules) for w in range(len(rules.workloads))),
        money_unit=unit,
        load_scale=DEMAND,
        use_prices=tuple(use_prices_of(o, unit) for o in sorted(in_play, key=lambda option: option.key)),
    )


def _most_money(slots: Iterable[Slot], options: Sequence[NodeOption]) -> int:
    dearest: dict[tuple[str, int, str, float, float], int] = {}
    for option in options:
        key = option.node_type.key
        dearest[key] = max(dearest.get(key, 0), most_cents(option))
    return max(slot.max_nodes * dearest.get(slot.node_type.key, 0) for slot in slots)


def _cheapest_by_breach(options: Sequence[NodeOption], rules: UserRules) -> list[NodeOption]:
    kept: list[NodeOption] = []
    free: set[tuple[object, ...]] = set()
    for option in sorted(options, key=lambda option: (option.monthly_cents, option.key)):
        place = place_of(option) if rules.survive is Survive.SITE else ()
        group = (option.node_type.key, _option_breaches(option, rules), place)
        if group in free:
            continue
        kept.append(option)
        contracts = option.ordered_in_lots or rules.limits.provider_share is not None
        if (
            option.max_nodes is None
            and not contracts
            and not any(quota.concerns(option) for quota in rules.limits.quotas)
        ):
            free.add(group)
    return kept


def _option_breaches(option: NodeOption, rules: UserRules) -> frozenset[str]:
    return frozenset(rule.path for rule in rules.forbidden_by(option))


def slot_breaches(candidate: Candidate, point: int, rules: UserRules) -> frozenset[str]:
    """Paths of the rules and promises that one operating point breaks by itself."""
    from optimizer.fleet.constraints_service import quality_path_of

    spec, asked = candidate.spec, rules.workloads[candidate.workload]
    broken = {
        "hardware.gpus": not rules.gpu_allowed(candidate.node_type.gpu.id),
        "hardware.datacenter_licensed_only": not rules.licence_allowed(candidate),
        "hardware.nvlink": not nvlink_kept(candidate, rules.nvlink),
        "engine.weight_quant": not rules.quant_allowed(candidate.workload, spec.weight_quant),
        "engine.kv_cache": spec.kv_cache not in rules.kv_caches,
        "engine.tensor_parallel": spec.tensor_parallel not in rules.tensor_parallel,
        "engine.pipeline_parallel": spec.pipeline_parallel not in rules.pipeline_parallel,
        "engine.attention_dp": not rules.ranks_allowed(candidate),
        "engine.expert_parallel": not rules.experts_allowed(candidate.experts),
        quality_path_of(asked): candidate.recovery < asked.min_recovery,
        "ranking.min_grade": not rules.grade_allowed(candidate.grade),
        FLAGGED: rules.is_flagged(candidate),
    }
    promises = enumerate(asked.slo.promises)
    broken |= {promise.path: not promise_kept(candidate, point, index, rules) for index, promise in promises}
    return frozenset(path for path, is_broken in broken.items() if is_broken)


def _worth_trying(slots: Iterable[tuple[Slot, frozenset[str]]]) -> list[Slot]:
    """Of slots of one workload on one node type that break the same rules, those that no other beats.

    One beats another with latencies as low, as few nodes and as much capacity per node. This is for speed only: a way
    out is solved again before anybody sees it.
    """
    groups: dict[tuple[int, NodeKey, frozenset[str]], list[Slot]] = defaultdict(list)
    for slot, broken in slots:
        groups[slot.workload, slot.node_type.key, broken].append(slot)
    kept = [slot for (_, _, broken), group in groups.items() for slot in _front(group, broken)]
    return sorted(kept, key=lambda slot: (slot.candidate.key, slot.point))


def _front(group: list[Slot], broken: frozenset[str]) -> list[Slot]:
    """Pareto front by excess, nodes and capacity per node; latencies count only where a promise is broken."""
    scores = [(max(slot.latencies_us, default=0) if broken else 0, slot.max_nodes, -_density(slot)) for slot in group]
    order = sorted(range(len(group)), key=lambda index: (scores[index], group[index].candidate.key, group[index].point))
    front: list[int] = []
    for index in order:
        if not any(all(a <= b for a, b in zip(scores[other], scores[index], strict=True)) for other in front):
            front.append(index)
    return [group[index] for index in front]


def _density(slot: Slot) -> int:
    """Capacity of a node full of such replicas, as far as the demand goes."""
    capacity = min(DEMAND, *(value for value in slot.capacity if value >= 0))
    return min(DEMAND, capacity * slot.candidate.replicas_per_node)


def _search(instance: Instance, changes: int, settings: SolveSettings) -> list[WayOut]:
    """Ways out of at most so many changes, all of the same, smallest number."""
    from optimizer.fleet.cpsat import LinearExpr

    v = build_model(instance, elastic=True)
    flagged_never_first(v)
    given_up = LinearExpr.sum(list(v.relaxations().values()))
    v.cp.add(given_up <= changes)
    found: list[WayOut] = []
    while len(found) < (len(v.relaxations()) if changes == 1 else MOST_COMBINATIONS):
        way = _solve(v, given_up, settings)
        if way is None or (found and len(way.paths) > len(found[0].paths)):
            break
        found.append(way)
        v.cp.add(sum(v.relaxations()[path] for path in way.paths) <= len(way.paths) - 1)
    return found


def _solve(v: Variables, given_up: LinearExprT, settings: SolveSettings) -> WayOut | None:
    from optimizer.fleet.cpsat import FEASIBLE, OPTIMAL

    cp = v.cp.clone()
    solver = None
    for level in (given_up, _how_much(v), v.cost()):
        cp.minimize(level)
        solver = solver_of(settings, small=len(v.instance.slots) <= SMALL)
        if solver.solve(cp) not in (OPTIMAL, FEASIBLE):
            return None
        cp.add(level == round(solver.objective_value))
    assert solver is not None
    instance = v.instance
    paths = tuple(path for path, literal in sorted(v.relaxations().items()) if solver.value(literal))
    if not paths:
        return None
    return WayOut(
        paths=paths,
        excess={path: int(solver.value(excess)) for path, excess in v.excesses().items() if path in paths},
        slots=tuple(slot for index, slot in v.slots() if solver.value(v.at(index))),
        options=tuple(
            option for index, option in enumerate(instance.options) if any(map(solver.value, v.node_counts(index)))
        ),
        cents=round(solver.objective_value) * instance.money_unit + instance.rules.fixed_cents,
    )


def _how_much(v: Variables) -> LinearExprT:
    """Sum of the excesses, each as a share of its limit in parts of 10,000."""
    rules = v.instance.rules
    limits = rules.limits
    scale: dict[str, int] = {
        "hardware.limits.max_gpus": limits.gpus or 1,
        "hardware.limits.max_nodes": limits.nodes or 1,
        "hardware.limits.max_power_kw": limits.power_w or 1,
        "budget.monthly": (limits.budget_cents or 1) // v.instance.money_unit,
    }
    for asked in rules.workloads:
        scale |= {promise.path: seconds_to_us_down(promise.limit_s) for promise in asked.slo.promises}
        scale |= dict.fromkeys(load_paths(asked), DEMAND)
        scale[f"{asked.path}.traffic.min_replicas"] = asked.load.min_replicas
    return sum(excess * max(1, _PARTS // max(1, scale.get(path, 1))) for path, excess in v.excesses().items())
