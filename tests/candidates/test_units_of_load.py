"""Capacity in units of the demand: never more replicas than the load takes, never a larger part than they carry."""

from __future__ import annotations

import math
from fractions import Fraction

from optimizer.demand import Load
from optimizer.fleet.lower_bounds import DEMAND, capacities, replicas_needed
from optimizer.performance.types import OperatingPoint, PointKind
from optimizer.units import SHARE_UNITS


def point(inflight: float) -> OperatingPoint:
    return OperatingPoint(PointKind.ALL, 1.0, inflight, ())


def test_replicas_that_hold_whole_requests_are_as_many_as_the_load_takes() -> None:
    """50 in flight on replicas of 2 take 25, though 25 does not divide the units of the demand."""
    for load in range(1, 401):
        for held in range(1, load + 1):
            found = replicas_needed(point(float(held)), Load(0.0, float(load), "x"))
            assert found == math.ceil(Fraction(load, held)), (load, held)


def test_no_replicas_are_given_a_larger_part_of_the_load_than_they_carry() -> None:
    for load in (50, 100, 119, 230, 361, 1000):
        for held in range(1, load + 1):
            units = capacities(point(float(held)), Load(0.0, float(load), "x"), shared=True)[1]
            for replicas in range(1, math.ceil(load / held)):
                part = units * replicas * SHARE_UNITS // DEMAND
                assert part <= Fraction(replicas * held * SHARE_UNITS, load), (load, held, replicas)


def test_so_many_replicas_as_the_load_is_cut_into_carry_it() -> None:
    """Up to tens of thousands: 60,000 requests a second on replicas that take a 5,435th of them."""
    load = Load(60_000.0, 0.0, "x")
    for replicas in (*range(1, 3_000), *range(3_000, 37_000, 97)):
        part = OperatingPoint(PointKind.ALL, 60_000.0 / replicas, 1.0, ())
        assert replicas_needed(part, load) == replicas
