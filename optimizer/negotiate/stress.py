"""What-ifs about the best plan: does it hold, and if not, what does one that would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.decide.stress import BUSIER, SLOWER, first_stress, slower_holds
from optimizer.negotiate.ask import Winner, ask
from optimizer.plan.types import Stress
from optimizer.units import CENTS_PER_UNIT
from optimizer.vocabulary import Tier
from optimizer.workload import Metric

if TYPE_CHECKING:
    from optimizer.candidates.rules import UserRules
    from optimizer.decide.case import Case
    from optimizer.plan.types import NodeLine, Plan
    from optimizer.pricing import NodeOption
    from optimizer.workload import Load

DEARER = 1.1

NEXT_TO_NOTHING = 1e-6
"""Share of its load that stands for a workload in a period without any, where a plan is asked of each period alone."""


def stress(case: Case, best: Winner, plan: Plan) -> tuple[Stress, ...]:
    """TPOT worse than predicted, dearer prices, more load, one node gone."""
    lean = case.allowed()
    lines = [*_slower(lean, plan), *_dearer(lean, best, plan)]
    if best.result.objective != "maximize_load":
        lines.append(_busier(lean, plan))
    return (*lines, _one_node_gone(lean, best, plan))


def _slower(case: Case, plan: Plan) -> list[Stress]:
    """The median estimate of TPOT times 1.2. What then holds keeps limits that are smaller by what 1.2 exceeds the
    margin of a grade A prediction, the smallest there is."""
    quick = first_stress(plan)
    if quick is None or slower_holds(plan):
        return [] if quick is None else [quick]
    from optimizer.performance import error_factor
    from optimizer.performance.types import Grade

    problem, engines = case.inputs.problem, case.inputs.catalog.engines
    margin = error_factor(Metric.TPOT, Grade.A, problem.margins.confidence, engines[problem.engine.name].profile)
    scale = min(1.0, margin / SLOWER)
    promises = [p for one in plan.predicted for p in one.promises if p.metric is Metric.TPOT and p.limit_s is not None]
    edits = []
    for promise in promises:
        assert promise.limit_s is not None
        if promise.path.endswith("tokens_per_second_per_user"):
            edits.append(f"{promise.path}={1 / (promise.limit_s * scale):.12g}")
        else:
            edits.append(f"{promise.path}={promise.limit_s * 1e3 * scale:.12g}")
    return [_repaired(quick, ask(case, edits))]


def _repaired(broken: Stress, winner: Winner) -> Stress:
    """The what-if with what the best that stands it costs and, where that is the objective, carries."""
    most_load = winner.solution is not None and winner.result.objective == "maximize_load"
    factor = winner.solution.load_factor if winner.solution is not None and most_load else None
    return replace(broken, monthly_cents=winner.cents, load_factor=factor)


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
        after = Winner(priced, priced.solve())
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


def _busier(case: Case, plan: Plan) -> Stress:
    """Load times 1.5."""
    what = "load x 1.5"
    if plan.load_factor >= BUSIER:
        return Stress(what, True, plan.monthly_cents)
    headroom = (1.0 + case.inputs.problem.margins.load_headroom) * BUSIER - 1.0
    return Stress(what, False, ask(case, [f"margins.load_headroom={headroom:.12g}"]).cents)


def _one_node_gone(case: Case, best: Winner, plan: Plan) -> Stress:
    """With any one node of the plan gone, do the rest carry the load with its replicas placed anew?"""
    what = "one node gone"
    if best.result.objective != "maximize_load" and all(_carries_on(case, best, plan, node) for node in plan.nodes):
        return Stress(what, True, plan.monthly_cents)
    spare = case.inputs.problem.margins.spare_nodes + 1
    return _repaired(Stress(what, False, None), ask(case, [f"margins.spare_nodes={spare}"]))


def _carries_on(case: Case, best: Winner, plan: Plan, gone: NodeLine) -> bool:
    """Solve with nothing but the plan's own configurations on its own nodes, less the one that is gone.

    With a day profile in each period by itself, with the nodes that run there.
    """
    if not plan.periods:
        return _solvable(case, best, {line: line.count - (line == gone) for line in plan.nodes}, case.candidates.rules)
    for index, period in enumerate(plan.periods):
        counts = dict(zip(plan.nodes, period.nodes, strict=True))
        if counts[gone]:
            counts[gone] -= 1
            if not _solvable(case, best, counts, _rules_in(case.candidates.rules, index)):
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
    left = {(node.offer_id, str(node.tier)): count for node, count in counts.items()}
    keys = {group.candidate.key for group in best.solution.groups}
    options = tuple(
        replace(option, offer=replace(option.offer, id="|".join(option.key)), max_nodes=left[option.key], periods=())
        for option in case.options
        if left.get(option.key)
    )
    rules = replace(limits, spare_nodes=0, objective="minimize_cost")
    kept = tuple(one for one in case.candidates.candidates if one.key in keys)
    rest = replace(case, options=options, candidates=replace(case.candidates, candidates=kept, rules=rules))
    return bool(rest.solve().solutions)
