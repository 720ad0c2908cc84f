"""Offers x tiers, quotes and own hardware, priced to the cent and checked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.errors import CatalogError
from optimizer.pricing import Origin, node_options
from optimizer.vocabulary import Link, Tier

BATCH = {"name": "night", "model": "m", "traffic": {"batch": {"requests": 1000.0, "within_hours": 10.0}}}
SHORT_BATCH = {
    "name": "noon",
    "model": "m",
    "traffic": {"batch": {"requests": 10.0, "within_hours": 2.0, "runs_per_month": 5.0}},
}
ONLINE = {"name": "chat", "model": "m", "traffic": {"requests_per_second": 1.0}}
QUOTE = {
    "id": "q1",
    "provider": "acme",
    "gpu": "h100_sxm_80",
    "gpus_per_node": 8,
    "currency": "CNY",
    "price_per_hour": 140.0,
}


def lines(option):
    return {line.name: line.monthly_cents for line in option.lines}


def test_rent_is_hours_times_price(problem, make_catalog, make_offer, make_price):
    (option,) = node_options(problem(), make_catalog(make_offer("a", make_price(amount=21.957642))))
    assert option.monthly_cents == 1602908  # 730 x 21.957642 = 16,029.07866
    assert lines(option) == {"rent": 1602908}
    assert option.key == ("a", "on_demand") and option.origin is Origin.CATALOG
    assert option.power_kw == pytest.approx(8 * 1.28)


def test_every_tier_of_an_offer_is_an_option_even_if_forbidden(problem, make_catalog, make_offer, make_price):
    prices = [make_price(tier, 20) for tier in Tier if tier is not Tier.OWNED]
    options = node_options(problem(), make_catalog(make_offer("a", *prices)))
    assert [option.tier for option in options] == ["on_demand", "purchase", "reserved_1y", "reserved_3y", "spot"]
    assert [option.commitment_months for option in options] == [0, 0, 12, 36, 0]


def test_discount_and_tax_are_lines_of_their_own(problem, make_catalog, make_offer):
    discounts = ({"provider": "aws", "percent": 10.0}, {"tier": "on_demand", "percent": 12.0, "until": "2026-07-01"})
    (option,) = node_options(problem(payment={"discounts": discounts, "tax_percent": 19.0}), make_catalog(make_offer()))
    assert lines(option) == {"rent": 1460000, "discount": -175200, "tax": 244112}  # 14,600; -12 %; 19 % of 12,848
    assert option.monthly_cents == 1460000 - 175200 + 244112


@pytest.mark.parametrize(
    ("discount", "cents"),
    [
        ({"percent": 10.0, "until": "2026-06-30"}, 1460000),
        ({"percent": 10.0, "until": "2026-07-01"}, 1314000),
        ({"percent": 10.0, "provider": "gcp"}, 1460000),
        ({"percent": 10.0, "tier": "spot"}, 1460000),
        ({"percent": 10.0, "gpu": "rtx_4090_24"}, 1460000),
        ({"percent": 10.0, "gpu": "h100_sxm_80"}, 1314000),
    ],
)
def test_a_discount_applies_where_it_matches(problem, make_catalog, make_offer, discount, cents):
    (option,) = node_options(problem(payment={"discounts": (discount,)}), make_catalog(make_offer()))
    assert option.monthly_cents == cents


def test_foreign_prices_use_the_dated_rate_and_the_users_own_replaces_it(problem, make_catalog, make_offer, make_price):
    catalog = make_catalog(make_offer("a", make_price(amount=70, currency="CNY")))
    assert node_options(problem(), catalog)[0].monthly_cents == 730000  # 70 / 7.0 x 730
    stated = problem(payment={"fx": {"CNY": 7.3, "date": "2026-07-01"}})
    assert node_options(stated, catalog)[0].monthly_cents == 700000
    yuan = problem(payment={"currency": "CNY"})
    assert node_options(yuan, catalog)[0].monthly_cents == 5110000


def test_a_currency_without_a_rate_is_refused(problem, make_catalog, make_offer, make_price):
    catalog = make_catalog(make_offer("a", make_price(currency="ISK")))
    with pytest.raises(CatalogError, match="no exchange rate for ISK"):
        node_options(problem(), catalog)


def test_a_zero_price_is_refused(problem, make_catalog, make_offer, make_price):
    with pytest.raises(CatalogError, match="must be above 0"):
        node_options(problem(), make_catalog(make_offer("a", make_price(amount=0))))


def test_batch_work_pays_for_the_hours_used_only(problem, make_catalog, make_offer, make_price):
    catalog = make_catalog(make_offer("a", make_price(), make_price(Tier.SPOT, 10), make_price(Tier.RESERVED_1Y, 10)))
    by_tier = {option.tier: option.monthly_cents for option in node_options(problem(workloads=(BATCH,)), catalog)}
    assert by_tier == {Tier.ON_DEMAND: 600000, Tier.SPOT: 300000, Tier.RESERVED_1Y: 730000}  # 10 h x 30 runs


def test_several_batches_pay_for_the_longest(problem, make_catalog, make_offer):
    (option,) = node_options(problem(workloads=(BATCH, SHORT_BATCH)), make_catalog(make_offer()))
    assert option.monthly_cents == 300 * 2000


def test_batch_beside_an_online_workload_runs_around_the_clock(problem, make_catalog, make_offer):
    (option,) = node_options(problem(workloads=(BATCH, ONLINE)), make_catalog(make_offer()))
    assert option.monthly_cents == 730 * 2000


@pytest.mark.parametrize(("hours", "rent", "reserved"), [(200.0, 200, 730), (671.9, 671.9, 730), (720.0, 720, 720)])
def test_part_time_use_does_not_shorten_a_reservation(
    *, problem, make_catalog, make_offer, make_price, hours, rent, reserved
):
    catalog = make_catalog(make_offer("a", make_price(amount=10), make_price(Tier.RESERVED_1Y, 10)))
    options = node_options(problem(payment={"hours_per_month": hours}), catalog)
    assert [option.monthly_cents for option in options] == [round(rent * 1000), round(reserved * 1000)]


def test_the_newest_price_of_a_tier_counts_and_a_rankable_one_before_a_reference(
    problem, make_catalog, make_offer, make_price
):
    old, new = make_price(amount=30, date="2026-01-01"), make_price(amount=20, date="2026-05-01")
    tracker = make_price(amount=1, date="2026-06-30", rankable=False, reason="tracker")
    for prices in ([old, new, tracker], [tracker, new, old]):
        (option,) = node_options(problem(), make_catalog(make_offer("a", *prices)))
        assert option.price == new


def test_a_quote_with_the_id_of_an_offer_replaces_it_whole(problem, make_catalog, make_offer, make_price):
    catalog = make_catalog(make_offer("q1", make_price(), make_price(Tier.SPOT, 5)))
    (option,) = node_options(problem(offers=(QUOTE,)), catalog)
    assert option.origin is Origin.QUOTE and option.tier is Tier.ON_DEMAND
    assert option.monthly_cents == 1460000  # 140 / 7.0 x 730
    assert option.offer.region == "us-east-1" and option.offer.instance_type == "p5.48xlarge"
    assert option.offer.provider == "acme"


def test_a_quote_keeps_its_own_tax_and_takes_no_discount(problem, make_catalog):
    quote = {**QUOTE, "tax_percent": 6.0, "stock": 3, "quote_ref": "Q-17", "valid_until": "2026-12-31"}
    payment = {"tax_percent": 19.0, "discounts": ({"percent": 50.0},)}
    (option,) = node_options(problem(offers=(quote,), payment=payment), make_catalog())
    assert lines(option) == {"rent": 1460000, "tax": 87600}
    assert option.max_nodes == 3 and option.price and option.price.source == "your quote Q-17"
    assert option.offer.provider_class is None and option.offer.link is Link.NVSWITCH  # of no catalog: not known


@pytest.mark.parametrize(
    ("gpu", "gpus", "nvlink", "link"),
    [
        ("h100_sxm_80", 8, None, Link.NVSWITCH),
        ("h100_sxm_80", 8, False, Link.PCIE),
        ("h100_sxm_80", 1, True, Link.PCIE),
        ("a100_pcie_80", 4, None, Link.PCIE),
        ("a100_pcie_80", 4, True, Link.NVLINK_PAIR),
        ("rtx_4090_24", 4, None, Link.PCIE),
        ("rtx_4090_24", 4, True, Link.NVLINK_PAIR),
    ],
)
def test_the_link_of_a_quote_and_of_own_nodes(*, problem, make_catalog, gpu, gpus, nvlink, link):
    entry = {"gpu": gpu, "gpus_per_node": gpus, "nvlink": nvlink}
    quote = {**QUOTE, "gpu": gpu, "gpus_per_node": gpus, "nvlink": nvlink}
    options = node_options(problem(offers=(quote,), hardware={"owned": (entry,)}), make_catalog())
    assert [option.node_type.link for option in options] == [link, link]


def test_a_catalog_without_prices_ages_nothing(problem, make_catalog):
    catalog = replace(make_catalog(), newest_price_date="")
    (option,) = node_options(problem(offers=({**QUOTE, "valid_until": "2020-01-01"},)), catalog)
    assert option.price is not None


def test_own_nodes_cost_energy_and_space(problem, make_catalog):
    owned = ({"gpu": "h100_sxm_80", "gpus_per_node": 8, "nodes": 2},)
    (option,) = node_options(problem(hardware={"owned": owned}), make_catalog())
    # 10.24 kW x 1.3 x 730 h x 0.10 = 971.776; 10.24 kW x 165 = 1,689.60
    assert lines(option) == {"energy": 97178, "colocation": 168960}
    assert option.tier is Tier.OWNED and option.max_nodes == 2 and option.price is None
    assert option.key == ("owned-8x-h100_sxm_80", "owned")


def test_a_stated_cost_of_own_nodes_is_all_in(problem, make_catalog):
    owned = tuple({"gpu": "h100_sxm_80", "gpus_per_node": 8, "monthly_cost": cost} for cost in (0.0, 1234.567))
    options = node_options(problem(hardware={"owned": owned}, payment={"tax_percent": 19.0}), make_catalog())
    assert [option.monthly_cents for option in options] == [0, 123457]
    assert [option.offer.id for option in options] == ["owned-8x-h100_sxm_80", "owned-8x-h100_sxm_80-2"]


def test_only_prices_just_the_offers_named(problem, make_catalog, make_offer):
    owned = ({"gpu": "h100_sxm_80", "gpus_per_node": 8},)
    catalog = make_catalog(make_offer("a"), make_offer("b"))
    some = node_options(problem(hardware={"owned": owned}, offers=(QUOTE,)), catalog, only={"b", "q1"})
    assert [option.offer.id for option in some] == ["b", "q1"]


def test_options_do_not_depend_on_the_order_of_rows(problem, make_catalog, make_offer, make_price):
    offers = [make_offer(f"o{i}", make_price(amount=1 + i), make_price(Tier.SPOT, 1)) for i in range(20)]
    assert node_options(problem(), make_catalog(*offers)) == node_options(problem(), make_catalog(*offers[::-1]))


def test_a_slow_fabric_counts_as_none_and_node_types_are_shared(problem, make_catalog, make_offer):
    offers = [make_offer(str(gbps), network_gbps=gbps) for gbps in (None, 99.0, 100.0, 3200.0)]
    options = node_options(problem(), make_catalog(*offers))
    assert {option.offer.id: option.node_type.fabric_gbps for option in options} == {
        "None": 0.0,
        "99.0": 0.0,
        "100.0": 100.0,
        "3200.0": 3200.0,
    }
    assert len({id(option.node_type) for option in options}) == 3


def test_the_time_of_pricing_grows_with_the_prices(problem, make_catalog, make_offer, make_price, grows_with):
    tiers = [Tier.ON_DEMAND, Tier.SPOT, Tier.RESERVED_1Y, Tier.RESERVED_3Y]
    prices = [make_price(tier, 3.0) for tier in tiers]
    few, many = (make_catalog(*(make_offer(f"o{i}", *prices) for i in range(n))) for n in (2_500, 25_000))
    assert len(node_options(problem(), many)) == 100_000
    grows_with(lambda: node_options(problem(), few), lambda: node_options(problem(), many), 10)
