"""Totals over years, renting against buying, an API: by hand, and to the cent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from optimizer.catalog.types import TokenPrice
from optimizer.plan.costs import CostLine
from optimizer.pricing import (
    Volume,
    api_comparison,
    cost_lines,
    counterparts,
    node_options,
    option_rules,
    rent_or_buy,
    total_cents,
    total_cents_over,
)
from optimizer.pricing.long_run import break_even_months
from optimizer.pricing.unit_costs import expected_volume
from optimizer.vocabulary import Objective, Tier


def by_tier(asked, catalog):
    return {option.tier: option for option in node_options(asked, catalog)}


def test_spare_nodes_are_lines_of_their_own_and_the_ledger_adds_up(problem, make_catalog, make_offer, make_price):
    asked = problem(payment={"tax_percent": 19.0, "extras_monthly": 10.0})
    (option,) = node_options(asked, make_catalog(make_offer("a", make_price(amount=1.2345))))
    lines = cost_lines([(option, 5)], asked, {option.key: 2})
    assert [line.name for line in lines] == [
        "rent: a (on_demand)",
        "tax: a (on_demand)",
        "spare node, rent: a (on_demand)",
        "spare node, tax: a (on_demand)",
        "extras",
    ]
    assert sum(line.monthly_cents for line in lines) == total_cents([(option, 5)], asked)
    assert sum(line.monthly_cents for line in lines if line.name.startswith("spare")) == 2 * option.monthly_cents
    assert all(isinstance(line, CostLine) for line in lines)


def test_a_plan_of_spares_only_has_no_line_of_no_nodes(problem, make_catalog, make_offer, make_price):
    asked = problem()
    (option,) = node_options(asked, make_catalog(make_offer("a", make_price())))
    assert [line.name for line in cost_lines([(option, 1)], asked, {option.key: 1})] == [
        "spare node, rent: a (on_demand)"
    ]


def test_a_rented_plan_costs_its_months(problem, make_catalog, make_offer, make_price):
    asked = problem()
    (option,) = node_options(asked, make_catalog(make_offer("a", make_price(amount=10.0))))
    assert total_cents_over([(option, 2)], asked, 3) == 2 * 730_000 * 36


def test_a_bought_node_is_written_off_once(problem, make_catalog, make_offer, make_price):
    """48,000 over 48 months without interest or residual is 1,000 a month for four years, then running costs only."""
    terms = {
        "term_months": 48,
        "residual": 0.0,
        "cost_of_capital": 0.0,
        "support_percent": 5.0,
        "electricity_per_kwh": 0.0,
        "colo_per_kw_month": 0.0,
    }
    asked = problem(ownership=terms)
    (option,) = node_options(asked, make_catalog(make_offer("a", make_price(Tier.PURCHASE, 48_000.0))))
    assert option.monthly_cents == 100_000 + 20_000
    assert total_cents_over([(option, 1)], asked, 1) == 12 * 120_000
    assert total_cents_over([(option, 1)], asked, 5) == 60 * 20_000 + 4_800_000


@pytest.mark.parametrize(
    ("price", "saved", "rate", "months"),
    [
        (1200, 100, 0.0, 12),
        (1201, 100, 0.0, 13),
        (100_000_00, 5_000_00, 0.12, 23),  # (1.01)^-n = 1 - 0.2: n = 22.43
        (100_000_00, 1_000_00, 0.12, None),  # the savings only pay the interest
        (100, 0, 0.0, None),
        (100, -5, 0.08, None),
        (1000, 1, 0.0, None),  # after more than 240 months
        (0, 1, 0.08, 0),
    ],
)
def test_break_even_by_hand(price, saved, rate, months):
    assert break_even_months(price, saved, rate) == months


def test_renting_against_buying_the_same_nodes(problem, make_catalog, make_offer, make_price):
    terms = {"cost_of_capital": 0.0, "support_percent": 0.0, "electricity_per_kwh": 0.0, "colo_per_kw_month": 0.0}
    asked = problem(ownership=terms, payment={"tax_percent": 10.0})
    catalog = make_catalog(
        make_offer("a", make_price(amount=10.0)),
        make_offer("b", make_price(Tier.PURCHASE, 100_000.0)),
        make_offer("c", make_price(Tier.PURCHASE, 90_000.0)),
    )
    options = node_options(asked, catalog)
    rented = next(option for option in options if option.tier is Tier.ON_DEMAND)
    others = counterparts([rented], options, option_rules(asked, catalog))
    compared = rent_or_buy([(rented, 2)], others, asked, catalog)
    assert compared is not None
    assert compared.bought == (("c", "purchase"),)
    assert (compared.price_cents, compared.rent_cents, compared.running_cents) == (19_800_000, 1_606_000, 0)
    assert compared.months == 13  # 198,000 / 16,060 = 12.3
    bought = next(option for option in options if option.key == ("c", "purchase"))
    back = counterparts([bought], options, option_rules(asked, catalog))
    assert rent_or_buy([(bought, 2)], back, asked, catalog) == compared


def test_without_a_price_to_compare_with_nothing_is_said(problem, make_catalog, make_offer, make_price):
    asked = problem()
    catalog = make_catalog(
        make_offer("a", make_price()), make_offer("b", make_price(Tier.PURCHASE, 9.0, rankable=False))
    )
    options = node_options(asked, catalog)
    rented = [option for option in options if option.tier is Tier.ON_DEMAND]
    assert (
        rent_or_buy([(rented[0], 1)], counterparts(rented, options, option_rules(asked, catalog)), asked, catalog)
        is None
    )


def of(workload: str, requests: float) -> Volume:
    """A month's volume of one workload, for comparisons that only count its requests."""
    return Volume(requests=requests, input_tokens=0.0, output_tokens=0.0, users=None, by_workload={workload: requests})


