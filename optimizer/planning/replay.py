"""Second opinion: every ranked plan is replayed; what misses a promise leaves, and the solver is asked again.

A configuration that misses is given the largest load its replay carries in place of the closed form's, and the fleet
is solved again: the same replicas come back in larger number, or others win. This ends when every plan of the ranking
keeps every promise as replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.candidates.types import Candidate
from optimizer.demand import part_name
from optimizer.fleet.candidate_set import CandidateSet
from optimizer.plan.types import NOT_COUNTED, Binding, Plan, Rejection, ReplayEffort
from optimizer.planning.cheapest import is_two_sided, known_by_now
from optimizer.planning.experiment import experiments_of
from optimizer.planning.judges import trials_of, trials_of_what_is_left
from optimizer.planning.least_replicas import AGAIN
from optimizer.planning.minimality import with_minimality
from optimizer.planning.pool_expectation import pools_as_replayed
from optimizer.planning.remainder import asked_of, remainder_of
from optimizer.planning.replicas_replayed import Replayer, ReplayMemory, Trial, say_replaying
from optimizer.problem import load_of, pools_wanted
from optimizer.progress import NO_LIMIT, Clock

if TYPE_CHECKING:
    from optimizer.demand import Load
    from optimizer.fleet.types import FleetResult, FleetSolution, SolveSettings
    from optimizer.performance.operating_points import Memo
    from optimizer.performance.types import OperatingPoint
    from optimizer.planning.cheapest import Cheapest
    from optimizer.planning.inputs import Inputs
    from optimizer.pricing import NodeOption

ROUNDS = 40
"""The solver is asked at most so often; plans that still miss then leave the ranking without a replacement."""

_ROOM = 1.0 + 1e-4
"""Given to a repaired rate so that whole units of the solver, rounded down, still add up to the load."""

_MS = 1e3

_STEPS = 64
"""Where the load itself is sought, a replica's share of it is lowered in 64ths."""


@dataclass(frozen=True)
class Survivors:
    """Plans that keep every promise as replayed, and what they rest on."""

    candidates: CandidateSet
    result: FleetResult
    plans: tuple[Plan, ...]
    rejected: tuple[Rejection, ...]
    effort: ReplayEffort = NOT_COUNTED


def best_as_replayed(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    settings: SolveSettings,
    clock: Clock,
    memory: ReplayMemory,
    memo: Memo | None = None,
) -> FleetResult | None:
    """The ranking over what replays show, where they decide both ways (``cheapest``); None where they do not, or where
    the time was up before everything in it was replayed and nothing cheaper was left open."""
    if not is_two_sided(candidates, options):
        return None
    found = _cheapest(inputs, candidates, options, _replayer(inputs, memory), settings, clock, memo)
    return found.result if found.complete else None


def _cheapest(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    replayer: Replayer,
    settings: SolveSettings,
    clock: Clock,
    memo: Memo | None,
) -> Cheapest:
    """The cheapest plans as replayed, of those at equal money the better."""
    from optimizer.planning.cheapest import cheapest, cheapest_mixes
    from optimizer.planning.judges import Judge
    from optimizer.planning.mixes import MixSearch
    from optimizer.planning.ties import TieSettling

    found = None
    mixes = MixSearch(inputs, candidates, options, replayer, memo) if candidates.rules.mixed else None

    def rank(top: int) -> FleetResult | None:
        nonlocal found
        wanted = replace(candidates, rules=replace(candidates.rules, top=top))
        known = None if found is None else found.least
        if mixes is not None:
            found = cheapest_mixes(inputs, wanted, mixes, settings, clock)
        else:
            found = cheapest(inputs, wanted, options, replayer, settings, clock, memo, known)
        return found.result if found.complete and not settings.first_level else None

    def judge() -> Judge:
        assert found is not None
        return Judge(inputs, candidates, options, replayer, found.least, found.pools)

    listing = TieSettling(inputs, candidates, options, candidates.rules.top, anywhere=not settings.must_use)
    settled = listing.of(rank, judge)
    assert found is not None
    if settled is None:
        return found
    return replace(found, result=settled, complete=not clock.over)


@dataclass(frozen=True, slots=True)
class _Carried:
    """The largest load that a replica carries in the replay: requests per second, requests in flight, users."""

    rate: float
    held: float
    users: float


