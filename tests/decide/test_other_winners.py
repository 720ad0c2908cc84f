"""What wins at list prices alone, without offers that were seen sold out, and after expiry: on three offers."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from pathlib import Path

import pytest

from optimizer.commands.age import say_age
from optimizer.decide import solve_problem
from optimizer.plan.types import Optimal, Outcome, Plan
from optimizer.report import render
from optimizer.vocabulary import Evidence

PROBLEM = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {concurrency: 4}
    tokens: {input: 512, output: 128, context_max: 2048}
    slo: {tpot_ms: {p95: 60}}
hardware: {gpus: [b200_sxm_180, h100_sxm_80, gh200_96], providers: [mine, other]}
engine: {weight_quant: [bf16], tensor_parallel: [1], pipeline_parallel: [1]}
ranking: {top: 2}
"""
COLUMNS = (
    "offer_id,provider,gpu,gpus_per_node,link,tier,amount,currency,price_date,price_source,evidence,reason,stock_note"
)
TRACKER = "tracker,other,h100_sxm_80,1,pcie,on_demand,2,USD,2026-10-01,a tracker,indicative,,"
LISTED = "listed,mine,h100_sxm_80,1,pcie,on_demand,3,USD,2026-09-01,a list,list,,often sold out: 3 of 9 readings"
DEARER = "dearer,mine,b200_sxm_180,1,pcie,on_demand,5,USD,2026-11-09,a list,list,,"


def answer(folder: Path, *rows: str, payment: str = "") -> Outcome:
    (folder / "offers.csv").write_text("\n".join((COLUMNS, *rows)) + "\n", encoding="utf-8")
    (folder / "providers.csv").write_text(
        "id,aliases,class,country,name\nmine,,neocloud,,Mine\nother,,neocloud,,Other\n", encoding="utf-8"
    )
    path = folder / "problem.yaml"
    path.write_text(PROBLEM + payment, encoding="utf-8")
    return solve_problem(path, catalogs=folder, simulate=False)


def offers(plan: Plan | None) -> list[str]:
    return [node.offer_id for node in plan.nodes] if plan else []


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return answer(tmp_path_factory.mktemp("market"), TRACKER, LISTED, DEARER)


def test_the_first_plan_says_that_its_money_is_indicative(outcome: Outcome) -> None:
    first = outcome.plans[0]
    assert (offers(first), first.price_evidence) == (["tracker"], Evidence.INDICATIVE)
    assert (first.expires, outcome.others.expires) == ("2027-03-30", "2027-03-30")
    text = " ".join(render(outcome, "text").split())
    assert "#1 $1,460/mo indicative" in text
    assert "indicative price of 2026-10-01, may rank until 2027-03-30" in text
    row = next(csv.DictReader(io.StringIO(render(outcome, "csv"))))
    assert (row["price_evidence"], row["price_ranks_until"]) == ("indicative", "2027-03-30")


def test_at_list_prices_another_wins_and_what_without_its_doubtful_stock(outcome: Outcome) -> None:
    listed = outcome.others.at_list
    assert listed is not None and listed.in_stock is not None
    assert (offers(listed.plan), listed.rank) == (["listed"], None)
    assert "often sold out: 3 of 9 readings" in listed.stock_notes[0]
    assert (offers(listed.in_stock.plan), listed.in_stock.rank) == (["dearer"], 2)
    assert "at list prices alone $2,190/mo" in " ".join(render(outcome, "text").split())


def test_after_expiry_the_next_one_wins(outcome: Outcome) -> None:
    """On 2027-03-31 the tracker is 181 days old, and so is what was listed before 2026-10-02."""
    after = outcome.others.after_expiry
    assert after is not None and offers(after.plan) == ["dearer"]


def test_a_winner_at_list_prices_is_said_to_be_it(tmp_path: Path) -> None:
    found = answer(tmp_path, LISTED, DEARER)
    assert found.others.at_list is not None and found.others.at_list.rank == 1
    assert found.others.first is not None and found.others.first.in_stock is not None
    assert offers(found.others.first.in_stock.plan) == ["dearer"]
    assert "#1 is the winner at list prices alone too" in " ".join(render(found, "text").split())


def test_at_list_prices_nothing_may_win(tmp_path: Path) -> None:
    found = answer(tmp_path, TRACKER)
    assert found.others.at_list is not None and found.others.at_list.plan is None
    assert found.others.after_expiry is not None and found.others.after_expiry.plan is None


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("[quote, list, indicative]", "tracker"),
        ("[quote, list]", "listed"),
        ("[list]", "listed"),
        ("[indicative]", "tracker"),
    ],
)
def test_price_evidence_says_what_may_win(asked: str, first: str, tmp_path: Path) -> None:
    found = answer(tmp_path, TRACKER, LISTED, DEARER, payment=f"payment: {{price_evidence: {asked}}}\n")
    assert isinstance(found, Optimal) and offers(found.plans[0]) == [first]


def test_where_no_class_is_left_the_way_out_is_a_weaker_one(tmp_path: Path) -> None:
    found = answer(tmp_path, TRACKER, payment="payment: {price_evidence: [quote, list]}\n")
    assert not found.plans
    changes = [(way.change, way.before, way.after) for way in found.relaxations]
    assert ("payment.price_evidence", ["quote", "list"], ["quote", "list", "indicative"]) in changes


def test_prices_past_75_days_and_arm_hosts_are_said(tmp_path: Path) -> None:
    old = "old,mine,gh200_96,1,pcie,on_demand,1,USD,2026-08-25,a list,list,,"
    found = answer(tmp_path, old, DEARER)
    notes = " ".join(found.plans[0].notes)
    assert "more than 75 days old on 2026-11-09" in notes and "Arm host" in notes
    assert "75 days" not in " ".join(found.plans[1].notes)
    fresh = answer(tmp_path, old.replace("2026-08-25", "2026-08-26"), DEARER)
    assert "75 days" not in " ".join(fresh.plans[0].notes)


@pytest.mark.parametrize(("amount", "questioned"), [("0.9", True), ("2.9", False)])
def test_a_price_far_below_the_median_of_the_card_is_questioned(amount: str, questioned: bool, tmp_path: Path) -> None:
    """Some twenty packaged providers ask $3.90 or so an hour in the median."""
    floor = f"floor,other,h100_sxm_80,1,pcie,on_demand,{amount},USD,2026-11-09,a list,list,,"
    found = answer(tmp_path, floor, DEARER)
    assert offers(found.plans[0]) == ["floor"]
    assert ("is it an auction floor" in " ".join(found.plans[0].notes)) == questioned


@pytest.mark.parametrize(("days", "said"), [(0, "of today"), (1, "1 day old"), (21, "21 days old"), (-3, "ahead")])
def test_stderr_says_how_old_the_newest_price_is(days: int, said: str, outcome: Outcome) -> None:
    stream = io.StringIO()
    say_age(outcome, stream, date.fromisoformat(outcome.proof.prices_to or "") + timedelta(days=days))
    assert said in stream.getvalue() and "2026-11-09" in stream.getvalue()
    assert "which is past" not in stream.getvalue()


def test_stderr_says_where_the_first_plan_has_expired(outcome: Outcome) -> None:
    stream = io.StringIO()
    say_age(outcome, stream, date(2027, 3, 31))
    assert "#1 could be ranked until 2027-03-30, which is past: --set payment.as_of=2027-03-31" in stream.getvalue()
