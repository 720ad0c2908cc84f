"""How far each collected price may be relied on: the rules of the build, and what they made of the packaged prices."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from optimizer.catalog import load_catalog
from optimizer.catalog.types import Offer, Price
from optimizer.certificates import certificate_of
from optimizer.errors import CatalogError
from optimizer.vocabulary import Evidence, ProviderClass, Tier

CATALOG = load_catalog()
PRICES = [(offer, price) for offer in CATALOG.offers.values() for price in offer.prices]
TOOLS = Path(__file__).resolve().parents[2] / "tools"

DATED = {
    "provider": "runpod",
    "provider_class": "neocloud",
    "country": "US",
    "instance_type": "pod 8x",
    "gpu": "x_sxm_80",
    "gpus_per_node": "8",
    "link": "nvswitch",
    "link_basis": "stated",
    "host_memory_gib": "1000",
    "region": "",
    "network_gbps": "",
    "tier": "on_demand",
    "commitment_months": "",
    "amount": "20",
    "currency": "USD",
    "unit": "per_node_hour",
    "price_date": "2026-10-07",
    "price_source": "RunPod pricing page, 2026-10-07",
    "evidence": "list_price",
    "doubts": "",
}


@pytest.fixture(scope="module")
def tool() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield importlib.import_module("dated_prices")


def _row(tool: ModuleType, **change: str) -> dict[str, str]:
    (row,) = tool.dated_rows([DATED | change], {"x_sxm_80": {"confidence": "high"}})
    found: dict[str, str] = row
    return found


@pytest.mark.parametrize(
    ("change", "evidence", "reason"),
    [
        ({}, "list", ""),
        ({"evidence": "catalog_snapshot"}, "list", ""),
        ({"evidence": "tracker"}, "indicative", ""),
        ({"evidence": "press"}, "reference", "press report"),
        ({"provider_class": "marketplace"}, "indicative", ""),
        ({"tier": "reserved_1y", "commitment_months": "12"}, "list", ""),
        ({"tier": "reserved_3y"}, "reference", "the term is not stated"),
        ({"doubts": "single reading; spot: moves"}, "list", ""),
        ({"doubts": "HIGH: 2.3x the card's median"}, "list", ""),
        ({"doubts": "0.55 of the card's median here, but confirmed by a second reading"}, "list", ""),
        ({"doubts": "read; SUPERSEDED: a new list is in force"}, "reference", "SUPERSEDED: a new list is in force"),
        ({"doubts": "SOLD OUT: launchable in 1.3 %"}, "reference", "SOLD OUT"),
        ({"doubts": "NOT ON SALE: retired"}, "reference", "NOT ON SALE"),
        ({"doubts": "PROMO: shown with a discount"}, "reference", "PROMO"),
        ({"doubts": "UNCONFIRMED: a yearly price"}, "reference", "UNCONFIRMED"),
        ({"doubts": "LOW: 0.50x the card's median"}, "reference", "LOW"),
        ({"doubts": "VERY LOW spot: 0.20x"}, "reference", "LOW"),
        ({"doubts": "derived: GPUs at the committed rate"}, "reference", "derived"),
        ({"doubts": "GPU part only: 224 vCPU billed apart"}, "reference", "GPU part only"),
        ({"doubts": 'a "from" price: term and minimum volume not stated'}, "reference", '"from" price'),
        ({"doubts": 'an "as low as" price of the page'}, "reference", "as low as"),
        ({"doubts": '"starting at" price of a marketplace'}, "reference", "starting at"),
        ({"doubts": "commitment not stated"}, "reference", "commitment not stated"),
        ({"price_date": "2026-10"}, "reference", "undated"),
    ],
)
def test_what_a_price_is_worth(change: dict[str, str], evidence: str, reason: str, tool: ModuleType) -> None:
    row = _row(tool, **change)
    assert row["evidence"] == evidence
    assert (row["reason"] == "") if not reason else (reason in row["reason"])


def test_a_class_that_nobody_defined_is_refused(tool: ModuleType) -> None:
    with pytest.raises(ValueError, match="unknown evidence 'hearsay'"):
        _row(tool, evidence="hearsay")


def test_two_products_never_share_an_id(tool: ModuleType) -> None:
    other = DATED | {"instance_type": "pod-8x"}
    with pytest.raises(ValueError, match="names both"):
        tool.dated_rows([DATED, other], {"x_sxm_80": {"confidence": "high"}})


def test_stock_is_told_apart_from_other_remarks(tool: ModuleType) -> None:
    stock = "stock low or none in every reading (a tracker)"
    row = _row(tool, doubts=f"pods of 1 to 8 GPUs; {stock}; Arm (aarch64) host: x")
    assert (row["stock_note"], row["remarks"]) == (stock, "pods of 1 to 8 GPUs")
    assert row["evidence"] == "list"


def test_ways_to_pay_that_the_planner_does_not_know_are_left_out(tool: ModuleType) -> None:
    assert tool.dated_rows([DATED | {"tier": "capacity_block"}], {"x_sxm_80": {"confidence": "high"}}) == []


def _of(provider: str, gpu: str, tier: Tier = Tier.ON_DEMAND) -> list[tuple[Offer, Price]]:
    return [(o, p) for o, p in PRICES if (o.provider, o.gpu, p.tier) == (provider, gpu, tier)]


def test_known_wrong_prices_do_not_rank() -> None:
    shifted = {("crusoe", "gb200_186", 4.29), ("crusoe", "mi355x_288", 3.45)}
    assert not [o.id for o, p in PRICES if (o.provider, o.gpu, p.amount) in shifted and p.rankable]
    assert {p.amount for o, p in _of("nebius", "h100_sxm_80") if p.rankable} == {4.5, 36.0}  # 2.15 was a median
    committed = [(o, p) for o, p in PRICES if o.provider == "gcp" and p.tier in (Tier.RESERVED_1Y, Tier.RESERVED_3Y)]
    assert committed and not [o.id for o, p in committed if o.instance_type.endswith("(per GPU, us)") and p.rankable]
    assert all(p.date == "2026-06-15" for _, p in committed if p.rankable)


def test_what_the_issue_asks_of_each_class() -> None:
    for offer, price in PRICES:
        assert price.rankable == (price.evidence is not Evidence.REFERENCE) == (price.reason == ""), offer.id
        if offer.provider_class is ProviderClass.MARKETPLACE:
            assert price.evidence in (Evidence.INDICATIVE, Evidence.REFERENCE), offer.id
        said = f"{price.remarks} {price.stock_note}"
        for word in ("SUPERSEDED", "SOLD OUT", "NOT ON SALE", "PROMO", "UNCONFIRMED", "LOW", "GPU part only"):
            assert not price.rankable or word not in said, offer.id
    assert {price.evidence for _, price in PRICES} == {Evidence.LIST, Evidence.INDICATIVE, Evidence.REFERENCE}


def test_a_rankable_price_stands_once_per_provider_product_region_and_tier() -> None:
    keys = [(o.provider, o.instance_type, o.gpu, o.gpus_per_node, o.region, p.tier) for o, p in PRICES if p.rankable]
    assert len(keys) == len(set(keys))


def test_cards_that_stood_at_hyperscaler_list_or_at_nothing_have_a_market_price() -> None:
    """B200 stood at $14.24, B300 at 17.80, MI325X, MI355X and GB300 at nothing."""
    listed = [(o, p) for o, p in PRICES if p.rankable and p.tier is Tier.ON_DEMAND]
    cheapest = {
        gpu: min(price.amount / offer.gpus_per_node for offer, price in listed if offer.gpu == gpu)
        for gpu in ("b200_sxm_180", "b300_sxm_288", "mi325x_256", "mi355x_288", "gb300_288")
    }
    assert cheapest["b200_sxm_180"] < 7 and cheapest["b300_sxm_288"] < 8
    assert len({o.provider for o, p in PRICES if o.gpu == "b200_sxm_180" and p.rankable}) >= 8


def test_host_memory_and_network_stand_beside_the_node() -> None:
    offer = CATALOG.offers["runpod-secure-pod-8x-b200"]
    assert (offer.host_memory_gib, offer.network_gbps) == (2264.0, None)
    assert sum(one.host_memory_gib is not None for one in CATALOG.offers.values()) > 300
    assert {o.network_gbps for o in CATALOG.offers.values() if o.instance_type == "p5.48xlarge"} >= {3200.0}


def test_grace_cards_say_that_their_host_is_arm() -> None:
    arm = {gpu.id for gpu in CATALOG.gpus.values() if gpu.host_arch == "arm64"}
    assert arm == {"gh200_96", "gh200_144", "gb200_186", "gb300_288"}


def test_a_node_stands_where_its_region_lies_and_nowhere_else() -> None:
    countries = {(offer.region, offer.country) for offer in CATALOG.offers.values()}
    assert {("us-east-1", "US"), ("europe-west4", "NL"), ("cn-north-1", "CN"), ("", ""), ("uksouth", "GB")} <= countries
    assert all(len(country) in (0, 2) for _, country in countries)
    assert not [region for region, country in countries if country and not region]


def test_providers_carry_their_seat_and_its_source_and_no_certificate_without_one() -> None:
    for provider in CATALOG.providers.values():
        assert provider.source and len(provider.headquarters) in (0, 2)
        assert provider.certificates == () or "; certificates: " in provider.source
        assert all(certificate_of(name) for name in provider.certificates)
    assert CATALOG.providers["verda"].headquarters == "FI"
    assert CATALOG.providers["modal"].certificates == ("SOC 2 Type II",)
    assert CATALOG.providers["nebius"].certificates == ()  # in progress, by its own page


OFFERS = "offer_id,provider,gpu,gpus_per_node,link,tier,amount,currency,price_date,price_source,{column}\n"
LINE = "mine,aws,h100_sxm_80,8,nvswitch,on_demand,20,USD,2026-09-01,list,{value}\n"


@pytest.mark.parametrize(
    ("column", "value", "evidence"),
    [
        ("evidence", "indicative", Evidence.INDICATIVE),
        ("evidence", "reference", Evidence.REFERENCE),
        ("evidence", "", Evidence.LIST),
        ("rankable", "yes", Evidence.LIST),
        ("rankable", "reference", Evidence.REFERENCE),
    ],
)
def test_a_list_of_your_own_says_its_class(column: str, value: str, evidence: Evidence, tmp_path: Path) -> None:
    text = OFFERS.format(column=column) + LINE.format(value=value)
    (tmp_path / "offers.csv").write_text(text, encoding="utf-8")
    assert load_catalog(tmp_path).offers["mine"].prices[0].evidence is evidence


def test_contradicting_classes_are_refused(tmp_path: Path) -> None:
    text = OFFERS.format(column="evidence,rankable") + LINE.format(value="list,reference")
    (tmp_path / "offers.csv").write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match="rankable is reference, yet evidence is list"):
        load_catalog(tmp_path)
