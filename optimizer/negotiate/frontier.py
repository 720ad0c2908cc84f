"""What every value of a field costs: the exact staircase, with the points at which another deployment wins.

Where the curves of a frontier are worked out: this process, processes of this machine, or a Dask cluster.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import pairwise
from multiprocessing import active_children, get_context
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from optimizer.errors import Finding, ProblemError, UsageError
from optimizer.files.carried import Files, carried
from optimizer.negotiate.plan_file import Asked, inputs_of, replays
from optimizer.progress import Clock, PartsDone, Say, silent
from optimizer.units import from_cents
from optimizer.whatif.axes import Axis, axis_of
from optimizer.whatif.case import Goal, Winner, ask, goal_of, guess_on
from optimizer.whatif.search import Stairs

if TYPE_CHECKING:
    from pandas import DataFrame

    from optimizer.catalog.types import Catalog
    from optimizer.plan.types import Plan
    from optimizer.problem import Figure
    from optimizer.whatif.case import Case


_PARTS, _LEAST = 16, 8
"""Parts that a single curve is cut into for a cluster, and the fewest values of one."""

SAMPLES = 20
"""Values of the second field, and of a first field whose cost may both rise and fall."""

_LOAD_OR_PROMISE = frozenset({"traffic", "slo", "budget", "hardware.limits", "hardware.quota", "margins"})
"""Sections whose numbers bring no candidate back that the rules exclude."""


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of values over which one deployment wins, or none."""

    first: float  # the loosest value, as far as the order of the axis is known
    last: float
    first_cents: int | None  # None: nothing keeps every promise
    last_cents: int | None
    plan: Plan | None  # at ``last``
    first_reached: float | None = None  # of the objective, in its own unit
    last_reached: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """One staircase, at one value of the second field where there is one."""

    against: float | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Frontier:
    """The answer of ``optimize frontier``."""

    problem_name: str
    problem_path: str
    problem_sha256: str
    currency: str
    several_workloads: bool
    over: Axis
    against: Axis | None
    curves: tuple[Curve, ...]
    goal: Goal
    replayed: bool = True

    @property
    def exact(self) -> bool:
        """Whether every change of the winner is listed; else those between the sampled values may be missing."""
        return is_monotone(self.over, self.goal)

    def to_frame(self) -> DataFrame:
        """The staircases as a pandas table, one row a step; money in currency units a month, ``gpus`` of the winner."""
        import pandas as pd

        rows = [
            (
                curve.against,
                step.first,
                step.last,
                None if step.first_cents is None else from_cents(step.first_cents),
                None if step.last_cents is None else from_cents(step.last_cents),
                self.currency,
                None if step.plan is None else step.plan.gpus,
                None if step.plan is None else "; ".join(dict.fromkeys(group.gpu for group in step.plan.groups)),
            )
            for curve in self.curves
            for step in curve.steps
        ]
        columns = ("against", "from", "to", "monthly_cost_from", "monthly_cost_to", "currency", "gpus", "gpu")
        return pd.DataFrame(rows, columns=list(columns))


def is_monotone(axis: Axis, goal: Goal) -> bool:
    """Whether a deployment that lost along an axis has lost for good. A latency that is minimised grows with the load
    of each deployment, so that one may come back at a larger load."""
    return axis.monotone and (goal.objective not in ("minimize_ttft", "minimize_tpot") or axis.figure.is_promise)


@dataclass(frozen=True)
class Shared:
    """What all tasks of a frontier have in common: sent once to each worker, with the files that the problem names."""

    case: Case
    axis: Axis
    goal: Goal
    files: Files


@dataclass(frozen=True, slots=True)
class Task:
    """One curve, or a part of one, for one process to work out."""

    edit: str | None  # of the second field
    first: int
    last: int
    samples: tuple[int, ...]  # positions to ask whatever their neighbours say


@dataclass(frozen=True, slots=True)
class StairPart:
    """The steps of one task, and what tells the first and the last of its deployments from those of its neighbours."""

    steps: tuple[Step, ...]
    begins_with: object
    ends_with: object


