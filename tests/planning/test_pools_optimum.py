"""Prefill and decode pools against brute force and SCIP: small markets, every pair, number of workers and site."""

from __future__ import annotations

import pytest

from benchmarks.pool_optimum import answers, brute, case_of, market_in, second_solver
from optimizer.planning.inputs import Inputs

CASES = 24


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return market_in(tmp_path_factory.mktemp("market"))


@pytest.mark.parametrize("seed", range(CASES))
def test_the_solver_finds_what_brute_force_and_scip_find(seed: int, market: Inputs) -> None:
    case = case_of(market, seed)
    expected = brute(market, case)
    assert second_solver(market, case) == expected
    found, plain = answers(market, case)
    assert found == min(expected, plain)