def survivors(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    result: FleetResult,
    say: Callable[[str], None],
    clock: Clock = NO_LIMIT,
    memory: ReplayMemory | None = None,
    settings: SolveSettings | None = None,
    *,
    tell: bool = True,
    tested: bool = True,
) -> Survivors:
    """Replay, tighten, solve again, until every plan survives or time is up: where replays do not decide both ways
    (``decided_by_replays``), or where the time was up before they had.

    ``memory`` holds replays that were run before and takes those run now; ``settings`` are those of the first solve.
    Not ``tell``: only the result is wanted, no plan; and what follows from replays that were run is not replayed again,
    except for what the result is made of. ``tested``: plans come with their tests, and the first with what charts show.
    """
    from optimizer.planning.assemble import assemble
    from optimizer.planning.judges import Judge
    from optimizer.planning.ties import TieSettling

    if not result.solutions:
        return _without_pools(inputs, Survivors(candidates, result, (), ()))
    plans = assemble(inputs, result.solutions, options) if tell else ()
    _say_replaying(inputs, say)
    replayer, rejected = _replayer(inputs, memory), list[Rejection]()
    rules, asked = candidates.rules, candidates.rules.top
    for number in range(1, ROUNDS + 1):
        failing = list(_failing(inputs, replayer, result, clock, tell=tell))
        if not failing and not clock.over:
            listing = TieSettling(inputs, candidates, options, rules.top, anywhere=not (settings and settings.must_use))
            settled, more = listing.settled(result, asked, Judge(inputs, candidates, options, replayer))
            asked += more
            candidates = replace(candidates, rules=replace(rules, top=asked))
            again = _asked_again(inputs, candidates, options, settings, clock) if more else None
            result = again or settled
            plans = assemble(inputs, result.solutions, options) if tell else ()
            if again is None:
                break
            continue
        for trial, place, group in failing:
            needed, carried = _repair(inputs, replayer, trial, clock, tell=tell)
            if tell:
                rejected.append(_rejection(plans[place], group, trial, replayer, (number, needed)))
            candidates = _tightened(inputs, candidates, trial, carried)
        again = None
        if not clock.over:
            say(f"solving again: {len(failing)} more configurations rejected by replay")
            again = _asked_again(inputs, candidates, options, settings, clock)
        result = again or _replayed_by_now(inputs, replayer, result)
        plans = assemble(inputs, result.solutions, options) if tell else ()
        if again is None:
            break
    else:
        result = _without(inputs, replayer, result, f"after {ROUNDS} rounds")
        plans = assemble(inputs, result.solutions, options) if tell else ()
    candidates = replace(candidates, rules=rules)
    if not tell:
        return _without_pools(inputs, Survivors(candidates, result, (), ()))
    plans = with_minimality(inputs, result.solutions, plans, replayer, two_sided=False)
    replayed = tuple(_with_replays(inputs, replayer, result, plans, tested=tested))
    told = tuple(_priced(rejection, replayed) for rejection in rejected)
    return _without_pools(inputs, Survivors(candidates, result, replayed, told))


def _without_pools(inputs: Inputs, left: Survivors) -> Survivors:
    """What the closed form and replays left, where pools may compete and the time did not suffice to look for them:
    nothing of it is proven, nor that there is nothing."""
    from optimizer.fleet.types import FleetStatus

    if not pools_wanted(inputs.problem):
        return left
    result = left.result
    status = FleetStatus.FEASIBLE if result.solutions else FleetStatus.UNKNOWN
    solutions = tuple(replace(one, proven=False, bound=0) for one in result.solutions)
    plans = tuple(replace(one, proven=False) for one in left.plans)
    warnings = (*result.warnings, "the time was up before prefill and decode pools were looked for")
    result = replace(result, status=status, solutions=solutions, warnings=warnings)
    return replace(left, result=result, plans=plans)


