"""More load: no latency percentile falls, no throughput either, within 1 % on the same draws."""

from __future__ import annotations

from dataclasses import astuple, fields

import numpy as np
import pytest

from optimizer.calibrate.benchmark_results import parse_row
from optimizer.calibrate.forward import MedianEstimate, predict_cases
from optimizer.calibrate.rows import case_of
from optimizer.catalog import default_root, load_catalog
from optimizer.demand import Lengths
from optimizer.performance import load_parameters
from optimizer.performance.step import StepCoefficients, step_seconds
from optimizer.simulate.draws import poisson, stream
from optimizer.simulate.fleet import hold, serve
from optimizer.simulate.replica import Settings
from optimizer.vocabulary import Router

CATALOG = load_catalog()
PARAMS = load_parameters(default_root())
NAMES = [field.name for field in fields(MedianEstimate)]
WITHIN = 0.99


def coefficients(**changed: float) -> StepCoefficients:
    values = dict.fromkeys(StepCoefficients._fields, 0.0)
    ones = dict.fromkeys(("stages", "gemm_sharpness", "kv_sharpness", "link_sharpness", "miss"), 1.0)
    base = {"window": 1e30, "chunk": 8192.0, "dense_read": 20e-3, "dense_token": 80e-6, "kv_token": 20e-9}
    return StepCoefficients(**{**values, **ones, **base, **changed})


C = coefficients()
MIXED = Settings(max_seqs=256, token_budget=2048, kv_tokens=60_000, frontend_s=0.03, service_s=0.002)
PROMPTS_FIRST = Settings(256, 2048, 60_000, 0.08, 0.002, mixed=False, reserve=0.5)


def falls(figures: list[tuple[str, list[float]]]) -> list[str]:
    """Figures that are more than a percent below what a smaller load had."""
    found = []
    for name, values in figures:
        for position, value in enumerate(values[1:], 1):
            if value < WITHIN * max(values[:position]):
                found.append(f"{name}[{position}]: {value:.4g} after {max(values[:position]):.4g}")
    return found


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
@pytest.mark.parametrize(
    ("gpu", "model", "lengths", "start"),
    [
        ("l40s_48", "meta-llama/Llama-3.1-8B-Instruct", (1000, 300), "steady"),
        ("h100_sxm_80", "meta-llama/Llama-3.1-8B-Instruct", (4000, 100), "steady"),
        ("b200_sxm_180", "Qwen/Qwen3-30B-A3B", (1000, 200), "steady"),
        ("l4_24", "meta-llama/Llama-3.1-8B-Instruct", (500, 100), "burst"),
    ],
)
def test_predictions_of_a_number_in_flight(
    engine: str, gpu: str, model: str, lengths: tuple[int, int], start: str
) -> None:
    loads = (1, 2, 4, 8, 16, 24, 32, 64, 96, 128, 192, 256, 512)
    cells = {"gpu": gpu, "model": model, "engine": engine, "start": start}
    cells |= {"input_tokens": str(lengths[0]), "output_tokens": str(lengths[1])}
    cases = [case_of(parse_row({**cells, "concurrency": str(n)}), CATALOG) for n in loads]
    rows = [astuple(prediction) for prediction in predict_cases(cases, PARAMS)]
    assert not falls([(name, [row[k] for row in rows]) for k, name in enumerate(NAMES)])


@pytest.mark.parametrize("settings", [MIXED, PROMPTS_FIRST], ids=["mixed", "prompts first"])
@pytest.mark.parametrize("spread", [False, True], ids=["one length", "lognormal"])
def test_a_replica_that_holds_a_number_in_flight(settings: Settings, spread: bool) -> None:
    """Up to what the cache holds, 3,000 requests: decoding and throughput. How long prompts wait for the step under way
    rises and falls with its length against the way to the engine; that is left to ``predict_cases``, which takes no
    luck for granted."""
    lengths = Lengths(1000, 200, 8192, input_p95=2000 if spread else None, output_p95=500 if spread else None)
    found = []
    for inflight in (1, 2, 4, 8, 12, 16, 24, 32, 40, 48):
        arrive = np.zeros(3000)
        stays = 200 * float(step_seconds(C, inflight, 1100.0 * inflight, inflight * 1000 / 200, 500.0))
        arrive[:inflight] = np.arange(inflight) * stays / inflight
        served = hold(C, settings, stream(arrive, lengths), inflight)
        seen = slice(5 * inflight, 3000 - inflight)
        lasted = served.arrive[3000 - inflight - 1] - served.arrive[5 * inflight]
        tpot, speed = served.tpot[seen], served.output[seen].sum() / lasted
        found.append((tpot.mean(), np.percentile(tpot, 95), speed))
    names = ("mean TPOT", "p95 TPOT", "tokens per second")
    assert not falls([(name, [row[k] for row in found]) for k, name in enumerate(names)])


def test_arrivals_that_come_faster() -> None:
    lengths = Lengths(1000, 200, 8192, input_p95=2000, output_p95=500)
    found = []
    for rate in (0.2, 0.5, 1.0, 1.5, 2.0, 2.5):
        served = serve(C, MIXED, stream(poisson(rate, 3000), lengths), 1, Router.ROUND_ROBIN)
        latencies = (served.ttft, served.tpot, served.e2e)
        found.append([float(np.percentile(values, at)) for values in latencies for at in (50, 95, 99)])
    assert not falls([(str(k), [row[k] for row in found]) for k in range(len(found[0]))])


@pytest.mark.parametrize("settings", [MIXED, PROMPTS_FIRST], ids=["mixed", "prompts first"])
def test_a_cache_that_overflows_does_not_take_in_what_it_puts_back(settings: Settings) -> None:
    """Offered more than fits, the replica goes on at the rate of the largest number that does."""
    speeds = []
    for inflight in (46, 60, 80, 120):
        arrive = np.zeros(4000)
        arrive[:inflight] = np.arange(inflight) * 0.3
        served = hold(C, settings, stream(arrive, Lengths(1000, 300, 8192)), inflight)
        seen = slice(1000, 3500)
        speeds.append(served.output[seen].sum() / (served.finish[3500] - served.finish[1000]))
    assert min(speeds[1:]) >= 0.98 * max(speeds)
