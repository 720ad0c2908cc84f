"""Target prices: one cent lower wins, one cent higher does not, asked of problems opened afresh."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from optimizer.decide import read_inputs
from optimizer.negotiate import asking_price
from optimizer.negotiate.asking_price import Climb, PriceToBeat, highest
from optimizer.negotiate.quote_at_price import NodeShape, with_quote
from optimizer.negotiate.targets import ANY, Targets, targets
from optimizer.report.negotiate_targets import render_targets
from optimizer.vocabulary import Tier
from optimizer.whatif.case import Winner, open_case

ROOT = Path(__file__).resolve().parents[2]
CHAT = ROOT / "problems" / "chatbot_100users.yaml"
CHAT_AND_RAG = ROOT / "problems" / "chat_and_rag.yaml"
CARDS = "hardware.gpus=[l40s_48, mi300x_192, mi355x_288]"


@pytest.fixture(scope="module")
def answer() -> Targets:
    """The front page on four cards."""
    return targets(CHAT, sets=[CARDS, "ranking.top=1"], simulate=False)


def test_one_cent_lower_wins_one_cent_higher_does_not(answer: Targets) -> None:
    priced = [one for one in answer.prices if one.cents is not None]
    assert len(priced) >= 4
    for one in priced[:1] + priced[-1:]:
        assert one.cents is not None
        for cents, wins in ((one.cents - 1, True), (one.cents, True), (one.cents + 1, False)):
            quote = {
                "id": one.offer_id,
                "provider": one.provider,
                "gpu": one.gpu,
                "gpus_per_node": one.gpus_per_node,
                "price_per_hour": cents * one.gpus_per_node / 100,
                "tier": str(one.tier),
            }
            inputs = read_inputs(CHAT, sets=[CARDS, "ranking.top=1", f"offers={json.dumps([quote])}"])
            solution = open_case(inputs).solve().solutions[0]
            assert any(bought.option.offer.id == one.offer_id for bought in solution.nodes) is wins, (one, cents)


def test_the_winner_is_not_asked_to_be_cheaper(answer: Targets) -> None:
    best = answer.outcome.plans[0].nodes[0]
    assert (best.gpu, best.provider) not in {(one.gpu, one.provider) for one in answer.prices}


def test_reference_prices_appear_instead_of_vanishing(answer: Targets) -> None:
    notes = [one.listed_note for one in answer.prices]
    assert any(notes)
    assert not all(notes)
    assert answer.outcome.targets


def test_cards_that_nobody_offers_appear() -> None:
    found = targets(CHAT, sets=["hardware.gpus=[b100_192, a100_sxm_80]", "ranking.top=1"], simulate=False).prices
    assert any(one.gpu == "b100_192" and one.provider == ANY and one.cents for one in found)


def test_nobody_is_asked_whom_the_file_does_not_let_sell() -> None:
    """A quote of anybody else would be refused: of no card it is said that it wins at no price."""
    sets = ["hardware.gpus=[b100_192, h200_sxm_141]", "ranking.top=1", "hardware.providers=[runpod]"]
    answer = targets(CHAT, sets=sets, simulate=False)
    assert answer.outcome.plans and not answer.prices
    text = " ".join(render_targets(answer, "text").split())
    assert "None of the providers that hardware.providers names offers another card that could serve" in text


def test_where_only_purchase_is_allowed_the_purchase_price_is_asked_for() -> None:
    dealer = {"id": "dealer", "provider": "dealer", "gpu": "h200_sxm_141", "gpus_per_node": 8, "nvlink": True}
    won = {**dealer, "purchase_price": 280_000, "tier": "purchase"}
    sets = ["payment.tiers=[purchase]", "hardware.gpus=[h200_sxm_141, h100_sxm_80, h100_nvl_94]", "ranking.top=1"]
    found = targets(CHAT, sets=[*sets, f"offers={json.dumps([won])}"], simulate=False)
    priced = {(one.gpu, one.provider): one for one in found.prices}
    asked = priced["h100_sxm_80", "nvidia"]
    assert asked.tier == "purchase" and asked.cents is None and asked.listed
    assert asked.purchase_price is not None and asked.per_gpu_hour is not None
    assert priced["h100_nvl_94", ANY].purchase_price  # nobody sells it at a price
    assert found.outcome.targets
    for more, wins in ((0, True), (1, False)):
        price = (asked.purchase_price + more) * asked.gpus_per_node
        quote: dict[str, Any] = {"id": asked.offer_id, "provider": asked.provider, "gpu": asked.gpu, "tier": "purchase"}
        quote |= {"gpus_per_node": asked.gpus_per_node, "purchase_price": price}
        inputs = read_inputs(CHAT, sets=[*sets, f"offers={json.dumps([won, quote])}"])
        solution = open_case(inputs).solve().solutions[0]
        assert any(bought.option.offer.id == asked.offer_id for bought in solution.nodes) is wins
    text = " ".join(render_targets(found, "text").split())
    assert "paid once" in text
    assert json.loads(render_targets(found, "json"))["targets"][0]["wins_below_purchase_price_per_gpu"]


@pytest.mark.parametrize("edge", [0, 1, 2, 17, 1000, 123_456])
@pytest.mark.parametrize("guess", [1, 16, 17, 18, 5000])
@pytest.mark.parametrize("known", [0.0, 0.5, 1.0, 1.2])
def test_the_highest_price_is_found_whatever_is_guessed(edge: int, guess: int, known: float) -> None:
    """``known``: how much of the room that is left is known; more than all of it is found out."""

    def room(price: int) -> int | None:
        return int(known * (edge - price)) if price <= edge else None

    assert highest(room, guess) == (edge or None)


def test_formats(answer: Targets) -> None:
    document = json.loads(render_targets(answer, "json"))
    assert {"gpu", "provider", "wins_below_per_gpu_hour"} <= set(document["targets"][0])
    assert document["plans"]
    assert len(list(csv.DictReader(io.StringIO(render_targets(answer, "csv"))))) == len(answer.prices)
    text = render_targets(answer, "text")
    assert max(len(line) for line in text.splitlines() if "(/" not in line) <= 100


def test_where_money_comes_second_a_card_may_win_at_any_price() -> None:
    """Fewer GPUs win whatever they cost, where no budget bounds the bill: said so, instead of a price without end."""
    sets = ["hardware.gpus=[h100_sxm_80, gb300_288]", "objective=minimize_gpus", "ranking.top=1"]
    sets += ["payment.price_evidence=[quote, list]"]  # the one GB300 that would do has no such price
    found = targets(CHAT, sets=sets, simulate=False)
    always = [one for one in found.prices if one.at_any_price]
    assert always and all(one.cents is None for one in always)
    assert "Win at any price" in " ".join(render_targets(found, "text").split())
    bounded = targets(CHAT, sets=[*sets, "budget.monthly=200000"], simulate=False)
    assert not any(one.at_any_price for one in bounded.prices)


def test_those_who_only_sell_are_asked_for_a_purchase_price() -> None:
    """Beside rented quotes; and the quote keeps its tax, so that the price is one to write into the file."""
    path = ROOT / "problems" / "quotes_in_cny.yaml"
    fewer = "workloads.assistant.traffic.users.active=62"  # one node is enough: supplier-a's, the cheaper
    sold = next(
        one
        for one in targets(path, sets=["ranking.top=1", fewer], simulate=False).prices
        if one.provider == "supplier-b"
    )
    assert sold.purchase_price is not None
    quotes = [quote.model_dump(mode="json", exclude_none=True) for quote in read_inputs(path).problem.offers]
    mine = next(quote for quote in quotes if quote["id"] == sold.offer_id)
    for more, wins in ((0, True), (1, False)):
        mine["purchase_price"] = (sold.purchase_price + more) * sold.gpus_per_node
        solution = open_case(read_inputs(path, sets=[fewer, f"offers={json.dumps(quotes)}"])).solve().solutions[0]
        assert any(bought.option.offer.id == sold.offer_id for bought in solution.nodes) is wins


def test_an_answer_that_stands_for_other_providers_is_what_each_would_get(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotes for one kind of node are asked about once; each asked by itself comes to the same, ties included."""
    sets = [
        "hardware.gpus=[h200_sxm_141]",
        "engine.weight_quant=[fp8]",
        "engine.tensor_parallel=[2, 4, 8]",
        "ranking.top=1",
    ]
    shared = targets(CHAT, sets=sets, simulate=False)
    monkeypatch.setattr(PriceToBeat, "_kind", lambda *_: None)
    assert render_targets(shared, "json") == render_targets(targets(CHAT, sets=sets, simulate=False), "json")
    assert len({one.provider for one in shared.prices if one.cents is not None}) > 3