def decided_by_replays(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    say: Callable[[str], None],
    clock: Clock = NO_LIMIT,
    memory: ReplayMemory | None = None,
    memo: Memo | None = None,
    *,
    tested: bool = True,
) -> Survivors | None:
    """The answer where replays decide both ways; None where they do not, or where the time was up before they had.

    The closed form is asked only where they leave no plan: what it would have proposed, and what that misses, says
    which limits to raise.
    """
    from optimizer.fleet import SolveSettings
    from optimizer.planning.assemble import assemble
    from optimizer.planning.ties import solve_first

    if clock.over or not is_two_sided(candidates, options):
        return None
    _say_replaying(inputs, say)
    replayer = _replayer(inputs, memory)
    found = _cheapest(inputs, candidates, options, replayer, SolveSettings(clock=clock), clock, memo)
    if not found.complete:
        by_now = known_by_now(inputs, candidates, options, replayer, found)
        if by_now is None:
            return None
        found = replace(found, result=by_now)
    solutions = found.result.solutions
    effort = ReplayEffort(found.replayed, found.bounded)
    if not solutions:
        proposed = solve_first(inputs, candidates, options, SolveSettings(clock=clock.part(AGAIN)))
        plans = assemble(inputs, proposed.solutions, options)
        rejected = []
        for trial, place, group in _failing(inputs, replayer, proposed, clock, tell=True):
            needed = _repair(inputs, replayer, trial, clock, tell=False)[0]
            rejected.append(_rejection(plans[place], group, trial, replayer, (1, needed)))
        return Survivors(found.candidates, found.result, (), tuple(rejected), effort)
    made = with_minimality(inputs, solutions, assemble(inputs, solutions, options), replayer, two_sided=True)
    replayed = tuple(_with_replays(inputs, replayer, found.result, made, tested=tested))
    return Survivors(found.candidates, found.result, replayed, (), effort)


def _rejection(plan: Plan, place: int, trial: Trial, replayer: Replayer, told: tuple[int, int | None]) -> Rejection:
    """A group of a plan that missed a promise: all its replicas, or those left of it, of which so many are needed."""
    number, needed = told
    group = plan.groups[place]
    missed = tuple(promise for promise in replayer.replay(trial).promises if not promise.kept)
    whole = None if needed is None else needed + group.replicas - trial.replicas
    return Rejection(plan.rank, number, plan.monthly_cents, group, missed, whole)


def _say_replaying(inputs: Inputs, say: Callable[[str], None]) -> None:
    loads = [load_of(workload, inputs.problem) for workload in inputs.problem.workloads]
    arrivals = any(load.requests_per_second and not load.is_batch for load in loads)
    held, people = any(load.inflight or load.is_batch for load in loads), any(load.users for load in loads)
    say_replaying(say, arrivals, held, people)


def _asked_again(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    settings: SolveSettings | None,
    clock: Clock,
) -> FleetResult | None:
    """The answer of the solver to what the replay left; None where time ended the search before it found anything."""
    from optimizer.fleet import SolveSettings, solve_fleet
    from optimizer.planning.inputs import loads_of

    asked = replace(settings or SolveSettings(), clock=clock.part(AGAIN))
    result = solve_fleet(inputs.problem, candidates, options, loads_of(inputs.problem), asked)
    return None if result.status == "unknown" else result


def with_replays(
    inputs: Inputs, result: FleetResult, plans: Sequence[Plan], memory: ReplayMemory, *, tested: bool = True
) -> tuple[Plan, ...]:
    """The plans of a result, each with what its requests see; ``tested``: and with what its tests would show."""
    return tuple(_with_replays(inputs, _replayer(inputs, memory), result, plans, tested=tested, filmed=False))


def remember(inputs: Inputs, result: FleetResult, plans: Sequence[Plan], memory: ReplayMemory) -> None:
    """Put the replays that plans carry where those are kept that need not be run again; those of what is left too."""
    replayer = Replayer(inputs, memory)
    for solution, plan in zip(result.solutions, plans, strict=True):
        trials = trials_of(inputs, solution)
        for number, one in enumerate(plan.remainder):
            if one.replay is not None:
                replayer.take(replace(trials[number % len(trials)], replicas=one.replicas), one.replay)
    for plan, trials in zip(plans, _trials(inputs, result), strict=True):
        for trial, replay in zip(trials, plan.simulated, strict=False):
            replayer.take(trial, replace(replay, footage=None))


def _replayer(inputs: Inputs, memory: ReplayMemory | None) -> Replayer:
    return Replayer(inputs) if memory is None else Replayer(inputs, memory)


def _trials(inputs: Inputs, result: FleetResult) -> list[list[Trial]]:
    """The trials of each plan, one per group at its share; none of pools, which are replayed where they are found."""
    return [[] if solution.has_pools else trials_of(inputs, solution) for solution in result.solutions]


