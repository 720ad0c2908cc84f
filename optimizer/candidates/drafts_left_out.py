"""What is said where drafts are asked for and nothing can be drafted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from optimizer.performance.drafting import refusals
from optimizer.problem import may_draft, pools_wanted
from optimizer.vocabulary import Speculative

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.problem import Problem


def drafts_left_out(problem: Problem, catalog: Catalog) -> Iterator[str]:
    """Why a workload is planned without drafts although ``engine.speculative`` allows them."""
    stated = problem.engine
    if stated.speculative is Speculative.OFF:
        return
    for workload in problem.workloads:
        if may_draft(problem, workload):
            model, engine = catalog.models[workload.model], catalog.engines[stated.name]
            task = str(workload.task or "")
            why = next(refusals(model, engine, stated.version or "", task, catalog.drafts), "")
        else:
            why = "drafts are not planned in pools" if pools_wanted(problem) else "drafts are not planned for sessions"
        if why:
            yield f"engine.speculative: {stated.speculative} leaves drafts out for {workload.name}: {why}"
