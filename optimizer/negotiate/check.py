"""A problem read against the catalogs: what was understood, without solving anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.vocabulary import KvTiers

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.problem import Problem


COLUMN = 10
"""Columns of the label before each line of what was understood."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Everything that ``optimize check`` says of a sound problem."""

    problem: Problem
    said: tuple[tuple[str, str], ...]  # what was understood: label and text
    remarks: tuple[str, ...]  # promises that nothing can keep, then what to know of its models, each once

    @property
    def lines(self) -> tuple[str, ...]:
        """What was understood in plain text, as printed."""
        return self.title, *(f"  {label:<{COLUMN}}{text}" for label, text in self.said)

    @property
    def title(self) -> str:
        """Name and file of the problem."""
        return f"{self.problem.name} ({self.problem.path})"


def check(
    problem: Path | str | Problem, catalog: Catalog | Path | str | None = None, *, sets: Sequence[str] = ()
) -> Checked:
    """Read a problem against the catalogs and say what was understood, without solving anything.

    Parameters
    ----------
    problem : Path, str or Problem
        A problem file, or a ``Problem`` of ``load_problem`` or ``parse_problem``, asked as it was read.
    catalog : Catalog, Path, str or None
        Of ``load_catalog``, or a directory that overrides and extends the packaged catalogs; None: the packaged ones.
    sets : sequence of str
        Edits of the problem, each ``PATH=VALUE``, such as ``workloads.chat.slo.ttft_ms=1500``.

    Returns
    -------
    Checked
        The problem as read, what it asks for in lines of text, and remarks on its models.

    Raises
    ------
    InputError
        With everything that is wrong, in file order: line, column, what to write instead.
    """
    from optimizer.candidates.drafts_left_out import drafts_left_out
    from optimizer.catalog.remarks import remarks
    from optimizer.planning.floors import impossible_promises, suspicious
    from optimizer.planning.inputs import read_inputs, read_problem
    from optimizer.problem import pools_left_out
    from optimizer.problem.summary import summary_of

    read, known, _ = read_problem(problem, sets=sets, catalogs=catalog)
    doubts: tuple[str, ...] = ()
    if suspicious(read):
        doubts = tuple(impossible_promises(read_inputs(problem, sets=sets, catalogs=catalog)))
    left_out = (*pools_left_out(read), *drafts_left_out(read, known), *_without_host_memory(read, known))
    names = dict.fromkeys(workload.model for workload in read.workloads)
    return Checked(
        problem=read,
        said=tuple(summary_of(read)),
        remarks=(
            *(f"warning: {sentence}" for sentence in (*doubts, *left_out)),
            *(line for name in names for line in remarks(known.models[name])),
        ),
    )


def _without_host_memory(problem: Problem, catalog: Catalog) -> Iterator[str]:
    """Why every replica cannot keep KV cache in the memory of its host, where it has to."""
    if problem.engine.kv_tiers is not KvTiers.HOST:
        return
    from optimizer.fleet.requirements import user_rules
    from optimizer.planning.host_memory import no_host_memory
    from optimizer.pricing import node_options

    options = node_options(problem, catalog)
    if reason := no_host_memory(problem, user_rules(problem, catalog, options), options):
        yield reason
