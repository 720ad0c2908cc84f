"""Bands reach further where few groups or few sources made them, by what follows from their number alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optimizer.calibrate.band_width import between_share, levels, student, widening

ONE = np.ones(400)


@pytest.mark.parametrize(("freedom", "table"), [(1, 6.314), (2, 2.920), (3, 2.353), (5, 2.015), (9, 1.833)])
def test_student_is_that_of_the_tables(freedom: int, table: float) -> None:
    assert student(0.95, freedom) == pytest.approx(table, rel=0.005)


def test_a_new_group_takes_its_place_among_those_seen() -> None:
    assert levels(99) == pytest.approx((4 / 99, 9 / 99, 90 / 99, 95 / 99))
    assert levels(38)[0] == pytest.approx(0.025) and levels(18)[1] == pytest.approx(0.05)  # half a tail: no further out
    assert levels(2) == levels(17) == (0.025, 0.05, 0.95, 0.975)
    assert levels(10**6) == pytest.approx((0.05, 0.10, 0.90, 0.95), abs=1e-5)


def test_conformal_levels_hold_a_further_group_as_often_as_they_say() -> None:
    """Groups of one row each, whose errors are of any law: the tail is cut by one group in twenty, or fewer."""
    draws = np.random.default_rng(3)
    missed = []
    for _ in range(4000):
        seen, new = np.sort(draws.standard_cauchy(59)), draws.standard_cauchy()
        missed.append(new > np.quantile(seen, levels(59)[3], method="inverted_cdf"))
    assert 0.03 < float(np.mean(missed)) < 0.06


def test_few_groups_and_few_sources_widen_and_many_do_not() -> None:
    assert widening(38, 10**6, 0.3) == pytest.approx(np.ones(4), abs=1e-3)
    assert (widening(4, 10, 0.3) > widening(40, 10, 0.3)).all()
    assert widening(38, 10, 0.3) == pytest.approx(widening(400, 10, 0.3))  # the quantiles themselves say it all
    assert (widening(40, 2, 0.3) > widening(40, 10, 0.3)).all()
    assert widening(40, 2, 0.0) == pytest.approx(widening(40, 10, 0.0))
    assert widening(10**6, 1, 0.5)[0] == pytest.approx(math.sqrt(1.5 / 0.5), rel=1e-3)


@pytest.mark.parametrize("between", [0.0, 0.3, 1.0])
def test_the_share_between_sources_is_found_again(between: float) -> None:
    draws = np.random.default_rng(5)
    sources = np.arange(400) % 20
    own = draws.normal(size=20)
    logs = math.sqrt(between) * own[sources] + math.sqrt(1.0 - between) * draws.normal(size=400)
    share, freedom = between_share(logs, ONE, sources)
    assert (share, freedom) == (pytest.approx(between, abs=0.17), 19)
    assert between_share(logs, ONE, np.zeros(400, dtype=np.intp)) == (0.0, 0)
