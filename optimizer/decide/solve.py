"""Every stage of a decision, in order: read, price, enumerate, solve, assemble, verify, replay, classify.

The outcome: what the search proved, on which prices, under which performance model.

What a fleet of several kinds of GPU saves: the best plan on each kind alone, found and replayed in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.decide.understood import asked, demand, loads, rules, understood
from optimizer.errors import OutOfTimeError
from optimizer.plan.types import (
    NOT_COUNTED,
    Feasible,
    Infeasible,
    Optimal,
    Outcome,
    Plan,
    Proof,
    Rejection,
    Relaxation,
    ReplayEffort,
    SingleKind,
    Unknown,
)
from optimizer.planning.host_memory import ask_for_host_memory
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.planning.seal import seal_of
from optimizer.pricing import option_rules, refused_quotes, unused_discounts
from optimizer.problem import judged_by_replays, pools_left_out
from optimizer.progress import NO_LIMIT, Clock, Notice, Say, silent
from optimizer.units import CENTS_PER_UNIT
from optimizer.whatif.other_winners import other_winners

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.fleet.candidate_set import CandidateSet
    from optimizer.fleet.types import FleetResult
    from optimizer.plan.types import Outcome, Plan, Rejection, Relaxation, Unpriced
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.replay import Survivors
    from optimizer.planning.replicas_replayed import ReplayMemory
    from optimizer.pricing import NodeOption
    from optimizer.problem import Problem
    from optimizer.whatif.case import Case


Take = Callable[[str], None]
"""Takes a text."""

_TIME_UP = "the time limit ended the search; --time-limit gives it more"

_CUT_SHORT = "the time was up before every way out was tried"

_NOT_ALONE = "the time was up before it was known what each kind of GPU alone would cost"

_TO_CHECK, _TO_REPLAY = 0.9, 0.5
"""Share of the time left that the search may take, where plans are only checked, and where they are replayed too."""


def solve_problem(
    problem: Path | str | Problem,
    *,
    sets: Sequence[str] = (),
    catalogs: Catalog | Path | str | None = None,
    on_model: Take | None = None,
    progress: Say | None = None,
    simulate: bool = True,
    time_limit: float | None = None,
) -> Outcome:
    """Answer a problem: the cheapest deployments that keep every promise, ranked, proven and verified.

    ``sets`` are ``PATH=VALUE`` edits of the file; ``catalogs`` a directory that overrides or extends the packaged
    catalogs; ``on_model`` receives the CP-SAT model as text; ``simulate=False`` replays no plan; ``time_limit`` is in
    seconds over everything: plans found by then are given with their gap. Raises
    ``ProblemError`` or ``CatalogError`` for what the user can mend, ``VerificationError`` where our own check does not
    confirm a plan.
    """
    say, clock = progress or silent, Clock.of(time_limit)
    say("reading the problem and the catalogs")
    inputs = read_inputs(problem, sets=sets, catalogs=catalogs)
    return decide(inputs, on_model=on_model, progress=say, simulate=simulate, clock=clock)


@dataclass(frozen=True)
class Answer:
    """The answer to a problem, and the problem ready to be asked again under edits of it."""

    outcome: Outcome
    case: Case
    result: FleetResult  # what the outcome's plans were made of
    enumerated: CandidateSet  # before replays cut any of them


def decide(
    inputs: Inputs,
    *,
    on_model: Take | None = None,
    progress: Say | None = None,
    simulate: bool = True,
    clock: Clock = NO_LIMIT,
    tested: bool = True,
) -> Outcome:
    """Answer a problem that was read already; see ``solve_problem`` and ``answer`` for the rest."""
    return answer(inputs, on_model=on_model, progress=progress, simulate=simulate, clock=clock, tested=tested).outcome


def answer(
    inputs: Inputs,
    *,
    on_model: Take | None = None,
    progress: Say | None = None,
    simulate: bool = True,
    clock: Clock = NO_LIMIT,
    tested: bool = True,
) -> Answer:
    """Answer a problem and hold it open: every command gets its best plan from here, so that no two name two.

    ``tested``: plans come with what the tests before signing would show, and the first with what charts show, which is
    for documents and takes many more simulations.
    """
    from optimizer.fleet import SolveSettings, fleet_model_text
    from optimizer.fleet.candidate_set import enumerate_candidates
    from optimizer.planning.assemble import assemble, confirm
    from optimizer.planning.replicas_replayed import ReplayMemory
    from optimizer.planning.ties import best_as_estimated
    from optimizer.whatif.case import case_of

    say = progress or silent
    judged_by_replays(inputs.problem, simulate=simulate)
    options = _priced(inputs, say)
    say("predicting every possible replica")
    memo = inputs.known.memo
    candidates = enumerate_candidates(inputs.problem, inputs.catalog, options, inputs.params, clock=clock, memo=memo)
    case = case_of(inputs, options, candidates, clock, memo, ReplayMemory(inputs.known.replays) if simulate else None)
    say(f"solving over {candidates.feasible} configurations")
    effort = NOT_COUNTED
    rejected: tuple[Rejection, ...] = ()
    final = candidates
    if not simulate:
        settings = SolveSettings(clock=clock.part(_TO_CHECK))
        result = _as_far_as_it_got(best_as_estimated(inputs, candidates, options, settings), clock, settings.clock)
        plans = assemble(inputs, result.solutions, options)
    else:
        left = _replayed(inputs, candidates, options, say, clock, case, tested=tested)
        result, plans, rejected, final = left.result, left.plans, left.rejected, left.candidates
        effort = left.effort
        if effort.replayed is None:
            case = replace(case, candidates=left.candidates)
    case = replace(case, mixes_by_replays=bool(plans))
    say("verifying every plan without the solver")
    confirm(inputs, plans)
    if on_model is not None:  # with the cuts of the replay: without them it would prove plans that were rejected
        on_model(fleet_model_text(final, options))
    plans = _stressed(plans, str(inputs.problem.objective), None if rejected or clock.over else case)
    ways: tuple[Relaxation, ...] = ()
    if result.status == "infeasible" and not rejected:
        ways = _ways(case, say)
        if clock.over:
            result = replace(result, warnings=(*result.warnings, _CUT_SHORT))
    elif not plans:
        from optimizer.whatif.ways_out import limits_to_raise

        ways = limits_to_raise(rejected)
    outcome = outcome_of(inputs, candidates, options, result, plans, ways, rejected, effort)
    outcome = _with_alternatives(outcome, case, result, rejected, say, tested=tested)
    return Answer(outcome, case, result, candidates)


def _replayed(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    say: Say,
    clock: Clock,
    case: Case,
    *,
    tested: bool,
) -> Survivors:
    """The answer as replays show it. Where the time is limited the closed form is asked first, for an answer to fall
    back on."""
    from optimizer.fleet import SolveSettings
    from optimizer.planning.replay import decided_by_replays, survivors
    from optimizer.planning.ties import solve_first

    def decided() -> Survivors | None:
        return decided_by_replays(inputs, candidates, options, say, clock, case.replays, case.memo, tested=tested)

    left = decided() if clock.left is None else None
    if left is None:
        settings = SolveSettings(clock=clock.part(_TO_REPLAY))
        result = _as_far_as_it_got(solve_first(inputs, candidates, options, settings), clock, settings.clock)
        left = None if clock.left is None else decided()
        left = left or survivors(inputs, candidates, options, result, say, clock, case.replays, tested=tested)
    return left


def _as_far_as_it_got(result: FleetResult, clock: Clock, part: Clock) -> FleetResult:
    """The result with a word where the time ended the search for it."""
    if clock.over or (part.over and result.status in ("feasible", "unknown")):
        return replace(result, warnings=(*result.warnings, _TIME_UP))
    return result


def _priced(inputs: Inputs, say: Say) -> tuple[NodeOption, ...]:
    """Every way to pay for a node; what of it no search could mend is refused before any."""
    from optimizer.fleet.requirements import user_rules
    from optimizer.pricing import node_options
    from optimizer.problem.reader import expired_quotes

    options = node_options(inputs.problem, inputs.catalog)
    for sentence in expired_quotes(inputs.problem):
        say(Notice(f"warning: {sentence}"))
    ask_for_host_memory(inputs.problem, user_rules(inputs.problem, inputs.catalog, options), options)
    return options


def _ways(case: Case, say: Say) -> tuple[Relaxation, ...]:
    """The ways out of an infeasible problem; of one that requires pools, replicas that do both phases first."""
    from optimizer.whatif.ways_out import ways_out, without_pools

    return without_pools(case, say) if case.candidates.rules.pools_required else ways_out(case, say)


def _with_alternatives(
    outcome: Outcome, case: Case, result: FleetResult, rejected: Sequence[Rejection], say: Say, *, tested: bool
) -> Outcome:
    """The outcome with what else there is: winners under a stricter view of prices, nodes that nobody prices, what each
    kind of GPU alone costs."""
    others = other_winners(case, outcome.plans, result, say, tested=tested)
    outcome = replace(outcome, others=others, unpriced=_unpriced(case, outcome, rejected))
    try:
        alone = single_kinds(
            case.inputs, case.candidates, case.options, outcome.plans, say, replays=case.replays, clock=case.clock
        )
    except OutOfTimeError:
        return replace(outcome, warnings=(*outcome.warnings, _NOT_ALONE))
    return replace(outcome, single_kinds=alone) if alone else outcome


def _unpriced(case: Case, outcome: Outcome, rejected: Sequence[Rejection]) -> tuple[Unpriced, ...]:
    """Nodes without a price that would hold the workloads: where there is no plan, and of cards that the user names."""
    from optimizer.whatif.unpriced import bar_of, unpriced

    plans, hardware = outcome.plans, case.inputs.problem.hardware
    named = isinstance(hardware.gpus, tuple) and str(case.inputs.problem.objective) == "minimize_cost"
    if case.clock.over or (not plans and (rejected or isinstance(outcome, Unknown))) or (plans and not named):
        return ()
    ways = [way.monthly_cents for way in outcome.relaxations]
    bar = bar_of(case, plans[0].monthly_cents if plans else None, ways)
    return unpriced(case, bar, beside_a_plan=bool(plans))


def _stressed(plans: tuple[Plan, ...], objective: str, case: Case | None) -> tuple[Plan, ...]:
    """The first plan with its two most telling what-ifs; what would hold is priced unless there is no ``case`` to ask,
    as where replays rejected plans: there each question takes many more, and is left to ``optimize explain``."""
    from optimizer.whatif.stress import priced_stress, quick_stress

    if not plans:
        return plans
    stress = quick_stress(plans[0], objective)
    if case is not None:
        with suppress(OutOfTimeError):
            stress = priced_stress(case.allowed(), plans[0], stress)
    return (replace(plans[0], stress=stress), *plans[1:])


_KIND: dict[str, type[Outcome]] = {
    "proven": Optimal,
    "feasible": Feasible,
    "infeasible": Infeasible,
    "unknown": Unknown,
}


def outcome_of(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    result: FleetResult,
    plans: tuple[Plan, ...],
    ways_out: tuple[Relaxation, ...],
    rejected: tuple[Rejection, ...] = (),
    effort: ReplayEffort = NOT_COUNTED,
) -> Outcome:
    """Put everything a report needs into one value."""
    from optimizer.candidates.drafts_left_out import drafts_left_out

    problem = inputs.problem
    return _KIND[str(result.status)](
        problem_name=problem.name,
        problem_path=problem.path,
        problem_sha256=problem.sha256,
        loads=loads(problem, plans[0] if plans else None),
        warnings=(
            *problem.warnings,
            *pools_left_out(problem),
            *drafts_left_out(problem, inputs.catalog),
            *refused_quotes(options, candidates.rules.options),
            *unused_discounts(problem, inputs.catalog, options),
            *candidates.warnings,
            *result.warnings,
        ),
        proof=replace(_proof(inputs, options, result, len(rejected)), replay=effort),
        funnel=candidates.funnel,
        plans=plans,
        relaxations=ways_out,
        asked=asked(problem),
        demand=demand(problem),
        understood=understood(problem),
        rules=rules(problem),
        currency=problem.payment.currency,
        confidence=problem.margins.confidence,
        distinct_by=tuple(str(name) for name in problem.ranking.distinct_by),
        rejected=rejected,
        mixes=problem.ranking.max_configurations_per_workload > 1,
        seal=seal_of(inputs),
    )


def _proof(inputs: Inputs, options: Sequence[NodeOption], result: FleetResult, rejected: int) -> Proof:
    best = result.solutions[0] if result.solutions else None
    unit, scale = _unit(result, inputs.problem.payment.currency)
    value = best.objective / scale if best else None
    bound = best.bound / scale if best else None
    dates = _price_dates(inputs, options)
    return Proof(
        objective=result.objective,
        value=value,
        bound=bound,
        unit=unit,
        gap=None if best is None else _gap(best.objective, best.bound),
        candidates_enumerated=result.enumerated,
        candidates_feasible=result.feasible,
        candidates_screened=result.screened,
        replay_rejected=rejected,
        prices_from=min(dates, default=None),
        prices_to=max(dates, default=None),
        performance_model=inputs.params.version,
    )


def _unit(result: FleetResult, currency: str) -> tuple[str, float]:
    """Unit of the objective as a reader knows it, and the solver's units in one of it."""
    match result.objective:
        case "minimize_cost":
            return f"{currency} per month", float(CENTS_PER_UNIT)
        case "maximize_load":
            return "times the planned load", 1e3
        case "minimize_ttft" | "minimize_tpot":
            return "ms", 1e3
        case _:
            return "GPUs", 1.0


