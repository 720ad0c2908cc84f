"""``optimize calibrate``: a user's own measurements on top of the packaged fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.calibrate.evidence import is_served
from optimizer.calibrate.fit import Problem, fit, measured_of, statistic_of, targets_of, value_of
from optimizer.calibrate.forward import beyond_slots, predict_cases
from optimizer.calibrate.rows import Case, Row
from optimizer.calibrate.scores import OFFLINE, THROUGHPUT, TPOT, TTFT, TTFT_UNKNOWN
from optimizer.calibrate.tables import case_grade
from optimizer.performance.bands import band_name, named_band
from optimizer.performance.grades import is_wide_pcie
from optimizer.performance.parameters import Parameter, Parameters
from optimizer.performance.work import work_of

FIGURES = ("tpot", "ttft", "throughput")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure beside what the fit says of it (ms, or tokens/s) and the 90 % band around that."""

    case: int
    metric: str
    statistic: str  # mean, p50, p95 or p99
    measured: float
    predicted: float
    low: float
    high: float
    fitted: bool  # else only shown

    @property
    def inside(self) -> bool:
        """Whether what was measured lies inside the band."""
        return self.low <= self.measured <= self.high

    @property
    def error(self) -> float:
        """Predicted over measured less one."""
        return self.predicted / self.measured - 1.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration found: parameters that override the packaged ones, median error before and after in percent
    by figure, and every measured figure after the fit."""

    parameters: tuple[Parameter, ...]
    before: dict[str, float]
    after: dict[str, float]
    cases: tuple[Case, ...]
    figures: tuple[Figure, ...]


def calibrate(cases: Sequence[Case], base: Parameters, rounds: int = 4) -> Calibration:
    """Fit card and engine parameters to the cases, starting from and pulled to the packaged values.

    The host is the user's own: where it is the bus between four or more GPUs that matters, its share is fitted too, in
    place of the slowest host that plans otherwise get.
    """
    table = tuple(free_parameters(cases, base))
    problem = Problem(tuple(cases), targets_of(cases, lambda _: 1.0), table, base)
    theta, _ = fit(problem, rounds)
    fitted = problem.parameters(theta)
    found = tuple(
        Parameter(
            p.name, p.scope, fitted.values[p.name, p.scope], p.low, p.high, p.prior, p.prior_log_sd, p.unit, p.source
        )
        for p in table
    )
    figures = tuple(_figures(problem, fitted))
    return Calibration(found, _errors(problem, base), _errors(problem, fitted), tuple(cases), figures)


def free_parameters(cases: Sequence[Case], base: Parameters) -> list[Parameter]:
    """What own measurements can tell: how fast the card is, how well it computes in each format that it ran, what the
    engine adds per step and per request.

    A factor of a card and a format (``gpu:CARD/FORMAT``, the format that its kernels compute in) multiplies whatever
    the packaged fit knows of either, so that a format which is wrong on this card is mended there and nowhere else.
    How fast a format computes is left more room than how fast it is read: where all steps of a card are slower, the
    card is slow, and its other formats with it.
    """
    cards = sorted({case.spec.gpu.id for case in cases})
    engines = sorted({case.spec.engine.profile for case in cases})
    source = "own measurements"
    result = []
    for card in cards:
        for name, spread in (("slowdown", 0.15), ("kv_bandwidth_factor", 0.15)):
            prior = base.values.get((name, f"gpu:{card}"), 1.0)
            result.append(Parameter(name, f"gpu:{card}", prior, 0.2, 5.0, prior, spread, "ratio", source))
    for kernel, scope in _kernels(cases):
        for name, spread in ((f"{kernel}_mfu_factor", 0.5), (f"{kernel}_mbu_factor", 0.1)):
            prior = base.values.get((name, scope), 1.0)
            result.append(Parameter(name, scope, prior, 0.1, 5.0, prior, spread, "ratio", source))
    for group in sorted({_group_size(case.spec.tensor_parallel) for case in cases if is_wide_pcie(case.spec)}):
        prior = base.first("slow_host_bus_share", f"gpus:{group}")
        share = Parameter("slow_host_bus_share", f"own/gpus:{group}", prior, 0.01, 1.0, prior, 1.0, "share", source)
        result.append(share)
    for engine in engines:
        for name, unit in (("step_ms", "ms per step"), ("frontend_ms", "ms per request")):
            for generation in _generations(cases, base, engine, name):
                prior = base.first(name, generation, f"engine:{engine}")
                result.append(Parameter(name, generation, prior, prior / 30, prior * 30, prior, 0.7, unit, source))
    return result


def _kernels(cases: Sequence[Case]) -> list[tuple[str, str]]:
    """Products that the cases run (``gemm``, ``moe``) and the scope of the card and the format they compute in."""
    found = set()
    for case in cases:
        work = work_of(case.spec)
        found.add(("gemm", f"gpu:{case.spec.gpu.id}/{work.dense_format}"))
        if work.experts:
            found.add(("moe", f"gpu:{case.spec.gpu.id}/{work.expert_format}"))
    return sorted(found)


def _group_size(tensor_parallel: int) -> int:
    """The size of group whose all-reduce stands for this degree: 4 or 8."""
    return 4 if tensor_parallel <= 4 else 8


def _generations(cases: Sequence[Case], base: Parameters, engine: str, name: str) -> list[str]:
    """The scopes these cases read a parameter from: the engine's generation where it has its own value."""
    scopes = set()
    for case in cases:
        if case.spec.engine.profile == engine:
            own = f"engine:{engine}@{base.generation(engine, case.spec.engine_version)}"
            scopes.add(own if (name, own) in base.values else f"engine:{engine}")
    return sorted(scopes)


