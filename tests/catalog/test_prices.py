"""Which of the packaged prices may be ranked, and why the others may not."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from optimizer.catalog import load_catalog
from optimizer.catalog.types import Offer, Price
from optimizer.vocabulary import Link, ProviderClass, Tier

CATALOG = load_catalog()
PRICES = [(offer, price) for offer in CATALOG.offers.values() for price in offer.prices]


def _reasons(word: str) -> list[tuple[Offer, Price]]:
    return [(offer, price) for offer, price in PRICES if word in price.reason]


def test_counts_by_rankability_and_tier() -> None:
    assert Counter((price.rankable, price.tier) for _, price in PRICES) == {
        (True, Tier.ON_DEMAND): 388,
        (True, Tier.SPOT): 98,
        (True, Tier.RESERVED_1Y): 18,
        (True, Tier.RESERVED_3Y): 33,
        (True, Tier.PURCHASE): 1,
        (False, Tier.ON_DEMAND): 442,
        (False, Tier.SPOT): 141,
        (False, Tier.RESERVED_1Y): 39,
        (False, Tier.RESERVED_3Y): 44,
        (False, Tier.PURCHASE): 49,
    }


@pytest.mark.parametrize(
    ("reason", "prices"),
    [
        ("per-GPU row of a tracker", 136),
        ("median of a tracker", 66),
        ("undated", 211),
        ("bare card, not a server", 40),
        ("estimate, not a quote", 5),
        ("approximate", 2),
        ("illustrative or internal price", 2),
        ("superseded by a newer price", 2),
        ("retired: the provider's prices were collected anew", 457),
        ("SUPERSEDED", 14),
        ("SOLD OUT", 6),
        ("NOT ON SALE", 4),
        ("LOW", 36),
        ("press report", 20),
    ],
)
def test_counts_by_reason(reason: str, prices: int) -> None:
    assert len(_reasons(reason)) == prices


def test_tracker_offers_are_the_148_of_the_source() -> None:
    trackers = {offer.id for offer, _ in _reasons("of a tracker")}
    assert len(trackers) == 148
    assert len({offer.id for offer, _ in _reasons("median of a tracker")}) == 41


def test_rankable_prices_are_dated_sourced_and_of_confident_cards() -> None:
    for offer, price in PRICES:
        assert price.source and price.amount > 0
        assert price.rankable == (price.reason == ""), offer.id
        if price.rankable:
            assert price.date and date.fromisoformat(price.date) >= date(2024, 8, 22)
            assert CATALOG.gpus[offer.gpu].confidence != "low"
            assert offer.provider not in ("campus-hpc", "cn-leasing", "vast", "street", "msrp-street")


def test_newest_price_date() -> None:
    assert CATALOG.newest_price_date == max(price.date for _, price in PRICES if price.date) == "2026-11-09"


def test_rankable_prices_that_are_older_than_180_days_are_left_to_the_run() -> None:
    newest = date.fromisoformat(CATALOG.newest_price_date)
    old = {o.id for o, p in PRICES if p.rankable and p.date and (newest - date.fromisoformat(p.date)).days > 180}
    assert {offer.split("-")[0] for offer in old} == {"thinkmate", "oci"}


def test_prices_carry_their_own_date_and_source() -> None:
    offer = CATALOG.offers["aws-p4d-24xlarge-a100-sxm-40-8x-us-east-1-2026-07-20"]
    dates = {price.tier: (price.date, price.source.split()[0]) for price in offer.prices}
    assert dates == {
        Tier.ON_DEMAND: ("2026-07-20", "karpenter-provider-aws"),
        Tier.RESERVED_1Y: ("2026-06-15", "sooddvs/gpu-pricing"),
        Tier.RESERVED_3Y: ("2026-06-15", "sooddvs/gpu-pricing"),
        Tier.SPOT: (None, "lowest"),
    }


def test_one_rankable_price_per_provider_instance_region_and_tier() -> None:
    keys = Counter((o.provider, o.instance_type, o.gpu, o.region, p.tier) for o, p in PRICES if p.rankable)
    assert keys.most_common(1)[0][1] == 1


def test_older_lambda_prices_retire_and_the_newest_is_superseded_by_a_list_not_seen() -> None:
    found = [p for o, p in PRICES if (o.provider, o.instance_type) == ("lambda", "gpu_8x_h100_sxm5")]
    reasons = {(price.amount, price.date): price.reason.split(":")[0] for price in found}
    assert reasons == {
        (23.92, None): "undated; superseded by a newer price; retired",
        (31.92, None): "undated; retired",
        (31.92, "2026-09-20"): "SUPERSEDED",
    }


def test_commitments_cost_less_than_on_demand() -> None:
    for offer in CATALOG.offers.values():
        amount = {price.tier: price.amount for price in offer.prices if price.rankable}
        for cheaper in (Tier.SPOT, Tier.RESERVED_1Y, Tier.RESERVED_3Y):
            if cheaper in amount and Tier.ON_DEMAND in amount:
                assert amount[cheaper] < amount[Tier.ON_DEMAND], offer.id
        if Tier.RESERVED_1Y in amount and Tier.RESERVED_3Y in amount:
            assert amount[Tier.RESERVED_3Y] < amount[Tier.RESERVED_1Y], offer.id


def test_rankable_prices_per_gpu_and_hour_are_plausible() -> None:
    for offer, price in PRICES:
        if price.rankable and price.tier is not Tier.PURCHASE:
            per_usd = CATALOG.fx[price.currency].per_usd if price.currency != "USD" else 1.0
            assert 0.1 < price.amount / per_usd / offer.gpus_per_node < 34, offer.id


def test_links_of_offers() -> None:
    assert Counter(offer.link for offer in CATALOG.offers.values() if offer.gpus_per_node == 1) == {Link.PCIE: 450}
    link = {offer.instance_type: offer.link for offer in CATALOG.offers.values()}
    assert link["p5.48xlarge"] is Link.NVSWITCH
    assert link["Standard_NC80adis_H100_v5"] is Link.NVLINK_PAIR
    assert link["Standard_NC96ads_A100_v4"] is Link.UNVERIFIED
    assert link["Standard_ND96isr_MI300X_v5"] is link["mi300x-192gb-ib.8x"] is Link.XGMI
    assert link["g6e.48xlarge"] is Link.PCIE
    assert link["8xH100 SXM server incl 8x400G IB NICs"] is Link.UNVERIFIED


def test_links_fit_the_cards() -> None:
    for offer in CATALOG.offers.values():
        native = CATALOG.gpus[offer.gpu].link
        assert offer.link in (Link.PCIE, Link.UNVERIFIED, native), offer.id


def test_providers_are_classified_and_aliases_merged() -> None:
    used = {offer.provider for offer in CATALOG.offers.values()}
    assert used == set(CATALOG.providers)
    assert not used & {"vast-ai", "jarvis-labs", "msrp/street", "nvidia->CN"}
    classes = {provider.id: provider.provider_class for provider in CATALOG.providers.values()}
    assert classes["aws"] is classes["aliyun"] is ProviderClass.HYPERSCALER
    assert classes["lambda"] is classes["nebius"] is ProviderClass.NEOCLOUD
    assert classes["vast"] is classes["autodl"] is ProviderClass.MARKETPLACE
    assert all(len(provider.country) in (0, 2) for provider in CATALOG.providers.values())


def test_global_regions_are_blank() -> None:
    assert not [offer.id for offer in CATALOG.offers.values() if offer.region.lower() == "global"]


def test_yuan_prices_have_a_dated_rate() -> None:
    assert {price.currency for _, price in PRICES} == {"USD", "CNY", "EUR"}
    assert all(date.fromisoformat(rate.date) for rate in CATALOG.fx.values())