def frontier(
    problem: Asked,
    over: tuple[str, str],
    against: tuple[str, str] | None = None,
    catalog: Catalog | Path | str | None = None,
    *,
    points: int | None = None,
    jobs: int | None = None,
    engine: str | None = None,
    sets: Sequence[str] = (),
    progress: Say = silent,
    simulate: bool = True,
    time_limit: float | None = None,
) -> Frontier:
    """Find the cost of every value of a numeric field, with the points where the winner changes.

    Work is spread over ``jobs`` processes, or over the workers of a Dask cluster, which need this package installed.

    Parameters
    ----------
    problem : Path, str or Problem
        A problem file, or a ``Problem`` of ``load_problem`` or ``parse_problem``, asked as it was read.
    over : tuple of (str, str)
        Field and range, such as ``("concurrency", "50:400")``, in the field's unit; ``FROM:TO:STEP`` for a grid.
    against : tuple of (str, str) or None
        A second field and range, at whose values the staircase is repeated.
    catalog : Catalog, Path, str or None
        Of ``load_catalog``, or a directory that overrides and extends the packaged catalogs; None: the packaged ones.
    points : int or None
        Values of ``against``; None: 20.
    jobs : int or None
        Processes; None: as many as there are processors.
    engine : str or None
        ``dask://HOST:PORT`` of a scheduler (extra ``dask``).
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
    Frontier
        One curve per value of ``against``, each a tuple of steps: first and last value, winner, money in integer cents
        a month at both ends.

    Raises
    ------
    InputError
        For a field or range that the problem does not take, and for what else the user can mend.
    OutOfTimeError
        Where ``time_limit`` seconds do not suffice.
    """
    from optimizer.whatif.case import open_case

    clock = Clock.of(time_limit)
    if engine is not None:
        scheduler_address(engine)  # a wrong one is refused before any work is done
        if time_limit is not None:
            raise UsageError([Finding("a time limit does nothing on a cluster: its machines have clocks of their own")])
    inputs = inputs_of(problem, [*sets, "ranking.top=1"], catalog)
    simulate = replays(problem, simulate=simulate)
    first = axis_of(inputs, *over)
    second = axis_of(inputs, *against) if against else None
    if second is not None and second.path == first.path:
        raise UsageError([Finding(f"--over and --against are the same field, {first.path}")])
    asked = points or SAMPLES
    shown = second and replace(second, values=tuple(second.values[index] for index in _spread(second, asked)))
    case = _lean(open_case(inputs, simulate=simulate, clock=clock), [axis.figure for axis in (first, shown) if axis])
    goal = goal_of(case)
    samples = () if is_monotone(first, goal) else _spread(first, asked)
    if points is not None and shown is None and not samples:
        hint = "leave --points out, or add --against"
        raise UsageError([Finding(f"--points does nothing: the staircase over {first.path} is exact", hint=hint)])
    if jobs is not None and engine is not None:
        hint = "leave one of the two out"
        raise UsageError([Finding("--jobs does nothing beside --engine: the cluster has its own workers", hint=hint)])
    edits = [None] if shown is None else [shown.edit(number) for number in range(len(shown.values))]
    parts = _PARTS if engine is not None and shown is None and first.monotone and not samples else 1
    ranges = _parts(len(first.values), parts)
    tasks = [Task(edit, begin, end, samples) for edit in edits for begin, end in ranges]
    shared = Shared(case, first, goal, inputs.files)
    done = run(work, shared, tasks, jobs or processors(), engine, progress)
    found = [_joined(done[at : at + len(ranges)]) for at in range(0, len(done), len(ranges))]
    values = (None,) if shown is None else shown.values
    asked_of = inputs.problem
    return Frontier(
        problem_name=asked_of.name,
        problem_path=asked_of.path,
        problem_sha256=asked_of.sha256,
        currency=asked_of.payment.currency,
        several_workloads=len(asked_of.workloads) > 1,
        over=first,
        against=shown,
        curves=tuple(Curve(value, steps) for value, steps in zip(values, found, strict=True)),
        goal=goal,
        replayed=simulate,
    )


