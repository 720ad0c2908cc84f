"""The failure drill: a node dies under load and returns."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.commands import cli
from optimizer.decide import read_inputs, solve_problem
from optimizer.decide.drill import GroupDrill, drill
from optimizer.vocabulary import Router

PROBLEM = Path(__file__).parents[2] / "problems" / "chatbot_100users.yaml"


@pytest.fixture(scope="module")
def groups() -> tuple[GroupDrill, ...]:
    plan = solve_problem(PROBLEM, simulate=False).plans[0]
    return drill(read_inputs(PROBLEM), plan, 2.0, Router.ROUND_ROBIN)


def test_a_spare_node_keeps_the_promise_that_breaks_without(groups: tuple[GroupDrill, ...]) -> None:
    for group in groups:
        bare, spared = group.without_spare, group.with_spare
        assert spared.replicas - spared.left == bare.replicas - bare.left == spared.replicas - bare.replicas
        assert spared.left == bare.replicas
        assert bare.down.late > spared.down.late
        assert bare.resent > 0 and spared.resent > 0
        assert bare.recovered_s > spared.recovered_s
        assert bare.before.ttft_p99 < group.limit_s


def test_where_no_replica_is_left_requests_wait_for_the_node(groups: tuple[GroupDrill, ...]) -> None:
    bare = groups[0].without_spare
    assert bare.left == 0  # all replicas of the front page sit on one node
    assert bare.down.late == bare.down.requests
    assert bare.down.ttft_p99 == pytest.approx(120.0, rel=0.2)


def test_the_command_prints_both_courses() -> None:
    result = CliRunner().invoke(cli, ["drill", str(PROBLEM), "--no-simulate", "--minutes", "1"])
    assert result.exit_code == 0, result.output
    assert "without a spare node" in result.output and "with a spare node" in result.output
    assert max(len(line) for line in result.output.splitlines()) <= 100
