"""Bisection with several halvings at once: the same brackets, to the last bit, as one halving after the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from optimizer.performance.bisection import AT_ONCE, bisected

Array = npt.NDArray[np.float64]
Beyond = Callable[[Array], npt.NDArray[np.bool_]]


def one_by_one(low: Array, high: Array, halvings: int, beyond: Beyond) -> tuple[Array, Array]:
    for _ in range(halvings):
        middle = 0.5 * (low + high)
        bad = beyond(middle)
        low, high = np.where(bad, low, middle), np.where(bad, middle, high)
    return low, high


@pytest.mark.parametrize("brackets", [1, 2, 7, 40, AT_ONCE, AT_ONCE + 1])
@pytest.mark.parametrize("halvings", [0, 1, 11, 48])
def test_the_brackets_are_those_of_one_halving_after_the_other(brackets: int, halvings: int) -> None:
    numbers = np.random.default_rng(brackets)
    low, high, sought = numbers.random(brackets), 1.0 + numbers.random(brackets) * 9.0, numbers.random(brackets) * 10.0
    found = bisected(low, high, halvings, lambda x: np.asarray(x**1.7 >= sought))
    assert np.array_equal(found, one_by_one(low, high, halvings, lambda x: np.asarray(x**1.7 >= sought)))


def test_it_takes_the_same_path_where_the_function_is_not_monotone() -> None:
    low, high = np.zeros(5), np.linspace(1.0, 9.0, 5)
    wavy: Beyond = lambda x: np.asarray(np.sin(7.0 * x) > 0.2)  # noqa: E731
    assert np.array_equal(bisected(low, high, 20, wavy), one_by_one(low, high, 20, wavy))


def test_a_single_number_comes_back_as_one() -> None:
    low, high = bisected(np.array(0.0), np.array(4.0), 40, lambda x: np.asarray(x * x >= 2.0))
    assert low.shape == high.shape == ()
    assert float(high) == pytest.approx(2.0**0.5)


def test_few_brackets_are_asked_in_few_looks() -> None:
    looks = []

    def beyond(x: Array) -> npt.NDArray[np.bool_]:
        looks.append(x.shape)
        return np.asarray(x > 0.3)

    bisected(np.zeros(1), np.ones(1), 48, beyond)
    assert len(looks) == 7
