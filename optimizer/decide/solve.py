"""Every stage of a decision, in order: read, price, enumerate, solve, assemble, verify, replay, classify."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.clock import NO_LIMIT, Clock
from optimizer.decide.classify import outcome_of
from optimizer.decide.inputs import Inputs, loads_of, read_inputs
from optimizer.decide.single_kinds import single_kinds
from optimizer.notice import Notice
from optimizer.plan.types import Unknown

if TYPE_CHECKING:
    from optimizer.decide.case import Case
    from optimizer.plan.types import Outcome, Plan, Rejection, Relaxation, Unpriced

Take = Callable[[str], None]
Say = Take
"""Takes the name of the step in hand."""

_TIME_UP = "the time limit ended the search; --time-limit gives it more"

_CUT_SHORT = "the time was up before every way out was tried"

_TO_CHECK, _TO_REPLAY = 0.9, 0.5
"""Share of the time left that the search may take, where plans are only checked, and where they are replayed too."""


def solve_problem(
    path: Path | str,
    *,
    sets: Sequence[str] = (),
    catalogs: Path | None = None,
    on_model: Take | None = None,
    progress: Say | None = None,
    simulate: bool = True,
    time_limit: float | None = None,
) -> Outcome:
    """Answer a problem file: the cheapest deployments that keep every promise, ranked, proven and verified.

    ``sets`` are ``PATH=VALUE`` edits of the file; ``catalogs`` a directory that overrides or extends the packaged
    catalogs; ``on_model`` receives the CP-SAT model as text; ``simulate=False`` replays no plan; ``time_limit`` is in
    seconds over everything: plans found by then are given with their gap. Raises
    ``ProblemError`` or ``CatalogError`` for what the user can mend, ``VerificationError`` where our own check does not
    confirm a plan.
    """
    say, clock = progress or _silent, Clock.of(time_limit)
    say("reading the problem and the catalogs")
    inputs = read_inputs(path, sets=sets, catalogs=catalogs)
    return decide(inputs, on_model=on_model, progress=say, simulate=simulate, clock=clock)


def decide(
    inputs: Inputs,
    *,
    on_model: Take | None = None,
    progress: Say | None = None,
    simulate: bool = True,
    clock: Clock = NO_LIMIT,
    on_case: Callable[[Case], None] | None = None,
) -> Outcome:
    """Answer a problem that was read already. ``on_case`` receives it ready to be asked again, and once more with what
    replays left of it, where they rejected plans."""
    from optimizer.candidates import enumerate_candidates
    from optimizer.decide.assemble import assemble
    from optimizer.decide.case import case_of
    from optimizer.decide.check import confirm
    from optimizer.fleet import SolveSettings, fleet_model_text, solve_fleet
    from optimizer.performance.memo import Memo
    from optimizer.pricing import node_options
    from optimizer.problem.warnings import expired_quotes

    say = progress or _silent
    options = node_options(inputs.problem, inputs.catalog)
    for sentence in expired_quotes(inputs.problem):
        say(Notice(f"warning: {sentence}"))
    say("predicting every possible replica")
    memo = Memo()
    candidates = enumerate_candidates(inputs.problem, inputs.catalog, options, inputs.params, clock=clock, memo=memo)
    case = case_of(inputs, options, candidates, clock, memo)
    _tell(on_case, case)
    say(f"solving over {candidates.feasible} configurations")
    settings = SolveSettings(clock=clock.part(_TO_REPLAY if simulate else _TO_CHECK))
    result = solve_fleet(inputs.problem, candidates, options, loads_of(inputs.problem), settings)
    if on_model is not None:
        on_model(fleet_model_text(candidates, options))
    plans = assemble(inputs, result.solutions, options)
    say("verifying every plan without the solver")
    confirm(inputs, plans)
    if clock.over or (settings.clock.over and result.status in ("feasible", "unknown")):
        result = replace(result, warnings=(*result.warnings, _TIME_UP))
    closed_form = result
    rejected: tuple[Rejection, ...] = ()
    if simulate:
        from optimizer.decide.replay import survivors

        left = survivors(inputs, candidates, options, result, plans, say, clock)
        result, plans, rejected = left.result, left.plans, left.rejected
        if rejected:
            confirm(inputs, plans)
            _tell(on_case, replace(case, candidates=left.candidates))
    plans = _stressed(plans, str(inputs.problem.objective), None if rejected or clock.over else case)
    ways: tuple[Relaxation, ...] = ()
    if closed_form.status == "infeasible":
        from optimizer.decide.ways_out import ways_out

        ways = ways_out(case, say)
        if clock.over:
            result = replace(result, warnings=(*result.warnings, _CUT_SHORT))
    elif not plans:
        from optimizer.decide.raise_limits import limits_to_raise

        ways = limits_to_raise(rejected)
    outcome = outcome_of(inputs, candidates, options, result, plans, ways, rejected)
    outcome = replace(outcome, unpriced=_unpriced(case, outcome, rejected))
    alone = single_kinds(inputs, candidates, options, plans, say, simulate=simulate)
    return replace(outcome, single_kinds=alone) if alone else outcome


def _unpriced(case: Case, outcome: Outcome, rejected: Sequence[Rejection]) -> tuple[Unpriced, ...]:
    """Nodes without a price that would hold the workloads: where there is no plan, and of cards that the user names."""
    from optimizer.decide.unpriced import bar_of, unpriced

    plans, hardware = outcome.plans, case.inputs.problem.hardware
    named = isinstance(hardware.gpus, tuple) and str(case.inputs.problem.objective) == "minimize_cost"
    if case.clock.over or (not plans and (rejected or isinstance(outcome, Unknown))) or (plans and not named):
        return ()
    ways = [way.monthly_cents for way in outcome.relaxations]
    bar = bar_of(case, plans[0].monthly_cents if plans else None, ways)
    return unpriced(case, bar, beside_a_plan=bool(plans))


def _stressed(plans: tuple[Plan, ...], objective: str, case: Case | None) -> tuple[Plan, ...]:
    """The first plan with its two most telling what-ifs; what would hold is priced unless there is no ``case`` to ask,
    as where a replay rejected plans, which the closed form would only propose again."""
    from optimizer.decide.case import OutOfTimeError
    from optimizer.decide.stress import priced_stress, quick_stress

    if not plans:
        return plans
    stress = quick_stress(plans[0], objective)
    if case is not None:
        with suppress(OutOfTimeError):
            stress = priced_stress(case.allowed(), plans[0], stress)
    return (replace(plans[0], stress=stress), *plans[1:])


def _tell(on_case: Callable[[Case], None] | None, case: Case) -> None:
    if on_case is not None:
        on_case(case)


def _silent(step: str) -> None:
    """Say nothing."""
