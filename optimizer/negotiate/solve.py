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
    problem
        Path of a problem file, or a ``Problem`` of ``load_problem`` or ``parse_problem``.
    catalog
        Of ``load_catalog``, or a directory that overrides and extends the packaged catalogs; None: the packaged ones.
    sets
        Edits of the problem, each ``PATH=VALUE``, such as ``workloads.chat.slo.ttft_ms=1500``.
    progress
        Takes the name of each step as it begins.
    simulate
        Whether plans are replayed request by request before they are ranked.
    time_limit
        Seconds over everything; plans found by then are given with their gap (``Feasible``, or ``Unknown`` for none).
    on_model
        Receives the CP-SAT model as text.

    Returns
    -------
    Outcome
        ``Optimal``, ``Feasible``, ``Infeasible`` or ``Unknown``; money in integer cents a month.

    Raises
    ------
    InputError
        For what the user can mend, with every finding.
    VerificationError
        Where the solver-free check does not confirm a plan.
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
) -> Answer:
    """The same, held open, so that it can be packed into a plan file or asked further."""
    from optimizer.decide import answer, read_inputs
    from optimizer.negotiate.your_quotes import with_quotes

    clock = Clock.of(time_limit)
    progress("reading the problem and the catalogs")
    inputs = read_inputs(problem, sets=sets, catalogs=catalog)
    found = answer(inputs, on_model=on_model, progress=progress, simulate=simulate, clock=clock)
    return replace(found, outcome=with_quotes(found.outcome, found.case, progress))
