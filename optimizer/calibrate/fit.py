"""Fit the performance parameters to measurements, through the simulation, on top of their priors.

Maximum a posteriori in the logarithm of each parameter: data residuals are log(predicted / measured), weighted so that
every source x GPU x model group counts about alike and robust to outliers (Cauchy weights, reweighted each round);
prior residuals are log(value / prior) / prior_log_sd. Gauss-Newton with a numeric Jacobian; a perturbed parameter only
re-simulates the rows it touches. The Jacobian of all rows also serves the cross-validation (see ``crossval``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from optimizer.calibrate.forward import MedianEstimate, kv_tokens_of, predict_case, settings_of
from optimizer.calibrate.rows import DECODE_STEP, PROMPT_STEP, MeasuredRow, RowCase
from optimizer.performance.parameters import Parameter, Parameters
from optimizer.performance.replicas import coefficients

Floats = npt.NDArray[np.float64]

STEP = 0.04
"""Log perturbation of the numeric Jacobian."""

SPREAD = {"tpot": 0.08, "ttft": 0.25, "throughput": 0.12}
"""Log error at which a residual counts one: what the model can be expected to reach on each metric."""

TOLERANCE = 2.0
"""Residuals beyond so many spreads lose influence (Cauchy weights): a wrongly labelled row must not bend the fit."""


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """One measured figure of one case."""

    case: int
    metric: str
    measured: float
    weight: float


@dataclass(frozen=True)
class FitProblem:
    """Cases, targets and the free parameters."""

    cases: tuple[RowCase, ...]
    targets: tuple[MeasuredFigure, ...]
    table: tuple[Parameter, ...]
    base: Parameters

    @property
    def free(self) -> list[int]:
        """Positions of the fitted parameters in the table."""
        return [i for i, parameter in enumerate(self.table) if parameter.prior_log_sd > 0]

    def parameters(self, theta: Floats) -> Parameters:
        """The parameter set at log values ``theta``."""
        values = dict(self.base.values)
        for position, log_value in zip(self.free, theta, strict=True):
            parameter = self.table[position]
            values[parameter.name, parameter.scope] = math.exp(float(log_value))
        return replace(self.base, values=values)


@dataclass(frozen=True)
class Linearised:
    """Log predictions of every target at ``theta`` and their derivatives."""

    theta: Floats
    log_predictions: Floats
    jacobian: Floats


def targets_of(
    cases: Sequence[RowCase], weight_of: Callable[[MeasuredRow], float], stands_for: Sequence[float] | None = None
) -> tuple[MeasuredFigure, ...]:
    """What was measured: TPOT and TTFT where requests are served in flight, else throughput.

    A case may stand for several rows that were left out (``stands_for``). A group of n rows weighs like sqrt(10 n) of
    its rows: more rows tell more, but not in proportion.
    """
    counts = [1.0] * len(cases) if stands_for is None else stands_for
    sizes: dict[tuple[str, str], float] = {}
    found = []
    for index, case in enumerate(cases):
        for metric, value in measured_of(case.row).items():
            if value > 0:
                key = (case.row.group, metric)
                sizes[key] = sizes.get(key, 0.0) + counts[index]
                found.append((index, metric, value))
    result = []
    for index, metric, value in found:
        row = cases[index].row
        size = sizes[row.group, metric]
        balance = counts[index] * math.sqrt(min(size, 10.0) / size)
        factor = 0.4 if metric == "ttft" and row.start == "unknown" else 1.0
        result.append(MeasuredFigure(index, metric, value, weight_of(row) * balance * factor))
    return tuple(result)


def measured_of(row: MeasuredRow) -> dict[str, float]:
    """Measured figures of a row: the mean where it is stated, else the median, else p95."""
    served = row.load in ("closed_loop", "open_loop")
    result = {}
    if served or row.load in ("static_batch", DECODE_STEP, PROMPT_STEP):
        result["tpot"] = getattr(row, f"tpot_ms_{statistic_of('tpot', row)}")
    if served:
        result["ttft"] = getattr(row, f"ttft_ms_{statistic_of('ttft', row)}")
    if not result.get("tpot", 0) > 0:
        result["throughput"] = row.output_tokens_per_s
    return result


def statistic_of(metric: str, row: MeasuredRow) -> str:
    """What a row's latency is judged by: ``mean``, ``p50`` or ``p95``; throughput is a mean."""
    if metric == "throughput" or (row.ttft_by_mean if metric == "ttft" else row.tpot_by_mean):
        return "mean"
    return "p50" if getattr(row, f"{metric}_ms_p50") > 0 or not getattr(row, f"{metric}_ms_p95") > 0 else "p95"