def _errors(problem: Problem, params: Parameters) -> dict[str, float]:
    predictions = predict_cases(problem.cases, params)
    found: dict[str, list[float]] = {}
    for target in problem.targets:
        predicted = value_of(predictions[target.case], target, problem.cases[target.case].row)
        found.setdefault(target.metric, []).append(100 * abs(predicted / target.measured - 1))
    return {figure: float(np.median(found[figure])) for figure in FIGURES if figure in found}


def _figures(problem: Problem, params: Parameters) -> Iterator[Figure]:
    """Everything that was measured of every run: the figures of the fit, and p95 beside them."""
    predictions = predict_cases(problem.cases, params)
    beyond = beyond_slots(problem.cases)
    for index, (case, prediction) in enumerate(zip(problem.cases, predictions, strict=True)):
        grade, engine = case_grade(case, params), case.spec.engine.profile
        for metric, statistic, measured, fitted in _measured(case.row):
            if metric == THROUGHPUT:
                predicted = prediction.output_tokens_per_s
            else:
                predicted = getattr(prediction, f"{metric}_{statistic}")
            limits = named_band(_band_of(metric, case.row, beyond=beyond[index]), grade, engine)
            if measured > 0 and predicted > 0:
                low, high = predicted * limits.low, predicted * limits.high
                yield Figure(index, metric, statistic, measured, predicted, low, high, fitted)


def _band_of(metric: str, row: Row, *, beyond: bool) -> str:
    """The name of the band that a metric of a row is held against."""
    if metric == THROUGHPUT:
        return THROUGHPUT if is_served(row) else OFFLINE
    unknown = metric == TTFT and row.load == "closed_loop" and row.start == "unknown"
    return band_name(TTFT_UNKNOWN if unknown else metric, beyond_slots=beyond)


def _measured(row: Row) -> Iterator[tuple[str, str, float, bool]]:
    """Metric, statistic, value and whether the fit takes it; p95 is shown where it is stated."""
    for metric, value in measured_of(row).items():
        yield metric, statistic_of(metric, row), value, True
    if is_served(row):
        for metric in (TTFT, TPOT):
            if statistic_of(metric, row) != "p95":
                yield metric, "p95", getattr(row, f"{metric}_ms_p95"), False
