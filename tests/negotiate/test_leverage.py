"""How firm the first place is: each figure asked again with the price, or without the sellers, in the problem file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from optimizer.decide import read_inputs
from optimizer.negotiate.leverage import leverage
from optimizer.whatif.case import Case, Winner, ask, open_case

BASE = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 20}
    tokens: {input: 1000, output: 200, context_max: 4096}
    slo: {ttft_ms: {p95: 1000}, tpot_ms: {p95: 50}}
hardware: {gpus: [h100_sxm_80, mi300x_192], providers: [one, two, three]}
payment: {tax_percent: 10}
offers:
  - {id: a, provider: one, gpu: h100_sxm_80, gpus_per_node: 1, price_per_hour: PRICE}
  - {id: b, provider: two, gpu: h100_sxm_80, gpus_per_node: 1, price_per_hour: 4.1}
  - {id: c, provider: three, gpu: mi300x_192, gpus_per_node: 1, price_per_hour: 9.5}
"""


def opened(folder: Path, price: float, *sets: str) -> tuple[Case, Winner]:
    path = folder / "problem.yaml"
    path.write_text(BASE.replace("PRICE", f"{price:.4f}"))
    case = open_case(read_inputs(path, sets=sets))
    return case, ask(case)


def test_at_the_price_it_is_first_and_a_cent_above_it_is_not(tmp_path: Path) -> None:
    case, best = opened(tmp_path, 2.5)
    told = leverage(case, best)
    assert told is not None and told.offer_id == "a" and told.price_now == pytest.approx(2.5)
    assert told.first_up_to == pytest.approx(4.1, abs=0.011)
    assert told.first_up_to is not None
    for price, same in ((told.first_up_to, True), (told.first_up_to + 0.01, False)):
        assert (opened(tmp_path, price)[1].identity == best.identity) is same


def test_without_its_sellers_it_is_the_best_that_leaves_them_out(tmp_path: Path) -> None:
    case, best = opened(tmp_path, 2.5)
    told = leverage(case, best)
    assert told is not None
    assert [one.names for one in told.providers] == [("one",)] and told.vendor.names == ("nvidia",)
    for other, sets in (
        (told.providers[0], "hardware.providers=[two, three]"),
        (told.vendor, "hardware.gpus=[mi300x_192]"),
    ):
        assert other.plan is not None
        assert other.plan.monthly_cents == opened(tmp_path, 2.5, sets)[1].cents


def test_of_a_mix_each_provider_is_left_out_by_name(tmp_path: Path) -> None:
    path = tmp_path / "problem.yaml"
    stock = BASE.replace("PRICE", "2.5").replace("gpus_per_node: 1,", "gpus_per_node: 1, stock: 1,")
    path.write_text(stock.replace("requests_per_second: 20", "requests_per_second: 40"))
    case = open_case(read_inputs(path))
    best = ask(case)
    assert best.solution is not None
    bought = sorted({node.option.offer.provider for node in best.solution.nodes})
    assert bought == ["one", "two"]
    told = leverage(case, best)
    assert told is not None and [one.names for one in told.providers] == [("one",), ("two",), ("one", "two")]


def test_where_nothing_else_will_do_it_is_first_at_any_price(tmp_path: Path) -> None:
    case, best = opened(tmp_path, 2.5, "hardware.providers=[one]")
    told = leverage(case, best)
    assert told is not None and told.first_up_to is None
    assert told.providers[0].plan is None and told.vendor.plan is None


def test_no_word_where_money_is_not_the_objective(tmp_path: Path) -> None:
    case, best = opened(tmp_path, 2.5, "objective=minimize_gpus")
    assert leverage(case, best) is None


def test_explain_and_targets_say_it_and_listed_prices_below_their_target_come_first(tmp_path: Path) -> None:
    from optimizer.negotiate.explain import explain
    from optimizer.negotiate.targets import targets
    from optimizer.report.negotiate_explain import render_explanation
    from optimizer.report.negotiate_targets import render_targets

    opened(tmp_path, 2.5)
    answer = explain(tmp_path / "problem.yaml", simulate=False)
    document = json.loads(render_explanation(answer, "json"))["leverage"]
    assert document["offer_id"] == "a" and document["without_provider"]["left_out"] == ["one"]
    assert "#1 stays first up to $" in " ".join(render_explanation(answer, "text").split())
    sets = ["payment.tiers=[on_demand]", "hardware.providers=[one, two, three, lambda]", "payment.as_of=2027-06-30"]
    found = targets(tmp_path / "problem.yaml", sets=sets, simulate=False)
    below = [one.listed_below for one in found.prices]
    assert below == sorted(below, reverse=True)
    assert "Leverage" in " ".join(render_targets(found, "text").split())
