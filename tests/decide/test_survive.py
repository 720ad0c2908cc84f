"""``margins.survive`` from the file to the drill: what it buys keeps every promise while the node or site is away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.commands import cli
from optimizer.decide import read_inputs, solve_problem
from optimizer.errors import ProblemError
from optimizer.planning.drill import drill
from optimizer.vocabulary import Survive

PROBLEMS = Path(__file__).parents[2] / "problems"
CHAT = PROBLEMS / "chatbot_100users.yaml"
FEW = ("ranking.top=2", "hardware.gpus=[b200_sxm_180, gh200_96]")


@pytest.mark.parametrize(
    ("survive", "more"),
    [
        ("node", ()),
        ("site", ()),
        ("node", ("margins.spare_nodes=1",)),
        ("node", ("payment.discounts=[{provider: verda, tier: on_demand, percent: 12}]",)),
    ],
)
def test_what_it_buys_holds_in_the_replay_and_in_the_drill(survive: str, more: tuple[str, ...]) -> None:
    sets = (*FEW, f"margins.survive={survive}", *more)
    outcome = solve_problem(CHAT, sets=sets)
    bare = solve_problem(CHAT, sets=(*FEW, *more))
    assert outcome.plans and outcome.plans[0].monthly_cents > bare.plans[0].monthly_cents
    for plan in outcome.plans:
        rows = [one for one in plan.remainder if one.gone == survive]
        assert rows and all(one.holds and one.replicas == one.replay.replicas for one in rows)  # type: ignore[union-attr]
        assert [one.lost + one.replicas for one in rows] == [group.replicas for group in plan.groups]
        for one in plan.minimality:
            if one.fewer is not None:  # with a node less, what is left of the rest misses a promise
                assert one.fewer.left is not None and one.fewer.left < rows[0].replicas
                assert one.fewer.replayed * one.fewer.margin > one.fewer.limit
    groups = drill(read_inputs(CHAT, sets=sets), outcome.plans[0], 2.0, site=survive == "site")
    assert all(group.without_spare.holds and group.with_spare.holds for group in groups)
    assert any(not one.holds for one in bare.plans[0].remainder if one.gone is Survive.NODE) or more


def test_sites_are_not_decided_over_a_day() -> None:
    with pytest.raises(ProblemError, match="survive: site does not go with a day profile"):
        solve_problem(PROBLEMS / "day_profile.yaml", sets=["margins.survive=site"])


def test_the_drill_as_json_has_the_keys_of_the_contract() -> None:
    words = ["drill", str(CHAT), "--no-simulate", "--hours", "0.05", "--site", "--format", "json"]
    result = CliRunner().invoke(cli, [*words, "--set", "ranking.top=1"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert set(told) == {"plan", "hours", "workloads", "with_spare", "holds"}
    assert (told["plan"], told["hours"]) == (1, 0.05)
    for workload in (*told["workloads"], *told["with_spare"]["workloads"]):
        keys = {"workload", "replicas", "replicas_lost", "promises", "late_requests", "lost_requests", "errors"}
        assert set(workload) == keys
        for promise in workload["promises"]:
            assert set(promise) == {"promise", "limit", "before", "away", "after", "holds"}
            assert promise["holds"] is (promise["away"] is not None and promise["away"] <= promise["limit"])
    (alone,) = told["workloads"]
    assert alone["replicas"] == alone["replicas_lost"] and alone["errors"] > 0  # all of it is at one site
    assert told["holds"] is False
