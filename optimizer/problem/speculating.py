"""Where replicas may draft, and the sentence that says why not elsewhere. What is published the catalogs know."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.problem.findings import Issue, KeyPath
from optimizer.problem.pooling import pools_wanted
from optimizer.problem.schema import ProblemFile
from optimizer.problem.schema_served import Workload
from optimizer.vocabulary import Disaggregation, Speculative


def may_draft(problem: ProblemFile, workload: Workload) -> bool:
    """Whether drafts are asked for, and nothing of the problem keeps them from this workload."""
    return problem.engine.speculative is not Speculative.OFF and workload.sessions is None and not pools_wanted(problem)


def speculation_possible(problem: ProblemFile) -> Iterator[Issue]:
    """``speculative: required`` stands only where drafts are planned and their acceptance can be known."""
    if problem.engine.speculative is not Speculative.REQUIRED:
        return
    for path, why, hint in _obstacles(problem):
        yield Issue(("engine", "speculative"), f"speculative is required, but {why}", hint, (path,))


def _obstacles(problem: ProblemFile) -> Iterator[tuple[KeyPath, str, str]]:
    if problem.engine.disaggregation is not Disaggregation.OFF:
        yield ("engine", "disaggregation"), "drafts are not planned in pools", "state disaggregation: off"
    for index, workload in enumerate(problem.workloads):
        path: KeyPath = ("workloads", index)
        if workload.sessions is not None:
            yield (*path, "sessions"), "drafts are not planned for sessions", "state speculative: off"
        elif workload.task is None:
            yield path, f"the task of {workload.name} is not stated", "state its task: chat, code, reasoning or rag"
