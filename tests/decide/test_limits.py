"""Quotas and stocks among what binds: how much of each a plan uses, and none where there is none."""

from __future__ import annotations

from pathlib import Path

from optimizer.decide import solve_problem
from optimizer.plan.types import Binding, Plan

PROBLEMS = Path(__file__).resolve().parents[2] / "problems"
CHAT = PROBLEMS / "chatbot_100users.yaml"
CARDS = "hardware.gpus=[h100_nvl_94, mi300x_192]"
SELLERS = "hardware.providers=[azure, crusoe]"
"""Of whom one sells each card, so that a quota at one of them decides."""


def best(path: Path, *sets: str) -> Plan:
    """The first plan."""
    return solve_problem(path, sets=["ranking.top=1", *sets], simulate=False).plans[0]


def found(plan: Plan, path: str) -> Binding:
    """What the plan says about a limit."""
    return next(one for one in plan.binding if one.promise == path)


def test_a_quota_counts_what_it_concerns() -> None:
    quota = "hardware.quota=[{provider: azure, gpu: h100_nvl_94, max_gpus: 6}, {provider: crusoe, max_gpus: 8}]"
    plan = best(CHAT, CARDS, SELLERS, quota)
    used = found(plan, "hardware.quota.0.max_gpus")
    assert (used.value, used.limit, used.unit, used.slack, used.of) == (6, 6, "GPUs", 0, "azure, h100_nvl_94")
    assert found(plan, "hardware.quota.1.max_gpus").value == 0


def test_a_quota_that_keeps_a_plan_out_is_not_used() -> None:
    plan = best(CHAT, CARDS, SELLERS, "hardware.quota=[{provider: azure, gpu: h100_nvl_94, max_gpus: 5}]")
    assert plan.nodes[0].gpu == "mi300x_192"
    assert found(plan, "hardware.quota.0.max_gpus").slack == 1


def test_stock_of_a_quote() -> None:
    bought = best(PROBLEMS / "quotes_in_cny.yaml")
    stock = found(bought, f"offers.{bought.nodes[0].offer_id}.stock")
    assert (stock.value, stock.limit, stock.unit) == (bought.nodes[0].count, 2, "nodes")


def test_one_server_of_one_says_nothing() -> None:
    assert all(".slo." in one.promise for one in best(PROBLEMS / "a10_server_qwen3_32b.yaml").binding)


def test_without_limits_only_promises_bind() -> None:
    assert all(".slo." in one.promise for one in best(CHAT, CARDS).binding)
