"""Lists of quotes as people have them, added to a problem as further entries of ``offers:``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.errors import Finding, UsageError

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.problem import Problem


@dataclass(frozen=True, slots=True)
class QuotesAdded:
    """An edit that adds quotes to a problem, the problem under it, and what was refused, each with its line."""

    edit: str
    problem: Problem
    refused: tuple[Finding, ...]


def add_quotes(
    problem: Path | str | Problem,
    quotes: Sequence[Path | str],
    catalog: Catalog | Path | str | None = None,
    *,
    sets: Sequence[str] = (),
) -> QuotesAdded:
    """Add the quotes of some lists to those that a problem states.

    Parameters
    ----------
    problem : Path, str or Problem
        A problem file, or a ``Problem`` of ``load_problem`` or ``parse_problem``, asked as it was read.
    quotes : sequence of Path or str
        Lists as suppliers send them: CSV or XLSX, English or Chinese headers.
    catalog : Catalog, Path, str or None
        Of ``load_catalog``, or a directory that overrides and extends the packaged catalogs; None: the packaged ones.
    sets : sequence of str
        Edits of the problem, each ``PATH=VALUE``, such as ``workloads.chat.slo.ttft_ms=1500``.

    Returns
    -------
    QuotesAdded
        The ``Problem`` with the quotes that were read, and each line that was refused, with the reason.

    Raises
    ------
    UsageError
        Where no quote could be read.
    InputError
        For what the user can mend, with every finding.
    """
    from optimizer.catalog import default_root
    from optimizer.catalog.importers.names import read_names
    from optimizer.catalog.importers.quote_types import Status
    from optimizer.catalog.importers.quote_yaml import offers_of
    from optimizer.catalog.importers.quotes import read_quotes
    from optimizer.planning.inputs import catalog_of
    from optimizer.problem import Problem, load_problem, problem_with

    known, root = catalog_of(catalog)
    roots = [default_root()] if root is None else [default_root(), root]
    found = read_quotes([Path(one) for one in quotes], known, read_names(known.gpus, roots))
    refused = [line for line in found.lines if line.status is Status.REFUSED]
    if len(refused) == len(found.lines):
        raise UsageError([Finding(f"no quote: {line.reason}", line.file, line.line) for line in refused])
    # references are checked when the quotes are among them
    asked = problem_with(problem, sets) if isinstance(problem, Problem) else load_problem(problem, sets=sets)
    kept = [quote.model_dump(mode="json", exclude_none=True) for quote in asked.offers]
    taken = {*known.offers, *(quote.id for quote in asked.offers)}
    edit = f"offers={json.dumps([*kept, *offers_of(found.lines, taken)])}"
    told = tuple(Finding(f"quote refused: {line.reason}", line.file, line.line) for line in refused)
    return QuotesAdded(edit, problem_with(asked, [edit]), told)
