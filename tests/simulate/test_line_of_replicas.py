"""The replicas with work in order of their clocks: the same as looking at every one of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from optimizer.simulate import fleet_loop
from optimizer.simulate.fleet import fleet_of
from optimizer.simulate.fleet_loop import FOREVER, Fleet
from optimizer.simulate.replica import Settings
from optimizer.vocabulary import Router


def _fleet(replicas: int) -> Fleet:
    settings = Settings(max_seqs=4, token_budget=512, kv_tokens=4096, frontend_s=0.0, service_s=0.0)
    return fleet_of(settings, 4, replicas, Router.ROUND_ROBIN, 4)


def _looked_at(fleet: Fleet) -> tuple[int, float]:
    """The earliest clock with work (the first of equal ones), and the next clock, one by one."""
    at_work = sorted((fleet.now[k], k) for k in range(fleet.up.size) if fleet.batch[k] or fleet.head[k] < fleet.tail[k])
    then = at_work[1][0] if len(at_work) > 1 else FOREVER
    return (at_work[0][1], then) if at_work else (-1, FOREVER)


@given(
    st.integers(1, 9),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5), st.integers(0, 2), st.booleans()), max_size=40),
)
def test_the_line_is_that_of_the_clocks(replicas: int, changes: list[tuple[int, int, int, bool]]) -> None:
    fleet = _fleet(replicas)
    for which, clock, work, everyone in changes:
        k = which % replicas
        fleet.now[k], fleet.batch[k] = float(clock), work
        if everyone:
            fleet_loop.line_up_all(fleet)
        else:
            fleet_loop.line_up(fleet, k)
        assert fleet_loop.furthest_behind(fleet) == _looked_at(fleet)
        seats = [int(fleet.seat[one]) for one in fleet.line[: fleet.busy[0]]]
        assert seats == list(range(fleet.busy[0]))


def test_nobody_has_work() -> None:
    assert fleet_loop.furthest_behind(_fleet(3)) == (-1, FOREVER)
    assert np.all(_fleet(3).seat == -1)
