"""What-ifs that need no further solving: a stream of tokens slower than predicted, more load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.plan.types import Stress
from optimizer.workload import Metric

if TYPE_CHECKING:
    from optimizer.plan.types import Plan

SLOWER = 1.2
BUSIER = 1.5


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