def _every_trial(inputs: Inputs, solution: FleetSolution) -> list[tuple[int, Trial]]:
    """The trials of a plan with the places of their groups, those of what is left of it included."""
    return [*enumerate(trials_of(inputs, solution)), *trials_of_what_is_left(inputs, solution)]


def _failing(
    inputs: Inputs, replayer: Replayer, result: FleetResult, clock: Clock, *, tell: bool
) -> Iterator[tuple[Trial, int, int]]:
    """Each distinct trial that misses a promise, with the index of the first plan it stands in and its group there; as
    far as the time allows. What is left where something is gone is tried as well as the whole."""
    seen, rows = set(), [_every_trial(inputs, solution) for solution in result.solutions]
    if tell:
        replayer.predict([trial for trials in rows for _, trial in trials])
    for place, trials in enumerate(rows):
        for group, trial in trials:
            if clock.over:
                return
            if trial.key in seen:
                continue
            if (not tell and replayer.expected(trial) is False) or not replayer.replay(trial).kept:
                seen.add(trial.key)
                yield trial, place, group


def _repair(
    inputs: Inputs, replayer: Replayer, trial: Trial, clock: Clock, *, tell: bool
) -> tuple[int | None, _Carried | None]:
    """The fewest replicas that keep every promise, and what each then carries; None where no number tried does, or
    where the time was up before the fewest were known."""
    if clock.over:
        return None, None
    if inputs.problem.objective == "maximize_load":
        return None, _largest_share(inputs, replayer, trial, clock)
    low, high = trial.replicas, 2 * trial.replicas + 3

    def kept(replicas: int) -> bool:
        tried = replace(trial, replicas=replicas)
        known = None if tell else replayer.expected(tried)
        return replayer.replay(tried).kept if known is None else known

    if not kept(high):
        return None, None
    while high - low > 1 and not clock.over:
        middle = (low + high) // 2
        low, high = (low, middle) if kept(middle) else (middle, high)
    if high - low > 1:
        return None, None
    repaired = replace(trial, replicas=high)
    return high, _carried(inputs, repaired, _ROOM)


def _largest_share(inputs: Inputs, replayer: Replayer, trial: Trial, clock: Clock) -> _Carried | None:
    """Where the load is what is sought: the largest share of it that the same replicas carry, as far as the time
    allows to tell."""
    low, high = 0, _STEPS
    while high - low > 1 and not clock.over:
        middle = (low + high) // 2
        lowered = replace(trial, factor=trial.factor * middle / _STEPS)
        low, high = (middle, high) if replayer.replay(lowered).kept else (low, middle)
    kept = replace(trial, factor=trial.factor * low / _STEPS)
    return _carried(inputs, kept) if low else None


def _carried(inputs: Inputs, trial: Trial, room: float = 1.0) -> _Carried:
    """What one replica of a trial carries."""
    rate, users = trial.rate(inputs) / trial.replicas, trial.people(inputs).users / trial.replicas
    return _Carried(rate * room, float(trial.held(inputs)), users * room)


def _tightened(inputs: Inputs, candidates: CandidateSet, trial: Trial, carried: _Carried | None) -> CandidateSet:
    """The candidates with this replica's operating points cut down to what its replay carries; without it for None."""
    load = inputs.parts[trial.workload].load
    found: list[Candidate] = []
    for candidate in candidates.candidates:
        if not trial.is_same_replica(candidate.workload, candidate.spec):
            found.append(candidate)
        elif carried is not None:
            points = tuple(dict.fromkeys(_cut(point, carried, load) for point in candidate.points))
            found.append(replace(candidate, points=points))
    return replace(candidates, candidates=tuple(found))


def _cut(point: OperatingPoint, carried: _Carried, load: Load) -> OperatingPoint:
    """The point at no more than is carried. A side that no load asks for follows the others in proportion."""
    limits = (carried.rate, carried.held, carried.users)
    sides = list(zip(point.carries, limits, load.floors, strict=True))
    share = min([1.0, *(limit / value for value, limit, floor in sides if floor > 0)])
    rate, held, users = (min(value, limit) if floor > 0 else value * share for value, limit, floor in sides)
    return replace(point, requests_per_second=rate, inflight=held, users=users)