@pytest.mark.parametrize("rule", ["hardware.limits.max_share_per_provider=0.6", "margins.survive=site"])
def test_where_a_rule_asks_who_makes_a_quote_each_is_asked(rule: str) -> None:
    case = open_case(read_inputs(CHAT, sets=[CARDS, rule]))
    best = Winner(case, case.solve())
    bar = PriceToBeat(case, best, Tier.ON_DEMAND)
    option = next(one for one in case.options if one.tier is Tier.ON_DEMAND)
    shape = NodeShape(option.offer.gpu, option.offer.provider, option.node_type.gpus_per_node, "q", option.node_type)
    assert bar._kind(shape) is None


@pytest.mark.cold
def test_bounds_and_plans_below_the_bar_decide_no_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workloads as replayed: bounded prices are those of a search that solves the whole problem at every step."""
    sets = ["hardware.gpus=[l40s_48, b200_sxm_180]", "engine.weight_quant=[fp8]", "engine.kv_cache=[fp8]"]
    sets += ["engine.tensor_parallel=[1, 2]", "engine.pipeline_parallel=[1]", "ranking.top=1"]
    bounded = targets(CHAT_AND_RAG, sets=sets)
    monkeypatch.setattr(asking_price, "bounds_prices", lambda _: False)
    monkeypatch.setattr(PriceToBeat, "_kind", lambda *_: None)
    monkeypatch.setattr(Climb, "is_below_bar", property(lambda _: False, lambda *_: None), raising=False)
    alone = targets(CHAT_AND_RAG, sets=sets)
    assert render_targets(bounded, "text") == render_targets(alone, "text")
    assert render_targets(bounded, "json") == render_targets(alone, "json")
    assert len({one.cents for one in bounded.prices}) > 2


SHARED = """
name: no seller may get more than three quarters of the money
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-70B-Instruct
    traffic: {requests_per_second: 6}
    tokens: {input: 1000, output: 200, context_max: 4096}
    slo: {ttft_ms: {p95: 1500}, tpot_ms: {p95: 60}}
  - name: tags
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 60}
    tokens: {input: 800, output: 60, context_max: 4096}
    slo: {e2e_s: {p95: 4}}
