"""``optimize calibrate``: a user's own measurements on top of the packaged fit.

Files of the fit: the parameter table, the folds and each fold's parameters, the error bands.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from optimizer.calibrate.fit import FitProblem, fit, measured_of, statistic_of, targets_of, value_of
from optimizer.calibrate.forward import beyond_slots, predict_cases
from optimizer.calibrate.rows import MeasuredRow, RowCase
from optimizer.calibrate.scores import OFFLINE, THROUGHPUT, TPOT, TTFT, TTFT_UNKNOWN, case_grade, is_served
from optimizer.performance.accuracy import band_name, is_wide_pcie, named_band, own_setup, usual_source
from optimizer.performance.parameter_files import COLUMNS, OWN_SETUPS
from optimizer.performance.parameters import Parameter, Parameters
from optimizer.performance.rates import work_of

if TYPE_CHECKING:
    from pandas import DataFrame

FIGURES = ("tpot", "ttft", "throughput")


@dataclass(frozen=True, slots=True)
class FittedFigure:
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
    by figure, and every measured figure after the fit; beside them how many loads were measured of each setup."""

    parameters: tuple[Parameter, ...]
    loads: tuple[Parameter, ...]
    before: dict[str, float]
    after: dict[str, float]
    cases: tuple[RowCase, ...]
    figures: tuple[FittedFigure, ...]

    def to_csv(self) -> str:
        """The file that ``engine.calibration`` and ``--calibration`` take."""
        return parameter_csv((*self.parameters, *self.loads))

    def to_frame(self) -> DataFrame:
        """The figures as a pandas table, one row each; latencies in ms, throughputs in tokens per second."""
        import pandas as pd

        columns = ("in_flight", "metric", "statistic", "measured", "predicted", "low", "high", "fitted", "inside_band")
        rows = [
            (
                self.cases[one.case].row.concurrency, one.metric, one.statistic, one.measured, one.predicted, one.low,
                one.high, one.fitted, one.inside,
            )
            for one in self.figures
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=list(columns))


def calibrate(cases: Sequence[RowCase], base: Parameters, rounds: int = 4) -> Calibration:
    """Fit card and engine parameters to the cases, starting from and pulled to the packaged values.

    The host is the user's own: where it is the bus between four or more GPUs that matters, its share is fitted too, in
    place of the slowest host that plans otherwise get.
    """
    table = tuple(free_parameters(cases, base))
    problem = FitProblem(tuple(cases), targets_of(cases, lambda _: 1.0), table, base)
    theta, _ = fit(problem, rounds)
    fitted = problem.parameters(theta)
    found = tuple(
        Parameter(
            p.name, p.scope, fitted.values[p.name, p.scope], p.low, p.high, p.prior, p.prior_log_sd, p.unit, p.source
        )
        for p in table
    )
    figures = tuple(_figures(problem, fitted))
    return Calibration(
        found, tuple(_loads(cases)), _errors(problem, base), _errors(problem, fitted), tuple(cases), figures
    )


def free_parameters(cases: Sequence[RowCase], base: Parameters) -> list[Parameter]:
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


def _loads(cases: Sequence[RowCase]) -> Iterator[Parameter]:
    """How many different loads were measured of each setup under load; a run repeated is one."""
    found: dict[str, set[tuple[object, ...]]] = {}
    for case in cases:
        if is_served(case.row) and not case.unknown_engine:
            row, spec = case.row, case.spec
            degrees = (spec.tensor_parallel, spec.pipeline_parallel, spec.link, spec.kv_cache, case.replicas)
            load = (row.input_tokens, row.output_tokens, row.load, row.concurrency, row.request_rate)
            found.setdefault(own_setup(spec), set()).add((*degrees, *map(str, load)))
    for setup, loads in sorted(found.items()):
        yield Parameter(OWN_SETUPS, setup, float(len(loads)), 1.0, 1e6, 0.0, 0.0, "loads", "own measurements")


def _kernels(cases: Sequence[RowCase]) -> list[tuple[str, str]]:
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


def _generations(cases: Sequence[RowCase], base: Parameters, engine: str, name: str) -> list[str]:
    """The scopes these cases read a parameter from: the engine's generation where it has its own value."""
    scopes = set()
    for case in cases:
        if case.spec.engine.profile == engine:
            own = f"engine:{engine}@{base.generation(engine, case.spec.engine_version)}"
            scopes.add(own if (name, own) in base.values else f"engine:{engine}")
    return sorted(scopes)


