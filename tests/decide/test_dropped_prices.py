"""A price row that the first plan does not stand on changes nothing by going; one that it stands on gives way."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from optimizer.catalog import load_catalog
from optimizer.catalog.types import Catalog
from optimizer.decide import solve_problem
from optimizer.plan.types import Plan

ROOT = Path(__file__).parents[2]
CARDS = ("b200_sxm_180", "h100_sxm_80")
SMALL = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {concurrency: 4}
    tokens: {input: 512, output: 128, context_max: 2048}
    slo: {tpot_ms: {p95: 60}}
hardware: {gpus: [b200_sxm_180, h100_sxm_80]}
engine: {weight_quant: [bf16], tensor_parallel: [1], pipeline_parallel: [1]}
payment: {as_of: 2026-11-09}
ranking: {top: 1}
"""


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module("tools.generate_winners")
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Nodes of one card whose prices may rank: the rows that may win here."""
    every = load_catalog()
    kept = {
        key: offer
        for key, offer in every.offers.items()
        if offer.gpu in CARDS and offer.gpus_per_node == 1 and any(price.rankable for price in offer.prices)
    }
    return replace(every, offers=kept)


def test_the_winner_without_each_price_row(generator: ModuleType, catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "problem.yaml"
    path.write_text(SMALL, encoding="utf-8")

    def first(offers: Catalog) -> Plan:
        return solve_problem(path, catalogs=offers, simulate=False).plans[0]

    best = first(catalog)
    own = {(node.offer_id, str(node.tier)) for node in best.nodes}
    rows = [(key, str(price.tier)) for key, offer in catalog.offers.items() for price in offer.prices if price.rankable]
    assert len(rows) > 10 and own <= set(rows)
    moved = 0
    for row in rows:
        without = first(generator.without(catalog, *row))
        if row in own:
            assert without.monthly_cents >= best.monthly_cents and without.nodes != best.nodes
            moved += 1
        else:
            assert (without.nodes, without.groups, without.monthly_cents) == (
                best.nodes, best.groups, best.monthly_cents,
            )  # fmt: skip
    assert moved == len(own)


def test_the_page_names_every_problem_and_the_list_of_quotes(generator: ModuleType) -> None:
    page = (ROOT / "docs" / "winners.md").read_text(encoding="utf-8")
    assert page.startswith(generator.HEAD)
    assert (ROOT / generator.QUOTES).is_file()
    for name in generator.PROBLEMS:
        assert page.count(f"| `{name}` |") >= 2 and (ROOT / "problems" / f"{name}.yaml").is_file()


@pytest.mark.parametrize("name", ["batch_documents_8b"])
def test_a_row_of_the_page_equals_what_a_run_gives_now(name: str, generator: ModuleType) -> None:
    page = (ROOT / "docs" / "winners.md").read_text(encoding="utf-8")
    found = generator.winners(name)
    assert generator.row(name, found) in page, "run: python -m tools.generate_winners"
    assert all(line in page for line in generator.lost(name, found))
