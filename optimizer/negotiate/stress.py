"""What-ifs about the best plan: does it hold, and if not, what does one that would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.decide.stress import priced_stress, quick_stress, repaired
from optimizer.negotiate.ask import Winner, ask
from optimizer.plan.types import Stress
from optimizer.pricing import option_key
from optimizer.units import CENTS_PER_UNIT
from optimizer.vocabulary import Tier

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


def _one_node_gone(case: Case, best: Winner, plan: Plan) -> Stress:
    """With any one node of the plan gone, do the rest carry the load with its replicas placed anew?"""
    what = "one node gone"
    if best.result.objective != "maximize_load" and all(_carries_on(case, best, plan, node) for node in plan.nodes):
        return Stress(what, True, plan.monthly_cents)
    spare = case.inputs.problem.margins.spare_nodes + 1
    return repaired(Stress(what, False, None), ask(case, [f"margins.spare_nodes={spare}"]).result)


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
    rules = replace(limits, spare_nodes=0, objective="minimize_cost", limits=there)
    kept = tuple(one for one in case.candidates.candidates if one.key in keys)
    rest = replace(case, options=options, candidates=replace(case.candidates, candidates=kept, rules=rules))
    return bool(rest.solve().solutions)
