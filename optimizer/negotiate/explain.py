"""Why this plan: what buys the hardware, what each promise costs, up to which load it wins, what it survives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.negotiate.leverage import Leverage, leverage
from optimizer.negotiate.plan_file import Asked, answer_to, inputs_of, replays
from optimizer.progress import Clock, Say, silent
from optimizer.whatif.case import Goal, Winner, ask, goal_of, near
from optimizer.whatif.moves import Move, Next, as_cheap_as, moves, next_at
from optimizer.whatif.search import first_where

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.plan.types import Outcome, Plan, Stress
    from optimizer.whatif.case import Case

MOST_LOAD = 32
"""Times the planned load up to which the next winner is looked for."""

SAMPLES = 16
"""Steps between the planned load and the most, where a plan that lost might win again."""

_THOUSANDTHS = 1000


@dataclass(frozen=True, slots=True)
class Reign:
    """Multiples of the planned load over which the best plan stays the best."""

    last: float  # the largest multiple, in thousandths
    after: Next | None  # the winner a thousandth further; None: it still wins at 32 times the load


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that ``optimize explain`` says; without a plan only the outcome, which says what would help."""

    outcome: Outcome
    plan: Plan | None
    goal: Goal | None = None
    reached: float | None = None  # of the objective, in its own unit, error margin included
    moves: tuple[Move, ...] = ()
    reign: Reign | None = None
    stress: tuple[Stress, ...] = ()
    leverage: Leverage | None = None
    replayed: bool = True
    without_drafts: Next | None = None  # the best plan under ``engine.speculative: off``; None: nothing drafts anyway


def explain(
    problem: Asked,
    catalog: Catalog | Path | str | None = None,
    *,
    sets: Sequence[str] = (),
    progress: Say = silent,
    simulate: bool = True,
    time_limit: float | None = None,
) -> Explanation:
    """Explain the best plan of a problem: what buys the hardware, what each promise costs, what the plan withstands.

    Parameters
    ----------
    problem : Path, str or Problem
        A problem file, or a ``Problem`` of ``load_problem`` or ``parse_problem``, asked as it was read.
    catalog : Catalog, Path, str or None
        Of ``load_catalog``, or a directory that overrides and extends the packaged catalogs; None: the packaged ones.
    sets : sequence of str
        Edits of the problem, each ``PATH=VALUE``, such as ``workloads.chat.slo.ttft_ms=1500``.
    progress : callable
        Takes the name of each step, a ``str``, as it begins.
    simulate : bool
        Whether plans are replayed request by request; False: the closed form alone, and the answer says so.
    time_limit : float or None
        Seconds (wall clock) over everything; None: no limit.

    Returns
    -------
    Explanation
        ``moves``: the next looser and tighter value of each promise at which the winner changes, with its money in
        integer cents a month; ``reign``: multiples of the planned load over which the plan wins; ``stress`` and
        ``leverage``. Only ``outcome`` where there is no plan, or where time was up before there was one.

    Raises
    ------
    InputError
        For what the user can mend, with every finding.
    OutOfTimeError
        Where ``time_limit`` seconds do not suffice.
    """
    from optimizer.whatif.stress import stress

    clock = Clock.of(time_limit)
    progress("solving")
    inputs, simulate = inputs_of(problem, sets, catalog), replays(problem, simulate=simulate)
    found = answer_to(problem, inputs, progress=progress, simulate=simulate, clock=clock)
    case, outcome = found.case, found.outcome
    if not outcome.plans:
        return Explanation(outcome, None, replayed=simulate)
    best, plan = Winner(case, found.result), outcome.plans[0]
    goal = goal_of(case)
    moved = moves(case, best, goal, progress)
    progress("finding the load at which another plan wins")
    reign = None if goal.objective == "maximize_load" else _reign(case, best, goal)
    progress("putting the plan under stress")
    stressed = stress(case, best, plan)
    progress("pricing what comes without its sellers")
    told = leverage(case, best)
    plain = _undrafted(case, plan, goal, progress)
    return Explanation(outcome, plan, goal, goal.reached(best), moved, reign, stressed, told, simulate, plain)


def _undrafted(case: Case, plan: Plan, goal: Goal, progress: Say) -> Next | None:
    """What the problem takes without speculative decoding, where the plan drafts."""
    if not any(group.drafts for group in plan.groups):
        return None
    progress("pricing what comes without drafts")
    return next_at(0.0, ask(case, ["engine.speculative=off"]), goal)


def _reign(case: Case, best: Winner, goal: Goal) -> Reign:
    """Asked of all traffic figures at once, as headroom on top of the planned load.

    Money and GPUs: a plan that lost once has lost for good. A latency grows with the load of each plan, so that a plan
    might come back: the first of a row of loads at which it has lost is looked for, then the edge before that.
    """
    whole, stated = case.allowed(), case.inputs.problem.margins.load_headroom
    lean, known = as_cheap_as(whole, best), dict[int, Winner]()

    def under(thousandths: int) -> list[str]:
        return [f"margins.load_headroom={(1.0 + stated) * thousandths / _THOUSANDTHS - 1.0:.12g}"]

    def lost(thousandths: int) -> bool:
        if thousandths not in known:
            known[thousandths] = ask(lean, under(thousandths))
        return known[thousandths].identity != best.identity

    low, high = _THOUSANDTHS, MOST_LOAD * _THOUSANDTHS
    if goal.objective in ("minimize_ttft", "minimize_tpot"):
        row = [round(_THOUSANDTHS * MOST_LOAD ** (step / SAMPLES)) for step in range(SAMPLES + 1)]
        first = next((place for place, load in enumerate(row) if lost(load)), None)
        low, high = (high, high) if first is None else (row[max(0, first - 1)], row[first])
    elif best.solution is not None:  # where its replicas are full is a good guess, and asking there costs little
        full = min(high - 1, max(low, round(best.solution.load_factor * _THOUSANDTHS)))
        low, high = (low, full + 1) if lost(full + 1) else (full + 2, high)
        low = full + 1 if high == full + 1 and not lost(full) else low
    index = first_where(lost, low, high)
    if index is None:
        return Reign(float(MOST_LOAD), None)
    after = known[index] if lean is whole else near(whole.edited(under(index)), best)
    return Reign((index - 1) / _THOUSANDTHS, next_at(index / _THOUSANDTHS, after, goal))