hardware: {providers: [nord, sued, west], limits: {max_share_per_provider: 0.75}}
offers:
  - {id: h200, provider: nord, gpu: h200_sxm_141, gpus_per_node: 2, nvlink: yes, price_per_hour: 12.0, stock: 1}
  - {id: h100, provider: sued, gpu: h100_sxm_80, gpus_per_node: 8, nvlink: yes, price_per_hour: 40.0}
  - {id: l40s, provider: west, gpu: l40s_48, gpus_per_node: 1, price_per_hour: 2.0, stock: 8}
engine: {weight_quant: [fp8], kv_cache: [auto], tensor_parallel: [1, 2, 4], pipeline_parallel: [1]}
ranking: {top: 1}
"""


def test_where_shares_of_the_money_bind_a_quote_may_be_too_cheap_to_win_and_still_win_at_more(tmp_path: Path) -> None:
    """Wherever the search begins: at one cent the seller of the other cards would get too much of the whole."""
    path = tmp_path / "shared.yaml"
    path.write_text(SHARED)
    case = open_case(read_inputs(path))
    best = Winner(case, case.solve())
    assert best.cents is not None
    option = next(one for one in case.options if one.offer.id == "h100")
    shape = NodeShape(option.offer.gpu, "sued", 8, "h100", option.node_type)
    mine = [one for one in case.candidates.candidates if one.node_type.key == option.node_type.key]
    climb = Climb(with_quote(case, shape, Tier.ON_DEMAND, mine, case.candidates.candidates), best.cents)
    assert [climb.highest(guess) for guess in (1, 60, 150, 400)] == [None, 150, 150, 150]