def _parts(values: int, most: int) -> list[tuple[int, int]]:
    """First and last position of each of up to ``most`` parts of an axis, about alike."""
    count = max(1, min(most, values // _LEAST))
    edges = [round(number * values / count) for number in range(count + 1)]
    return [(begin, end - 1) for begin, end in pairwise(edges)]


def _joined(parts: Sequence[StairPart]) -> tuple[Step, ...]:
    """The steps of a curve whose parts were worked out apart: where one deployment goes on, its step does."""
    steps = list(parts[0].steps)
    for before, after in pairwise(parts):
        first, *rest = after.steps
        if before.ends_with == after.begins_with:
            last = steps.pop()
            first = replace(first, first=last.first, first_cents=last.first_cents, first_reached=last.first_reached)
        steps += [first, *rest]
    return tuple(steps)


def _spread(axis: Axis, points: int) -> tuple[int, ...]:
    """So many positions of an axis, evenly spread, both ends included."""
    last = len(axis.values) - 1
    return tuple(sorted({round(number * last / max(1, points - 1)) for number in range(points)}))


def _lean(case: Case, figures: Sequence[Figure]) -> Case:
    """Without what the rules exclude, where the fields in question cannot bring it back."""
    return case.allowed() if all(figure.section in _LOAD_OR_PROMISE for figure in figures) else case


def work(shared: Shared, task: Task) -> StairPart:
    """The steps of one task. The problem's files are read as they were when the question was asked."""
    with carried(shared.files):
        return _work(shared, task)


def _work(shared: Shared, task: Task) -> StairPart:
    axis, goal = shared.axis, shared.goal
    case = _contenders(shared.case.edited([task.edit]) if task.edit else shared.case, axis)

    def at(index: int) -> Winner:
        try:
            return ask(case, [axis.edit(index)])
        except ProblemError as error:
            raise UsageError(error.findings) from error

    guess = guess_on(axis) if axis.monotone else lambda _index, _winner: None
    stairs = Stairs(at, guess)
    values = axis.values
    steps = tuple(
        Step(
            first=values[stretch.first],
            last=values[stretch.last],
            first_cents=stretch.at_first.cents,
            last_cents=stretch.at_last.cents,
            plan=stretch.at_last.plan(),
            first_reached=goal.reached(stretch.at_first),
            last_reached=goal.reached(stretch.at_last),
        )
        for stretch in stairs.between(task.first, task.last, task.samples)
    )
    return StairPart(steps, stairs.at(task.first).identity, stairs.at(task.last).identity)


def _contenders(case: Case, axis: Axis) -> Case:
    """Without candidates that cost more at the loosest value than the best plan does at the strictest."""
    if not axis.monotone or case.inputs.problem.objective != "minimize_cost":
        return case
    try:
        strictest = ask(case, [axis.edit(len(axis.values) - 1)])
        loosest = case.edited([axis.edit(0)])
    except ProblemError:
        return case
    return case if strictest.cents is None else loosest.cheaper_than(strictest.cents + 1)


S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

SCHEDULER_PORT = 8786
"""Where a Dask scheduler listens unless told otherwise."""

_CONNECT = "10s"
_WORKERS_S = 30.0
"""How long a cluster is given to show a first worker."""


def processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    work: Callable[[S, T], R],
    shared: S,
    tasks: Sequence[T],
    jobs: int,
    engine: str | None,
    progress: Say,
) -> list[R]:
    """The result of ``work(shared, task)`` for every task, in order.

    What all tasks share is sent once to each worker of a cluster. A single task is quicker than a process starts.
    """
    progress(PartsDone(0, len(tasks), "curves"))
    if engine is not None:
        finished = _on_dask(work, shared, tasks, engine)
    elif jobs == 1 or len(tasks) == 1:
        finished = ((number, work(shared, task)) for number, task in enumerate(tasks))
    else:
        finished = _in_processes(work, shared, tasks, jobs)
    done: dict[int, R] = {}
    with closing(finished):
        for number, result in finished:
            done[number] = result
            progress(PartsDone(len(done), len(tasks), "curves"))
    return [done[number] for number in range(len(tasks))]


def _in_processes(
    work: Callable[[S, T], R], shared: S, tasks: Sequence[T], jobs: int
) -> Generator[tuple[int, R], None, None]:
    """Where this process is interrupted, those that work for it end with it, each without a word of its own."""
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=get_context("spawn")) as pool:
        try:
            with _interrupts_ignored():  # by the processes that start here: Ctrl-C reaches them too
                running: dict[Future[R], int] = {pool.submit(work, shared, task): n for n, task in enumerate(tasks)}
            for future in as_completed(running):
                yield running[future], future.result()
        except (KeyboardInterrupt, GeneratorExit):
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Signals are the main thread's business: in another one nothing changes."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _on_dask(
    work: Callable[[S, T], R], shared: S, tasks: Sequence[T], engine: str
) -> Generator[tuple[int, R], None, None]:
    """Every worker needs this package in the version that runs here; catalogs and files travel with the tasks."""
    distributed = _distributed()
    with _client(distributed, scheduler_address(engine)) as client:
        sent = client.scatter(shared, broadcast=True, hash=False)
        running: dict[Any, int] = {client.submit(work, sent, task, pure=False): n for n, task in enumerate(tasks)}
        for future, result in distributed.as_completed(running, with_results=True):
            yield running[future], result


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError as error:
        hint = "pip install 'llm-deployment-optimizer[dask]'"
        raise UsageError([Finding("--engine dask://... needs the package distributed", hint=hint)]) from error


@contextmanager
def _client(distributed: Any, address: str) -> Iterator[Any]:
    """A client of a cluster that has somebody to work."""
    try:
        client = distributed.Client(address, timeout=_CONNECT)
    except OSError as error:
        raise UsageError([Finding(f"no Dask scheduler answers at {address}")]) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_WORKERS_S)
        except TimeoutError as error:
            hint = f"start some: dask worker {address}"
            message = f"the Dask scheduler at {address} has no worker, also {_WORKERS_S:g} s later"
            raise UsageError([Finding(message, hint=hint)]) from error
        yield client


def scheduler_address(engine: str) -> str:
    """``dask://HOST[:PORT]`` as Dask writes it. Raises ``UsageError`` for anything else."""
    try:
        parts = urlsplit(engine)
        host, port = parts.hostname, parts.port or SCHEDULER_PORT
    except ValueError:
        parts, host, port = urlsplit(""), None, 0
    if parts.scheme != "dask" or not host or parts.path.strip("/") or parts.query:
        raise UsageError([Finding(f"{engine!r} is no engine", hint="e.g. --engine dask://scheduler.example:8786")])
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