def _errors(problem: FitProblem, params: Parameters) -> dict[str, float]:
    predictions = predict_cases(problem.cases, params)
    found: dict[str, list[float]] = {}
    for target in problem.targets:
        predicted = value_of(predictions[target.case], target, problem.cases[target.case].row)
        found.setdefault(target.metric, []).append(100 * abs(predicted / target.measured - 1))
    return {figure: float(np.median(found[figure])) for figure in FIGURES if figure in found}


def _figures(problem: FitProblem, params: Parameters) -> Iterator[FittedFigure]:
    """Everything that was measured of every run: the figures of the fit, and p95 beside them."""
    predictions = predict_cases(problem.cases, params)
    beyond = beyond_slots(problem.cases)
    for index, (case, prediction) in enumerate(zip(problem.cases, predictions, strict=True)):
        grade, engine = case_grade(case, params), usual_source(case.spec, params)
        for metric, statistic, measured, fitted in _measured(case.row):
            if metric == THROUGHPUT:
                predicted = prediction.output_tokens_per_s
            else:
                predicted = getattr(prediction, f"{metric}_{statistic}")
            limits = named_band(_band_of(metric, case.row, beyond=beyond[index]), grade, engine)
            if measured > 0 and predicted > 0:
                low, high = predicted * limits.low, predicted * limits.high
                yield FittedFigure(index, metric, statistic, measured, predicted, low, high, fitted)


def _band_of(metric: str, row: MeasuredRow, *, beyond: bool) -> str:
    """The name of the band that a metric of a row is held against."""
    if metric == THROUGHPUT:
        return THROUGHPUT if is_served(row) else OFFLINE
    unknown = metric == TTFT and row.load == "closed_loop" and row.start == "unknown"
    return band_name(TTFT_UNKNOWN if unknown else metric, beyond_slots=beyond)


def _measured(row: MeasuredRow) -> Iterator[tuple[str, str, float, bool]]:
    """Metric, statistic, value and whether the fit takes it; p95 is shown where it is stated."""
    for metric, value in measured_of(row).items():
        yield metric, statistic_of(metric, row), value, True
    if is_served(row):
        for metric in (TTFT, TPOT):
            if statistic_of(metric, row) != "p95":
                yield metric, "p95", getattr(row, f"{metric}_ms_p95"), False


def with_values(table: Sequence[Parameter], theta: npt.NDArray[np.float64]) -> list[Parameter]:
    """The table with the free parameters set to log values ``theta``, four significant digits."""
    values = iter(np.exp(theta))
    return [
        replace(parameter, value=float(f"{next(values):.4g}")) if parameter.prior_log_sd > 0 else parameter
        for parameter in table
    ]


def parameter_csv(table: Sequence[Parameter]) -> str:
    """The parameter table as CSV text."""
    cells = ([getattr(parameter, column) for column in COLUMNS] for parameter in table)
    return table_csv(COLUMNS, ([f"{c:.10g}" if isinstance(c, float) else c for c in row] for row in cells))


def fold_csv(folds: Mapping[str, int]) -> str:
    """Which fold every source x GPU x model group was left out in."""
    return table_csv(("group", "fold"), sorted(folds.items()))


def read_folds(root: Path) -> dict[str, int]:
    """The stored folds."""
    with (root / "performance" / "folds.csv").open(newline="", encoding="utf-8") as stream:
        return {row["group"]: int(row["fold"]) for row in csv.DictReader(stream)}


def fold_parameter_csv(table: Sequence[Parameter], thetas: Sequence[npt.NDArray[np.float64]]) -> str:
    """The free parameters as each fold fitted them, without seeing its own groups."""
    free = [parameter for parameter in table if parameter.prior_log_sd > 0]
    columns = [[f"{value:.6g}" for value in np.exp(theta)] for theta in thetas]
    header = ("name", "scope", *(f"fold_{k}" for k in range(len(thetas))))
    rows = [(p.name, p.scope, *cells) for p, *cells in zip(free, *columns, strict=True)]
    return table_csv(header, rows)


def read_fold_parameters(root: Path, base: Parameters) -> list[Parameters]:
    """One parameter set per stored fold."""
    with (root / "performance" / "fold_parameters.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = [name for name in rows[0] if name.startswith("fold_")]
    return [
        replace(base, values={**base.values, **{(row["name"], row["scope"]): float(row[name]) for row in rows}})
        for name in names
    ]


def table_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