def _gap(objective: int, bound: int) -> float:
    """Relative gap between the answer and what the solver proved; 0 = proven."""
    return 0.0 if objective == bound else abs(objective - bound) / max(1, abs(objective))


def _price_dates(inputs: Inputs, options: Sequence[NodeOption]) -> list[str]:
    """Dates of the prices that were allowed to compete."""
    allowed = option_rules(inputs.problem, inputs.catalog)
    return [
        option.price.date
        for option in options
        if option.price is not None and option.price.date is not None and not allowed.forbidden_by(option)
    ]


def single_kinds(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    plans: tuple[Plan, ...],
    say: Callable[[str], None],
    *,
    replays: ReplayMemory | None,
    clock: Clock = NO_LIMIT,
) -> tuple[SingleKind, ...]:
    """The cheapest plan on each kind of GPU that stands in the ranking or can serve a class by itself.

    Asked where length classes went to several kinds of GPU; empty otherwise. Each kind may serve the classes apart or
    mixed, as the plan itself may. Raises ``OutOfTimeError`` where the clock leaves no time to know of every kind.
    """
    if not plans or inputs.problem.objective != "minimize_cost":
        return ()
    if len({group.gpu for group in plans[0].groups}) < 2 or not any(group.length_class for group in plans[0].groups):
        return ()
    kinds = sorted({group.gpu for plan in plans for group in plan.groups})
    say("asking what each kind of GPU alone would cost")
    return tuple(_alone(inputs, candidates, options, gpu, clock, replays) for gpu in kinds)


def _alone(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    gpu: str,
    clock: Clock,
    replays: ReplayMemory | None,
) -> SingleKind:
    from optimizer.fleet import SolveSettings, solve_fleet
    from optimizer.planning.assemble import assemble, confirm
    from optimizer.planning.inputs import loads_of
    from optimizer.planning.replay import decided_by_replays, survivors

    if clock.over:
        raise OutOfTimeError
    mine = tuple(one for one in candidates.candidates if one.node_type.gpu.id == gpu)
    only = replace(candidates, candidates=mine, rules=replace(candidates.rules, top=1))
    left = None if replays is None else decided_by_replays(inputs, only, options, silent, clock, replays)
    if left is not None:
        plans = left.plans
    else:
        result = solve_fleet(inputs.problem, only, options, loads_of(inputs.problem), SolveSettings(clock=clock))
        plans = (
            assemble(inputs, result.solutions, options)
            if replays is None
            else survivors(inputs, only, options, result, silent, clock, replays).plans
        )
    if clock.over:  # what was found by now need not be the best of its kind
        raise OutOfTimeError
    confirm(inputs, plans)
    best = plans[0] if plans else None
    return SingleKind(gpu, best.monthly_cents if best else None, best.gpus if best else 0)