def value_of(prediction: MedianEstimate, target: MeasuredFigure, row: MeasuredRow) -> float:
    """The predicted counterpart of a target."""
    if target.metric == "throughput":
        return prediction.output_tokens_per_s
    return float(getattr(prediction, f"{target.metric}_{statistic_of(target.metric, row)}"))


def linearise(problem: FitProblem, theta: Floats, progress: Callable[[str], None] = lambda _: None) -> Linearised:
    """Predictions of every target and their derivatives by each free parameter, through the simulation."""
    base = problem.parameters(theta)
    specs = [case.spec for case in problem.cases]
    cache = kv_tokens_of(problem.cases)
    start = np.array(coefficients(specs, base)).T
    host = [settings_of(case.spec, 1.0, base, True) for case in problem.cases]
    current = _log_predictions(problem, base, range(len(specs)), cache)
    jacobian = np.zeros((len(problem.targets), len(theta)))
    for column in range(len(theta)):
        moved = theta.copy()
        moved[column] += STEP
        params = problem.parameters(moved)
        changed = (start != np.array(coefficients(specs, params)).T).any(axis=1)
        hosts = (settings_of(case.spec, 1.0, params, True) for case in problem.cases)
        touched = [i for i, (now, before) in enumerate(zip(hosts, host, strict=True)) if changed[i] or now != before]
        after = _log_predictions(problem, params, touched, cache)
        affected = ~np.isnan(after)
        jacobian[affected, column] = (after[affected] - current[affected]) / STEP
        progress(f"{column + 1}/{len(theta)}")
    return Linearised(theta, current, jacobian)


def _log_predictions(problem: FitProblem, params: Parameters, indices: Sequence[int], cache: Floats) -> Floats:
    chosen = list(indices)
    result = np.full(len(problem.targets), np.nan)
    if not chosen:
        return result
    c = coefficients([problem.cases[i].spec for i in chosen], params)
    made = {i: predict_case(problem.cases[i], c.row(k), float(cache[i]), params) for k, i in enumerate(chosen)}
    for position, target in enumerate(problem.targets):
        if target.case in made:
            row = problem.cases[target.case].row
            result[position] = math.log(max(value_of(made[target.case], target, row), 1e-9))
    return result


def solve(problem: FitProblem, linear: Linearised, use: npt.NDArray[np.bool_], limit: float = 0.3) -> Floats:
    """Parameters that fit the targets in ``use`` best under the linearisation: reweighted least squares with priors."""
    free = [problem.table[i] for i in problem.free]
    prior = np.log([parameter.prior for parameter in free])
    sd = np.array([parameter.prior_log_sd for parameter in free])
    low = np.log([max(parameter.low, 1e-9) for parameter in free])
    high = np.log([parameter.high for parameter in free])
    measured = np.log([target.measured for target in problem.targets])
    spread = np.array([SPREAD[target.metric] for target in problem.targets])
    weight = np.array([target.weight for target in problem.targets])[use]
    matrix = linear.jacobian[use] / spread[use, None]
    offset = (linear.log_predictions - measured)[use] / spread[use]
    theta = linear.theta.copy()
    for _ in range(30):
        residual = offset + matrix @ (theta - linear.theta)
        robust = weight / (1.0 + (residual / TOLERANCE) ** 2)
        normal = (matrix * robust[:, None]).T @ matrix + np.diag(1.0 / sd**2)
        gradient = matrix.T @ (robust * residual) + (theta - prior) / sd**2
        update = np.linalg.solve(normal, gradient)
        bounded = np.clip(np.clip(theta - update, low, high), linear.theta - limit, linear.theta + limit)
        moved = float(np.abs(bounded - theta).max())
        theta = bounded
        if moved < 1e-4:
            break
    return theta


def fit(
    problem: FitProblem, rounds: int = 4, progress: Callable[[str], None] = lambda _: None
) -> tuple[Floats, Linearised]:
    """Fit all targets; returns the parameters and the last linearisation (taken at its own ``theta``)."""
    theta = np.log([problem.table[i].value for i in problem.free])
    linear = linearise(problem, theta, progress)
    everything = np.ones(len(problem.targets), dtype=bool)
    for _ in range(rounds):
        theta = solve(problem, linear, everything)
        linear = linearise(problem, theta, progress)
    return theta, linear
