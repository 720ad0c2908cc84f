"""Draws of a mix of length classes, and percentiles over the requests of one class."""

from __future__ import annotations

import numpy as np
import pytest

from optimizer.demand import Lengths, LengthShare, Metric
from optimizer.performance.step import StepCoefficients
from optimizer.simulate.draws import classes_for, lengths_for, poisson, stream
from optimizer.simulate.estimate import MeasuringWindow, Wanted, observe
from optimizer.simulate.fleet import Served, hold, serve
from optimizer.simulate.replica import Settings
from optimizer.vocabulary import Router

SHORT, LONG = Lengths(100, 20, 4096), Lengths(3000, 200, 4096, 3500)
MIX = Lengths(680, 56, 4096, classes=(LengthShare("short", 0.8, SHORT), LengthShare("long", 0.2, LONG)))
_ZEROS = dict.fromkeys(StepCoefficients._fields, 0.0)
_ONES = dict.fromkeys(("stages", "gemm_sharpness", "kv_sharpness", "link_sharpness", "miss"), 1.0)
C = StepCoefficients(**{**_ZEROS, **_ONES, "window": 1e30, "chunk": 8192.0, "dense_read": 10e-3, "dense_token": 50e-6})
ROOMY = Settings(max_seqs=64, token_budget=2048, kv_tokens=1e6, frontend_s=0.02, service_s=0.001)


def test_shares_and_lengths_are_those_of_the_classes() -> None:
    of_class, (prompt, output) = classes_for(MIX, 50_000), lengths_for(MIX, 50_000)
    assert np.mean(of_class == 1) == pytest.approx(0.2, abs=0.01)
    assert set(prompt[of_class == 0]) == {100.0} and set(output[of_class == 0]) == {20.0}
    assert set(output[of_class == 1]) == {200.0}
    assert np.percentile(prompt[of_class == 1], 95) == pytest.approx(3500, rel=0.02)


def test_a_longer_draw_continues_a_shorter_one() -> None:
    assert (classes_for(MIX, 500) == classes_for(MIX, 5000)[:500]).all()
    for short, long in zip(lengths_for(MIX, 500), lengths_for(MIX, 5000), strict=True):
        assert (short == long[:500]).all()


@pytest.mark.parametrize("held", [False, True])
def test_every_request_keeps_its_class_through_the_simulation(held: bool) -> None:
    given = stream(np.zeros(2000) if held else poisson(3.0, 2000), MIX)
    served = hold(C, ROOMY, given, 8) if held else serve(C, ROOMY, given, 2, Router.ROUND_ROBIN)
    assert served.length_class is not None
    assert ((served.prompt > 1000) == (served.length_class == 1)).all()


def test_a_percentile_of_a_class_counts_its_requests_alone() -> None:
    def run(window: MeasuringWindow) -> Served:
        return serve(C, ROOMY, stream(poisson(2.0, window.total), MIX), 1, Router.ROUND_ROBIN)

    wanted = [Wanted(Metric.E2E, 50), Wanted(Metric.E2E, 50, length_class=0), Wanted(Metric.E2E, 50, length_class=1)]
    everyone, short, long = (estimate.value for estimate in observe(run, wanted, 10.0).estimates)
    assert short < everyone < long


def test_a_rare_class_is_simulated_for_longer() -> None:
    def run(window: MeasuringWindow) -> Served:
        return serve(C, ROOMY, stream(poisson(2.0, window.total), MIX), 1, Router.ROUND_ROBIN)

    all_of_them = observe(run, [Wanted(Metric.TTFT, 95)], 10.0).requests
    assert observe(run, [Wanted(Metric.TTFT, 95, length_class=1, share=0.2)], 10.0).requests > all_of_them
