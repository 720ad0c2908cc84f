"""The two what-ifs of the ranked table: a stream of tokens slower than predicted, more load; and what they cost.

What-ifs about the best plan: does it hold, and if not, what does one that would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.demand import Metric
from optimizer.plan.types import Stress
from optimizer.pricing import option_key
from optimizer.problem import figure_of
from optimizer.units import CENTS_PER_UNIT
from optimizer.vocabulary import Survive, Tier
from optimizer.whatif.case import Winner, ask, near

if TYPE_CHECKING:
    from optimizer.demand import Load
    from optimizer.fleet.requirements import UserRules
    from optimizer.fleet.types import FleetResult
    from optimizer.plan.types import NodeLine, Plan
    from optimizer.pricing import NodeOption
    from optimizer.whatif.case import Case


SLOWER = 1.2
BUSIER = 1.5

PRICED_UP_TO = 10_000
"""Configurations inside the user's rules up to which what-ifs are priced: beyond, each takes as long as the answer."""


def quick_stress(plan: Plan, objective: str) -> tuple[Stress, ...]:
    """The two most telling what-ifs of the best plan, as far as they need no solving; ``optimize explain`` has more."""
    slower = first_stress(plan)
    if objective == "maximize_load":
        return () if slower is None else (slower,)
    busier = plan.load_factor >= BUSIER
    load = Stress("load x 1.5", busier, plan.monthly_cents if busier else None)
    return (load,) if slower is None else (slower, load)


def first_stress(plan: Plan) -> Stress | None:
    """TPOT 20 % worse than the median estimate; None where nothing is promised about it. Not priced."""
    promised = [p for one in plan.predicted for p in one.promises if p.metric is Metric.TPOT and p.limit_s is not None]
    if not promised:
        return None
    holds = slower_holds(plan)
    tightest = max(promised, key=lambda p: p.estimate_s / (p.limit_s or p.estimate_s))
    reached = tightest.estimate_s * SLOWER
    return Stress("TPOT 20 % worse", holds, plan.monthly_cents if holds else None, reached, tightest.limit_s)


def slower_holds(plan: Plan) -> bool:
    """Whether every TPOT promise holds with the median estimate times 1.2."""
    return all(
        p.estimate_s * SLOWER <= p.limit_s
        for one in plan.predicted
        for p in one.promises
        if p.metric is Metric.TPOT and p.limit_s is not None
    )


def priced_stress(case: Case, plan: Plan, stress: Sequence[Stress]) -> tuple[Stress, ...]:
    """Where the plan does not hold, what the best one that does costs: each is one more solve, left to
    ``optimize explain`` where the problem is large."""
    from optimizer.fleet import SolveSettings

    if len(case.candidates.candidates) > PRICED_UP_TO:
        return tuple(stress)

    problem, by_cost = case.inputs.problem, case.candidates.rules.objective == "minimize_cost"
    headroom = (1.0 + problem.margins.load_headroom) * BUSIER - 1.0
    how = SolveSettings(first_level=by_cost, clock=case.clock)

    def priced(one: Stress) -> Stress:
        if one.holds:
            return one
        edits = [f"margins.load_headroom={headroom:.12g}"] if one.reached_s is None else _tighter(case, plan)
        return repaired(one, case.edited(edits).solve_near(plan.monthly_cents, how))

    return tuple(map(priced, stress))


def repaired(broken: Stress, result: FleetResult) -> Stress:
    """The what-if with what the best that stands it costs and, where that is the objective, carries."""
    if not result.solutions:
        return broken
    best = result.solutions[0]
    factor = best.load_factor if result.objective == "maximize_load" else None
    return replace(broken, monthly_cents=best.monthly_cents, load_factor=factor)


def _tighter(case: Case, plan: Plan) -> list[str]:
    """TPOT limits that are smaller by what 1.2 exceeds the smallest margin there is: that of own measurements where the
    plan runs on a setup that the user measured, else that of a grade A prediction."""
    from optimizer.performance import error_factor
    from optimizer.performance.accuracy import OWN, is_own
    from optimizer.performance.types import Grade

    problem, engines = case.inputs.problem, case.inputs.catalog.engines
    setups = {(group.gpu, group.model, group.weight_quant) for group in plan.groups}
    specs = [one.spec for one in case.candidates.candidates] if case.inputs.params.own else []
    mine = [one for one in specs if (one.gpu.id, one.model.id, one.weight_quant) in setups]
    measured = any(is_own(one, case.inputs.params) for one in mine)
    source = OWN if measured else engines[problem.engine.name].profile
    margin = error_factor(Metric.TPOT, Grade.A, problem.margins.confidence, source)
    scale = min(1.0, margin / SLOWER)
    promises = [p for one in plan.predicted for p in one.promises if p.metric is Metric.TPOT and p.limit_s is not None]
    edits = []
    for promise in promises:
        assert promise.limit_s is not None
        if figure_of(promise.path).is_speed:
            edits.append(f"{promise.path}={1 / (promise.limit_s * scale):.12g}")
        else:
            edits.append(f"{promise.path}={promise.limit_s * 1e3 * scale:.12g}")
    return edits


DEARER = 1.1

NEXT_TO_NOTHING = 1e-6
"""Share of its load that stands for a workload in a period without any, where a plan is asked of each period alone."""


def stress(case: Case, best: Winner, plan: Plan) -> tuple[Stress, ...]:
    """TPOT worse than predicted, dearer prices, more load, one node gone."""
    lean = case.allowed()
    quick = priced_stress(lean, plan, quick_stress(plan, best.result.objective))
    slower = [one for one in quick if one.reached_s is not None]
    busier = [one for one in quick if one.reached_s is None]
    return (*slower, *_dearer(lean, best, plan), *busier, _one_node_gone(lean, best, plan))


