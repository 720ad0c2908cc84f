"""Target prices: one cent lower wins, one cent higher does not, asked of problems opened afresh."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from optimizer.decide import read_inputs
from optimizer.decide.case import open_case
from optimizer.negotiate.targets import ANY, Targets, targets
from optimizer.report.negotiate_targets import render_targets

ROOT = Path(__file__).resolve().parents[2]
CHAT = ROOT / "problems" / "chatbot_100users.yaml"
CARDS = "hardware.gpus=[l40s_48, mi300x_192, mi355x_288]"


@pytest.fixture(scope="module")
def answer() -> Targets:
    """The front page on four cards."""
    return targets(CHAT, sets=[CARDS, "ranking.top=1"])


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
    found = targets(CHAT, sets=["hardware.gpus=[b100_192, a100_sxm_80]", "ranking.top=1"]).prices
    assert any(one.gpu == "b100_192" and one.provider == ANY and one.cents for one in found)


def test_formats(answer: Targets) -> None:
    document = json.loads(render_targets(answer, "json"))
    assert {"gpu", "provider", "wins_below_per_gpu_hour"} <= set(document["targets"][0])
    assert document["plans"]
    assert len(list(csv.DictReader(io.StringIO(render_targets(answer, "csv"))))) == len(answer.prices)
    text = render_targets(answer, "text")
    assert max(len(line) for line in text.splitlines() if "(/" not in line) <= 100