def _replayed_by_now(inputs: Inputs, replayer: Replayer, result: FleetResult) -> FleetResult:
    """The plans that were replayed and keep every promise. Where none was yet, the first that does: it may take a
    moment over the time, which no number of nodes prolongs."""
    rows = [[trial for _, trial in _every_trial(inputs, solution)] for solution in result.solutions]
    known = [all(replayer.knows(trial) and replayer.replay(trial).kept for trial in trials) for trials in rows]
    if all(known):
        return result
    if not any(known):
        kept = next((at for at, trials in enumerate(rows) if all(replayer.replay(t).kept for t in trials)), None)
        known = [at == kept for at in range(len(rows))]
    why = "when the time was up some plans missed a promise when replayed or had not been replayed"
    return _kept(result, known, why)


def _without(inputs: Inputs, replayer: Replayer, result: FleetResult, when: str) -> FleetResult:
    """The ranking without the plans that still miss a promise, numbered anew and no longer called proven."""
    rows = [[trial for _, trial in _every_trial(inputs, solution)] for solution in result.solutions]
    known = [all(replayer.replay(trial).kept for trial in trials) for trials in rows]
    return _kept(result, known, f"{when} some plans still missed a promise when replayed")


def _kept(result: FleetResult, known: Sequence[bool], why: str) -> FleetResult:
    """The plans that are known to keep every promise."""
    from optimizer.fleet.types import FleetStatus

    kept = [solution for solution, keeps in zip(result.solutions, known, strict=True) if keeps]
    status = FleetStatus.FEASIBLE if kept else FleetStatus.UNKNOWN
    numbered = tuple(replace(s, rank=rank, proven=False) for rank, s in enumerate(kept, start=1))
    return replace(result, status=status, solutions=numbered, warnings=(*result.warnings, f"{why} and were left out"))


def _with_replays(
    inputs: Inputs,
    replayer: Replayer,
    result: FleetResult,
    plans: Sequence[Plan],
    *,
    tested: bool,
    filmed: bool = True,
) -> Iterator[Plan]:
    """What is ``tested`` comes with its tests, and the first plan where it is ``filmed`` with what charts show."""
    for solution, plan, trials in zip(result.solutions, plans, _trials(inputs, result), strict=True):
        if solution.has_pools:
            yield pools_as_replayed(inputs, solution, plan)
            continue
        show = replayer.filmed if filmed and tested and plan.rank == 1 else replayer.replay
        specs = [trial.spec for trial in trials]
        experiments = experiments_of(inputs, plan, specs, replayer.memory.run.tests) if tested else ()
        simulated = tuple(show(trial) for trial in trials)
        left = remainder_of(inputs, solution, replayer, asked_of(inputs, replayed=True))
        yield _bound_as_replayed(replace(plan, simulated=simulated, experiments=experiments, remainder=left))


def _bound_as_replayed(plan: Plan) -> Plan:
    """The plan with how close each promise runs to its limit as replayed; with a day profile, whose replays are of the
    busiest period, as predicted."""
    if plan.periods:
        return plan
    worst: dict[tuple[str | None, str], float] = {}
    for replay in plan.simulated:
        for promise in replay.promises:
            about = (part_name(replay.workload, promise.length_class), promise.path)
            worst[about] = max(promise.with_margin_s, worst.get(about, 0.0))
    found = [_bound_at(one, worst.get((one.workload, one.promise))) for one in plan.binding]
    return replace(plan, binding=tuple(sorted(found, key=lambda one: (one.slack, one.promise))))


def _bound_at(binding: Binding, seconds: float | None) -> Binding:
    if seconds is None:
        return binding
    value = seconds * (_MS if binding.unit == "ms" else 1.0)
    return replace(binding, value=value, slack=1.0 - value / binding.limit)


def _priced(rejection: Rejection, plans: Sequence[Plan]) -> Rejection:
    """With what the cheapest ranked plan costs that has the replicas the repair asks for."""
    wanted = replace(rejection.group, replicas=rejection.replicas_needed or 0)
    same = [plan.monthly_cents for plan in plans if any(_is_repair(group, wanted) for group in plan.groups)]
    return replace(rejection, repaired_cents=min(same, default=None))


def _is_repair(group: object, wanted: object) -> bool:
    names = ("workload", "gpu", "link", "weight_quant", "kv_cache", "split", "replicas")
    return all(getattr(group, name) == getattr(wanted, name) for name in names)
