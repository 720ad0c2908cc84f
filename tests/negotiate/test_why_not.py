"""Why not: the extra cost is that of a solve with nothing else, and what is impossible says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from optimizer.decide import Inputs, solve_problem
from optimizer.errors import UsageError
from optimizer.negotiate.why_not import parse, why_not
from optimizer.report.negotiate_why_not import render_why_not

ROOT = Path(__file__).resolve().parents[2]
CHAT = ROOT / "problems" / "chatbot_100users.yaml"


def test_what_is_dearer_says_by_how_much() -> None:
    answer = why_not(CHAT, "aws", simulate=False)
    only = solve_problem(CHAT, sets=["hardware.providers=[aws]", "ranking.top=1"])
    assert answer.plan is not None
    assert answer.best is not None
    assert answer.plan.monthly_cents == only.plans[0].monthly_cents > answer.best.monthly_cents
    text = " ".join(render_why_not(answer, "text").split())
    assert "a month more" in text
    assert "rent: aws" in text
    assert json.loads(render_why_not(answer, "json"))["possible"]


def test_the_best_plan_is_recognised() -> None:
    best = solve_problem(CHAT, sets=["ranking.top=1"]).plans[0].groups[0]
    wish = f"{best.gpu} {best.weight_quant} kv-{best.kv_cache} tp{best.tensor_parallel} pp{best.pipeline_parallel}"
    assert "It is the best plan" in " ".join(render_why_not(why_not(CHAT, wish, simulate=False), "text").split())


def test_a_broken_promise_says_by_how_much_and_what_would_help() -> None:
    answer = why_not(CHAT, "l4_24", simulate=False)
    assert answer.plan is None
    assert answer.broken
    assert all(one.value > one.limit for one in answer.broken)
    text = " ".join(render_why_not(answer, "text").split())
    assert "over)" in text
    assert "comes closest" in text


def test_rules_of_the_user_are_named() -> None:
    assert "hardware.datacenter_licensed_only" in why_not(CHAT, "rtx_4090_24", simulate=False).rules
    answer = why_not(CHAT, "azure", sets=["hardware.providers=[aws, gcp]"], simulate=False)
    assert answer.rules == ("hardware.providers",)
    assert not answer.ways_out  # whom to buy from is never given up


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ("h100_sxm_80 nvfp4", "Blackwell"),
        ("h100_sxm_80 bf16 tp1 pp1", "no replica of it fits"),
        ("ascend_910b1_64", "does not run on"),
        ("a100_sxm_80 kv-fp8", "capability"),
    ],
)
def test_impossible_things_say_why(wish: str, reason: str) -> None:
    answer = why_not(CHAT, wish, simulate=False)
    assert answer.plan is None
    assert reason in " ".join(answer.impossible)


def test_words(chat: Inputs) -> None:
    wish = parse(chat, "H100_SXM_80, fp16 kv-fp8 TP2 pp=1 aws spot")
    assert wish.gpus == {"h100_sxm_80"}
    assert (wish.quants, wish.kv_caches, wish.tensor_parallel, wish.pipeline_parallel) == ({"bf16"}, {"fp8"}, {2}, {1})
    assert (wish.providers, wish.tiers) == ({"aws"}, {"spot"})
    assert {"h100_sxm_80", "h100_nvl_94"} <= parse(chat, "h100").gpus
    with pytest.raises(UsageError, match="h100_sxm_80"):
        parse(chat, "h100_smx_80")


def test_words_that_narrow_and_words_that_widen(chat: Inputs) -> None:
    assert parse(chat, "h100 sxm 80GB").gpus == {"h100_sxm_80"}
    assert {"h100_sxm_80", "a100_sxm_40"} <= parse(chat, "h100 a100").gpus
    offer = next(iter(chat.catalog.offers))
    assert parse(chat, offer).offers == {offer}
    with pytest.raises(UsageError, match="nothing is asked for"):
        parse(chat, " ")
    with pytest.raises(UsageError, match="leave the number of GPUs out"):
        parse(chat, "8x h100")


def test_a_price_that_may_not_be_ranked_is_no_rule_of_the_user() -> None:
    answer = why_not(CHAT, "gmicloud", simulate=False)
    assert answer.plan is None
    assert not answer.rules
    assert "as low as" in answer.unpriced
    assert "ask for a quote" in " ".join(render_why_not(answer, "text").split())


QUOTE = (
    "offers=[{id: hpc, provider: hpc, gpu: a100_sxm_40, gpus_per_node: 16, nvlink: yes, currency: USD,"
    " price_per_hour: 30, tier: on_demand}]"
)


def test_a_size_that_is_not_tried_is_listed_and_solved() -> None:
    answer = why_not(CHAT, "tp16", sets=[QUOTE], simulate=False)
    assert answer.rules == ("engine.tensor_parallel",) and answer.defaults == {"engine.tensor_parallel"}
    assert not answer.unpriced and not answer.impossible
    (way,) = answer.ways_out
    found = solve_problem(CHAT, sets=[QUOTE, "engine.tensor_parallel=[16]", "ranking.top=1"], simulate=False)
    assert way.monthly_cents == found.plans[0].monthly_cents
    assert "the default rule engine.tensor_parallel" in " ".join(render_why_not(answer, "text").split())


def test_a_size_that_is_not_tried_and_has_no_price_is_no_want_of_memory() -> None:
    """The one node of 16 cards has a retired price: said so, beside the rule that leaves the size out."""
    answer = why_not(CHAT, "tp16", simulate=False)
    assert answer.rules == ("engine.tensor_parallel",) and answer.defaults == {"engine.tensor_parallel"}
    assert answer.plan is None and not answer.impossible and answer.unpriced
    text = " ".join(render_why_not(answer, "text").split())
    assert "the default rule engine.tensor_parallel" in text and "ask for a quote" in text


def test_a_size_that_is_not_tried_and_breaks_a_promise_says_which() -> None:
    sets = [QUOTE, "workloads.chat.slo.ttft_ms.p95=20"]
    answer = why_not(CHAT, "a100_sxm_40 tp16", sets=sets, simulate=False)
    assert "engine.tensor_parallel" in answer.rules and not answer.impossible
    assert [one.path for one in answer.broken] == ["workloads.chat.slo.ttft_ms.p95"]
    for way in answer.ways_out:
        assert "engine.tensor_parallel" in {path for path, *_ in way.also}


def test_a_size_that_no_node_has_room_for_is_impossible() -> None:
    answer = why_not(CHAT, "l40s_48 tp16", simulate=False)
    assert answer.impossible and not answer.rules


def test_of_several_workloads_the_one_that_cannot_is_told() -> None:
    answer = why_not(ROOT / "problems" / "chat_and_rag.yaml", "int4", simulate=False)
    assert answer.rules == ("workloads.chat.quality.min_recovery",)


def test_under_a_latency_objective_the_difference_is_a_latency() -> None:
    answer = why_not(ROOT / "problems" / "low_latency_70b.yaml", "a100_sxm_80", simulate=False)
    best, asked = answer.reached
    assert best is not None and asked is not None and best < asked
    text = " ".join(render_why_not(answer, "text").split())
    assert f"TPOT p95 {asked:.1f} ms instead of {best:.1f} ms, +$88 a month" in text and "for -$" not in text


CNY = ROOT / "problems" / "quotes_in_cny.yaml"


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        ("offers.supplier-a-l20-8x.stock=2", "offers.supplier-a-l20-8x.stock"),
    ],
)
def test_a_limit_on_how_much_may_be_had_is_named(edit: str, rule: str) -> None:
    answer = why_not(CNY, "l20_48", sets=[edit, "ranking.top=1"], simulate=False)
    assert answer.plan is None and answer.rules == (rule,) and not answer.broken
    text = " ".join(render_why_not(answer, "text").split())
    assert f"your rule {rule} stands against it" in text
    assert json.loads(render_why_not(answer, "json"))["rules"] == [rule]


def test_limits_that_stand_against_it_together_are_named() -> None:
    """More GPUs alone do not help where the stock is short, nor more stock where GPUs are few."""
    answer = why_not(CNY, "l20_48", sets=["hardware.limits.max_gpus=8", "ranking.top=1"], simulate=False)
    assert answer.plan is None and not answer.rules
    (reason,) = answer.impossible
    assert "(hardware.limits.max_gpus, offers.supplier-a-l20-8x.stock together)" in reason


def test_the_share_of_a_provider_is_named_and_no_way_out_loosens_it() -> None:
    """Nodes of one provider are all of the money; a share past 1, which the file refuses, was tried (exit 1)."""
    edits = ["hardware.limits.max_share_per_provider=0.6", "ranking.top=1"]
    answer = why_not(CNY, "supplier-b", sets=edits, simulate=False)
    assert answer.plan is None and not answer.ways_out
    assert answer.rules == ("hardware.limits.max_share_per_provider",)


@pytest.mark.parametrize("stem", ["a10_server_qwen3_32b", "a800_server_concurrency"])
def test_a_card_of_others_where_nothing_else_bounds_the_most_load(stem: str) -> None:
    """Letting it in would leave the most load without an end, so no way out proposes that; the rule is named."""
    answer = why_not(ROOT / f"problems/{stem}.yaml", "l20_48", simulate=False)
    assert answer.plan is None
    assert answer.ways_out == ()
    assert "hardware.only_owned" in answer.rules
