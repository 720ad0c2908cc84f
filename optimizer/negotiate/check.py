"""A problem read against the catalogs: what was understood, without solving anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.problem import Problem


@dataclass(frozen=True, slots=True)
class Checked:
    """Everything that ``optimize check`` says of a sound problem."""

    problem: Problem
    lines: tuple[str, ...]  # plain text, as printed
    remarks: tuple[str, ...]  # on its models, each once


def check(
    problem: Path | str | Problem, catalog: Catalog | Path | str | None = None, *, sets: Sequence[str] = ()
) -> Checked:
    """Read a problem against the catalogs and say what was understood.

    ``problem`` is a file or a ``Problem``, ``catalog`` as of ``solve``. Raises ``InputError`` with everything that is
    wrong, in file order.
    """
    from optimizer.catalog.remarks import remarks
    from optimizer.planning.inputs import read_problem
    from optimizer.problem.summary import summary_of

    read, known, _ = read_problem(problem, sets=sets, catalogs=catalog)
    names = dict.fromkeys(workload.model for workload in read.workloads)
    return Checked(
        problem=read,
        lines=tuple(summary_of(read)),
        remarks=tuple(line for name in names for line in remarks(known.models[name])),
    )
