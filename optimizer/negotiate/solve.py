"""The answer to a problem as ``optimize FILE`` gives it: ranked, proven, verified, every own quote judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.progress import Clock, Say, silent

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.decide import Answer
    from optimizer.plan.types import Outcome
    from optimizer.problem import Problem


def solve(
    problem: Path | str | Problem,
    catalog: Catalog | Path | str | None = None,
    *,
    sets: Sequence[str] = (),
    progress: Say = silent,
    simulate: bool = True,
    time_limit: float | None = None,
    on_model: Callable[[str], None] | None = None,
) -> Outcome:
    """Find the cheapest deployments that keep every promise of a problem, ranked, proven and verified.

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
        Whether plans are replayed request by request before they are ranked.
    time_limit : float or None
        Seconds (wall clock) over everything; plans found by then are given with their gap (``Feasible``, or ``Unknown``
        for none). None: no limit.
    on_model : callable or None
        Receives the CP-SAT model as text.

    Returns
    -------
    Outcome
        ``Optimal``, ``Feasible``, ``Infeasible`` or ``Unknown``. ``plans`` is a tuple by rank; money in integer cents a
        month, latencies in milliseconds, loads in requests a second or requests in flight.

    Raises
    ------
    InputError
        For what the user can mend, with every finding.
    VerificationError
        Where the solver-free check does not confirm a plan.

    Source
    ------
    Money: ``catalogs/offers.csv``, publisher and date beside every price. Latencies: the performance model that
    ``docs/accuracy.md`` measures. The choice: docs/model.md.
    """
    return solved(
        problem,
        catalog,
        sets=sets,
        progress=progress,
        simulate=simulate,
        time_limit=time_limit,
        on_model=on_model,
    ).outcome


def solved(
    problem: Path | str | Problem,
    catalog: Catalog | Path | str | None = None,
    *,
    sets: Sequence[str] = (),
    progress: Say = silent,
    simulate: bool = True,
    time_limit: float | None = None,
    on_model: Callable[[str], None] | None = None,
    tested: bool = True,
) -> Answer:
    """The same, held open, so that it can be packed into a plan file or asked further.

    Not ``tested``: without the tests and charts that only documents show.
    """
    from optimizer.decide import answer, read_inputs
    from optimizer.negotiate.your_quotes import with_quotes

    clock = Clock.of(time_limit)
    progress("reading the problem and the catalogs")
    inputs = read_inputs(problem, sets=sets, catalogs=catalog)
    found = answer(inputs, on_model=on_model, progress=progress, simulate=simulate, clock=clock, tested=tested)
    return replace(found, outcome=with_quotes(found.outcome, found.case, progress))
