"""``optimize calibrate``: a user's own measurements on top of the packaged fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.calibrate.fit import Problem, fit, targets_of, value_of
from optimizer.calibrate.forward import predict_cases
from optimizer.calibrate.rows import Case
from optimizer.performance.grades import is_wide_pcie
from optimizer.performance.parameters import Parameter, Parameters

FIGURES = ("tpot", "ttft", "throughput")


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration found: parameters that override the packaged ones, median error before and after."""

    parameters: tuple[Parameter, ...]
    before: dict[str, float]  # percent, by figure
    after: dict[str, float]
    rows: int


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
    return Calibration(found, _errors(problem, base), _errors(problem, fitted), len(cases))


def free_parameters(cases: Sequence[Case], base: Parameters) -> list[Parameter]:
    """What own measurements can tell: how fast the card is, what the engine adds per step and per request."""
    cards = sorted({case.spec.gpu.id for case in cases})
    engines = sorted({case.spec.engine.profile for case in cases})
    source = "own measurements"
    result = []
    for card in cards:
        for name, spread in (("slowdown", 0.15), ("gemm_mfu_factor", 0.2), ("kv_bandwidth_factor", 0.15)):
            prior = base.values.get((name, f"gpu:{card}"), 1.0)
            result.append(Parameter(name, f"gpu:{card}", prior, 0.2, 5.0, prior, spread, "ratio", source))
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
