"""Where a prefill pool and a decode pool may serve a workload, and the sentence that says why not elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.errors import Finding, ProblemError
from optimizer.problem.findings import Issue, KeyPath
from optimizer.problem.schema import ProblemFile
from optimizer.vocabulary import POOL_ENGINES, Disaggregation, Objective, Survive


def pools_wanted(problem: ProblemFile) -> bool:
    """Whether pools compete: they are asked for, and nothing of the problem keeps them out."""
    return problem.engine.disaggregation is not Disaggregation.OFF and not any(obstacles(problem))


def obstacles(problem: ProblemFile) -> Iterator[tuple[KeyPath, str]]:
    """What pools are not planned with: the key and the reason."""
    if problem.engine.name not in POOL_ENGINES:
        yield ("engine", "name"), f"{problem.engine.name} has no servers that are prefill or decode workers"
    if problem.objective is not Objective.MINIMIZE_COST:
        yield ("objective",), f"pools are planned under minimize_cost, not under {problem.objective}"
    if len(problem.workloads) > 1:
        yield ("workloads",), f"pools are planned for one workload, and there are {len(problem.workloads)}"
    if problem.ranking.max_configurations_per_workload > 1:
        yield ("ranking", "max_configurations_per_workload"), "pools are not planned beside mixes of configurations"
    if problem.margins.survive is not Survive.NONE:
        yield ("margins", "survive"), "what is left of pools when a node is gone is not judged"
    for index, workload in enumerate(problem.workloads):
        path: KeyPath = ("workloads", index)
        traffic, tokens = workload.traffic, workload.tokens
        users = traffic.users
        stated: tuple[tuple[str, bool, str], ...] = (
            ("batch", traffic.batch is not None, "offline work promises no latencies, for which alone pools are there"),
            ("trace", traffic.trace is not None, "pools are not replayed with recorded requests"),
            ("profile", traffic.profile is not None, "pools are not planned over a day profile"),
            ("min_replicas", traffic.min_replicas > 0, "min_replicas counts replicas that do both phases"),
            ("users", users is not None and users.think_time_s is not None, "pools have no closed population"),
        )
        for key, there, why in stated:
            if there:
                yield (*path, "traffic", key), why
        if workload.sessions is not None:
            yield (*path, "sessions"), "pools are planned without sessions"
        if tokens.classes:
            yield (*path, "tokens", "classes"), "pools are not planned for length classes"
        if tokens.shared_prefix:
            yield (*path, "tokens", "shared_prefix"), "pools are planned without prefix caches"


def pools_left_out(problem: ProblemFile) -> Iterator[str]:
    """What is said where pools may compete and nothing of them can be planned."""
    why = [reason for _, reason in obstacles(problem)]
    if problem.engine.disaggregation is Disaggregation.ANY and why:
        yield f"engine.disaggregation: any leaves pools out here: {'; '.join(why)}"


def judged_by_replays(problem: ProblemFile, *, simulate: bool) -> None:
    """Pools are judged by replays alone: raises ``ProblemError`` where they are required and nothing is replayed."""
    if not simulate and problem.engine.disaggregation is Disaggregation.REQUIRED:
        message = "engine.disaggregation: required needs replays, which alone judge pools"
        raise ProblemError([Finding(message, hint="leave out --no-simulate, or state any")])


def pools_possible(problem: ProblemFile) -> Iterator[Issue]:
    """``disaggregation: required`` stands only where pools are planned."""
    if problem.engine.disaggregation is not Disaggregation.REQUIRED:
        return
    for path, why in obstacles(problem):
        message = f"disaggregation is required, but {why}"
        hint = "state disaggregation: any, which leaves pools out here, or off"
        yield Issue(("engine", "disaggregation"), message, hint, (path,))
