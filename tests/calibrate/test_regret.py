"""Regret on a grid small enough to work out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.regret import BETWEEN, Point, ask, gpu_prices, questions, refined
from optimizer.calibrate.scores import THROUGHPUT, TPOT
from optimizer.catalog import load_catalog
from optimizer.performance.types import Grade


def point(price: float, predicted: tuple[float, float], measured: tuple[float, float]) -> Point:
    names = (TPOT, THROUGHPUT)
    expected, found = (dict(zip(names, figures, strict=True)) for figures in (predicted, measured))
    return Point(("card", price), 8.0, "", price, Grade.A, expected, found)


CHEAP = point(1.0, (40.0, 1000.0), (40.0, 1000.0))
FAST = point(4.0, (10.0, 2000.0), (10.0, 2000.0))
FLATTERED = point(1.0, (15.0, 3000.0), (45.0, 1500.0))


def test_a_right_pick_has_no_regret() -> None:
    outcome = ask([CHEAP, FAST], {TPOT: 50.0}, 0.5)
    assert outcome is not None
    assert (outcome.ratio, outcome.kept) == (1.0, True)


def test_a_flattered_configuration_breaks_the_limit() -> None:
    outcome = ask([CHEAP, FAST, FLATTERED], {TPOT: 20.0}, 0.5)
    assert outcome is not None
    assert not outcome.kept
    assert outcome.ratio == pytest.approx((1 / 1500) / (4 / 2000))


def test_margins_turn_down_what_is_close() -> None:
    assert ask([CHEAP], {TPOT: 41.0}, 0.5) is not None
    assert ask([CHEAP], {TPOT: 41.0}, 0.95) is None


def test_only_limits_that_part_the_grid_are_asked() -> None:
    assert [limits[TPOT] for limits in questions([CHEAP, FAST])] == [10, 15, 20, 30]


def test_measured_cards_have_prices() -> None:
    prices = gpu_prices(load_catalog())
    assert prices["l40s_48"] < prices["h200_sxm_141"] < prices["b200_sxm_180"]


def test_loads_between_measured_ones_are_interpolated() -> None:
    """Halfway between 8 and 32 in flight, every figure is the geometric mean; runs at one load are averaged first."""
    low = point(1.0, (10.0, 100.0), (20.0, 100.0))
    high = replace(low, load=32.0, predicted={TPOT: 40.0, THROUGHPUT: 400.0}, measured={TPOT: 80.0, THROUGHPUT: 100.0})
    again = replace(low, measured={TPOT: 45.0, THROUGHPUT: 100.0})
    grid = refined([low, again, high])
    assert len(grid) == 2 + BETWEEN
    middle = next(one for one in grid if one.load == pytest.approx(16.0))
    assert middle.predicted[TPOT] == pytest.approx(20.0)
    assert middle.measured[TPOT] == pytest.approx((30.0 * 80.0) ** 0.5)
    far = replace(high, load=64.0)
    assert len(refined([low, far])) == 2
