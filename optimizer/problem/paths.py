"""YAML paths of a problem, such as ``workloads.chat.slo.ttft_ms.p95``: what stands there, which promises there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from optimizer.problem.load import PERCENTILE_KEYS
from optimizer.problem.schema import PercentileLimits, Problem, SloSection, Workload

_TRAFFIC = ("concurrency", "requests_per_second", "output_tokens_per_second")
_SLO = ("ttft_ms", "tpot_ms", "e2e_s")
_LIMITS = ("max_gpus", "max_nodes", "max_power_kw", "max_gpu_kinds")


@dataclass(frozen=True, slots=True)
class StatedPromise:
    """A number in the problem that a plan has to keep, and that could be relaxed."""

    path: str
    value: float
    loosens_up: bool
    """Whether a larger value is easier to meet."""


def value_at(problem: Problem, path: str) -> object:
    """The value at a path; list items by name, id or index. KeyError where there is none."""
    value: object = problem
    for key in path.split("."):
        value = _step(value, key, path)
    return value


def stated_promises(problem: Problem) -> tuple[StatedPromise, ...]:
    """Every promise and limit that the problem states as a number, in file order."""
    found: list[StatedPromise] = []
    for workload in problem.workloads:
        found += _of_workload(workload)
    for key in _LIMITS:
        found += _if_stated(f"hardware.limits.{key}", getattr(problem.hardware.limits, key), loosens_up=True)
    for index, quota in enumerate(problem.hardware.quota):
        found += _if_stated(f"hardware.quota.{index}.max_gpus", quota.max_gpus, loosens_up=True)
    for quote in problem.offers:
        if "." not in quote.id:
            found += _if_stated(f"offers.{quote.id}.stock", quote.stock, loosens_up=True)
    for index, owned in enumerate(problem.hardware.owned):
        if problem.hardware.only_owned:
            found += _if_stated(f"hardware.owned.{index}.nodes", owned.nodes, loosens_up=True)
    found += _if_stated("budget.monthly", problem.budget.monthly, loosens_up=True)
    found += _if_stated("payment.max_commitment_months", problem.payment.max_commitment_months, loosens_up=True)
    found += _if_stated("margins.confidence", problem.margins.confidence, loosens_up=False)
    if problem.margins.load_headroom:
        found += _if_stated("margins.load_headroom", problem.margins.load_headroom, loosens_up=False)
    if problem.margins.spare_nodes:
        found += _if_stated("margins.spare_nodes", problem.margins.spare_nodes, loosens_up=False)
    return tuple(found)


def _of_workload(workload: Workload) -> Iterator[StatedPromise]:
    base = f"workloads.{workload.name}"
    yield from _of_slo(workload.slo, f"{base}.slo")
    for one in workload.tokens.classes:
        yield from _of_slo(one.slo, f"{base}.tokens.classes.{one.name}.slo")
    for key in _TRAFFIC:
        yield from _if_stated(f"{base}.traffic.{key}", getattr(workload.traffic, key), loosens_up=False)
    if workload.traffic.users is not None:
        yield from _if_stated(f"{base}.traffic.users.active", workload.traffic.users.active, loosens_up=False)
    if workload.traffic.batch is not None:
        batch = workload.traffic.batch
        yield from _if_stated(f"{base}.traffic.batch.within_hours", batch.within_hours, loosens_up=True)
        yield from _if_stated(f"{base}.traffic.batch.requests", batch.requests, loosens_up=False)
    if workload.traffic.min_replicas:
        yield from _if_stated(f"{base}.traffic.min_replicas", workload.traffic.min_replicas, loosens_up=False)
    yield from _if_stated(f"{base}.tokens.context_max", workload.tokens.context_max, loosens_up=False)
    yield from _if_stated(f"{base}.quality.min_recovery", workload.quality.min_recovery, loosens_up=False)


def _of_slo(slo: SloSection, base: str) -> Iterator[StatedPromise]:
    for key in _SLO:
        limit = getattr(slo, key)
        if isinstance(limit, PercentileLimits):
            for name, _ in PERCENTILE_KEYS:
                yield from _if_stated(f"{base}.{key}.{name}", getattr(limit, name), loosens_up=True)
        else:
            yield from _if_stated(f"{base}.{key}", limit, loosens_up=True)
    speed = slo.tokens_per_second_per_user
    yield from _if_stated(f"{base}.tokens_per_second_per_user", speed, loosens_up=False)


def _if_stated(path: str, value: float | None, *, loosens_up: bool) -> Iterator[StatedPromise]:
    if value is not None:
        yield StatedPromise(path, value, loosens_up)


def _step(value: object, key: str, path: str) -> object:
    if isinstance(value, BaseModel) and key in type(value).model_fields:
        return getattr(value, key)
    if isinstance(value, tuple):
        for item in value:
            if key in (getattr(item, "name", None), getattr(item, "id", None)):
                return item
        if key.isdigit() and int(key) < len(value):
            return value[int(key)]
    raise KeyError(f"{path}: nothing at {key!r}")