def _dearer(case: Case, best: Winner, plan: Plan) -> list[Stress]:
    """All prices + 10 %, then only those of the plan's own offers: does it stay the best, within the budget?

    Hardware of one's own has no price to rise."""
    own = {node.offer_id for node in plan.nodes if node.tier is not Tier.OWNED}
    lines = []
    allowed = (option for option in case.options if not case.candidates.rules.forbidden_by(option))
    if all(option.tier is Tier.OWNED for option in allowed):
        return []
    for what, concerned in (("all prices + 10 %", None), ("prices of its own offers + 10 %", own)):
        if concerned is not None and not concerned:
            continue
        options = tuple(_raised(o) if concerned is None or o.offer.id in concerned else o for o in case.options)
        priced = replace(case, options=options)
        after = near(priced, best)
        lines.append(Stress(what, after.identity == best.identity, after.cents, of_prices=True))
    return lines


def _raised(option: NodeOption) -> NodeOption:
    """The option 10 % dearer, rounded up to the cent; own hardware has no price to raise."""
    if option.tier is Tier.OWNED:
        return option
    periods = tuple(
        replace(price, cents=_dearer_cents(price.cents), start_cents=_dearer_cents(price.start_cents))
        for price in option.periods
    )
    return replace(option, monthly_cents=_dearer_cents(option.monthly_cents), periods=periods)


def _dearer_cents(cents: int) -> int:
    return -(-cents * round(DEARER * CENTS_PER_UNIT) // CENTS_PER_UNIT)


def may_lose_a_node(case: Case) -> bool:
    """Whether what goes on with any one node gone can be asked beside the problem: not of mixes, which it takes long to
    ask, not of pools, where it is not judged, and not where the problem asks for it anyway."""
    rules = case.candidates.rules
    asked = rules.survive is not Survive.NONE
    return rules.objective == "minimize_cost" and not (rules.mixed or rules.pools_required or asked)


def surviving(case: Case) -> Case:
    """The case with every promise kept while any one node is gone and nothing is started again."""
    return case.edited([f"margins.survive={Survive.NODE}"])


def _one_node_gone(case: Case, best: Winner, plan: Plan) -> Stress:
    """With any one node of the plan gone and nothing started again, is every promise kept? Where that is not known of
    the plan: do the rest carry the load with its replicas placed anew?"""
    from optimizer.fleet import SolveSettings

    if plan.without_a_node:
        return Stress("one node gone", True, plan.monthly_cents)
    if plan.without_a_node is False and may_lose_a_node(case):
        result = surviving(case).solve_near(plan.monthly_cents, SolveSettings(clock=case.clock))
        return repaired(Stress("one node gone", False, None), result)
    asked_apart = bool(plan.periods) and case.replays is not None
    what = "one node gone (not replayed)" if asked_apart else "one node gone"
    if best.result.objective != "maximize_load" and all(_carries_on(case, best, plan, node) for node in plan.nodes):
        return Stress(what, True, plan.monthly_cents)
    spare = case.inputs.problem.margins.spare_nodes + 1
    return repaired(Stress(what, False, None), ask(case, [f"margins.spare_nodes={spare}"]).result)


def _carries_on(case: Case, best: Winner, plan: Plan, gone: NodeLine) -> bool:
    """Solve with nothing but the plan's own configurations on its own nodes, less the one that is gone.

    With a day profile in each period by itself, with the nodes that run there; that is not replayed, as the load of a
    replay is the busiest one.
    """
    if not plan.periods:
        return _solvable(case, best, {line: line.count - (line == gone) for line in plan.nodes}, case.candidates.rules)
    for index, period in enumerate(plan.periods):
        counts = dict(zip(plan.nodes, period.nodes, strict=True))
        if counts[gone]:
            counts[gone] -= 1
            if not _solvable(replace(case, replays=None), best, counts, _rules_in(case.candidates.rules, index)):
                return False
    return True


def _rules_in(rules: UserRules, period: int) -> UserRules:
    """The rules with the load of one period of the day profile; where there is none, as good as none."""
    return replace(
        rules,
        periods=(),
        workloads=tuple(replace(asked, load=_load_in(asked.load, period)) for asked in rules.workloads),
    )


def _load_in(load: Load, period: int) -> Load:
    factor = max(load.factors[period], NEXT_TO_NOTHING)
    return replace(load, factors=(factor,)).in_period(0) if factor < 1 else replace(load, factors=())


def _solvable(case: Case, best: Winner, counts: Mapping[NodeLine, int], limits: UserRules) -> bool:
    assert best.solution is not None
    left = {option_key(node.offer_id, node.tier, node.from_nodes): count for node, count in counts.items()}
    keys = {group.candidate.key for group in best.solution.groups}
    options = tuple(
        replace(
            option,
            offer=replace(option.offer, id="|".join(option.key)),
            max_nodes=left[option.key],
            periods=(),
            from_nodes=1,
            up_to_nodes=None,
        )
        for option in case.options
        if left.get(option.key)
    )
    there = replace(limits.limits, provider_share=None)  # bought already
    rules = replace(limits, spare_nodes=0, survive=Survive.NONE, objective="minimize_cost", limits=there)
    kept = tuple(one for one in case.candidates.candidates if one.key in keys)
    rest = replace(case, options=options, candidates=replace(case.candidates, candidates=kept, rules=rules))
    return bool(rest.solve().solutions)
