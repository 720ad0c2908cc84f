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
    quotes: Sequence[Path],
    catalog: Catalog | Path | str | None = None,
    *,
    sets: Sequence[str] = (),
) -> QuotesAdded:
    """Add the quotes of some lists (CSV, XLSX) to those that a problem states.

    Raises ``UsageError`` where no quote could be read, ``InputError`` for what else the user can mend.
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
    found = read_quotes(quotes, known, read_names(known.gpus, roots))
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