def test_an_api_by_hand(problem, make_catalog):
    """At the expected volume: ``mean_load`` of the stated one."""
    from optimizer.problem import lengths_of

    asked = problem(payment={"api_price": {"input_per_million": 0.5, "output_per_million": 2.0}, "mean_load": 0.5})
    workload = asked.workloads[0]
    lengths = lengths_of(workload)
    each = (lengths.input_mean * 0.5 + lengths.output_mean * 2.0) / 1e6
    compared = api_comparison(1_000_000, of(workload.name, 5e6), asked, make_catalog())
    assert compared is not None
    assert compared.own_cents == pytest.approx(5e6 * each * 100, abs=1)
    assert compared.break_even_share == pytest.approx(10_000 / (5e6 * each))
    assert (compared.sellers, compared.unsold, compared.low_cents) == ((), (workload.name,), None)
    assert api_comparison(1, of(workload.name, 0.0), problem(), make_catalog()) is None


def test_where_the_load_is_sought_the_volume_is_already_what_the_plan_carries(problem, make_catalog):
    """A plan that carries 40 times the unit of load is compared at that volume: run full it makes no more of it."""
    asked = problem(payment={"api_price": {"input_per_million": 0.5, "output_per_million": 2.0}, "mean_load": 0.5})
    name = asked.workloads[0].name
    sought = asked.model_copy(update={"objective": Objective.MAXIMIZE_LOAD})
    volume = expected_volume(sought, {name: 4.0}, 40.0)
    compared = api_comparison(1_000_000, volume, sought, make_catalog())
    assert compared is not None
    assert 40.0 * compared.stated_volume == pytest.approx(2.0)  # the hours that ``mean_load`` leaves out, nothing else
    once = api_comparison(1_000_000, expected_volume(asked, {name: 0.1}), asked, make_catalog())
    assert once is not None
    assert once.stated_volume == pytest.approx(2.0)


def token_price(model: str, provider: str, fresh: float, out: float, **more: Any) -> TokenPrice:
    """A dated price of a model by the token."""
    filled = {
        "sold_as": f"{provider}/{model}",
        "cached_input_per_million": None,
        "context_limit": None,
        "sold_until": None,
        "date": "2026-06-30",
        "source": "list",
        "notes": "",
    }
    return TokenPrice(
        model=model, provider=provider, input_per_million=fresh, output_per_million=out, **{**filled, **more}
    )


def test_sellers_by_the_token(problem, make_catalog):
    """Each provider once, at its cheapest; cached input at its own price; old, withdrawn and short ones left out."""
    asked = problem(payment={"mean_load": 1.0})
    workload = asked.workloads[0]
    from optimizer.problem import lengths_of

    prefix = lengths_of(workload).shared_prefix
    tokens = workload.tokens.model_copy(update={"shared_prefix": 0.5})
    shared = asked.model_copy(update={"workloads": (workload.model_copy(update={"tokens": tokens}),)})
    assert prefix == 0.0
    prices = (
        token_price(workload.model, "a", 1.0, 4.0),
        token_price(workload.model, "a", 0.8, 4.0, sold_as="cheaper", cached_input_per_million=0.1),
        token_price(workload.model, "b", 0.2, 9.0, context_limit=10**7),
        token_price(workload.model, "old", 0.1, 0.1, date="2025-06-30"),
        token_price(workload.model, "gone", 0.1, 0.1, sold_until="2026-01-01"),
        token_price(workload.model, "short", 0.1, 0.1, context_limit=16),
        token_price("another", "c", 0.1, 0.1),
    )
    catalog = replace(make_catalog(), api_prices={workload.model: prices[:-1], "another": prices[-1:]})
    lengths = lengths_of(workload)
    bill_a = lengths.input_mean * 0.8 + lengths.output_mean * 4.0
    bill_b = lengths.input_mean * 0.2 + lengths.output_mean * 9.0
    found = api_comparison(50_000, of(workload.name, 1e6), asked, catalog)
    assert found is not None
    bills = {"a": bill_a, "b": bill_b}
    assert [one.provider for one in found.sellers] == sorted(bills, key=lambda name: bills[name])
    assert {one.provider: one.monthly_cents for one in found.sellers} == {
        name: pytest.approx(bill * 100, abs=1) for name, bill in bills.items()
    }
    assert next(one for one in found.sellers if one.provider == "a").sold_as == "cheaper"
    assert (found.low_cents, found.high_cents) == (
        pytest.approx(min(bills.values()) * 100, abs=1),
        pytest.approx(max(bills.values()) * 100, abs=1),
    )
    assert found.break_even_share == pytest.approx(500 / min(bills.values()))
    cached = api_comparison(50_000, of(workload.name, 1e6), shared, catalog)
    assert cached is not None
    mine = next(one for one in cached.sellers if one.provider == "a")
    expected = lengths.input_mean * (0.5 * 0.8 + 0.5 * 0.1) + lengths.output_mean * 4.0
    assert mine.monthly_cents == pytest.approx(expected * 100, abs=1)
