"""The bill of a plan: lines times nodes, the plan's own lines, what is left out."""

from __future__ import annotations

import pytest

from optimizer.pricing import (
    cost_lines,
    excluded_costs,
    node_options,
    plan_lines,
    recoverable_tax_cents,
    total_cents,
)
from optimizer.units import to_cents
from optimizer.vocabulary import Tier


def test_the_bill_is_nodes_times_price_plus_the_plans_own_lines(problem, make_catalog, make_offer, make_price):
    asked = problem(
        payment={"tax_percent": 19.0, "extras_monthly": 99.995},
        ownership={"staff_monthly": 5000.0},
        hardware={"owned": ({"gpu": "h100_sxm_80", "gpus_per_node": 8},)},
    )
    options = node_options(asked, make_catalog(make_offer("a", make_price(amount=1.2345))))
    nodes = [(option, index + 2) for index, option in enumerate(options)]
    lines = cost_lines(nodes, asked)
    assert lines == cost_lines(nodes[::-1], asked)
    assert sum(line.monthly_cents for line in lines) == total_cents(nodes, asked)
    assert total_cents(nodes, asked) == sum(o.monthly_cents * n for o, n in nodes) + 10000 + 500000
    assert [line.name for line in lines[:2]] == ["rent: a (on_demand)", "tax: a (on_demand)"]
    for option, _ in nodes:
        for line in option.lines:
            assert line.monthly_cents == to_cents(line.quantity * line.unit_price)


def test_a_plan_without_extras_has_no_line_of_its_own(problem):
    assert plan_lines(problem()) == ()


def test_what_a_bill_leaves_out(problem, make_catalog, make_offer, make_price):
    asked = problem()
    catalog = make_catalog(make_offer("a", make_price(), make_price(Tier.SPOT), make_price(Tier.PURCHASE, 1e5)))
    rent, bought, spot = node_options(asked, catalog)
    assert excluded_costs([rent], asked) == ("storage", "network egress", "load balancer", "staff", "tax")
    assert "interruptions of spot nodes" in excluded_costs([rent, spot], asked)
    assert "network between bought servers" in excluded_costs([bought], asked)
    covered = problem(payment={"tax_percent": 19.0}, ownership={"staff_monthly": 1.0})
    assert excluded_costs([rent], covered) == ("storage", "network egress", "load balancer")


def test_own_hardware_leaves_out_what_it_once_cost(problem, make_catalog):
    for cost, said in ((None, True), (100.0, False)):
        owned = ({"gpu": "h100_sxm_80", "gpus_per_node": 8, "monthly_cost": cost},)
        asked = problem(hardware={"owned": owned})
        left_out = excluded_costs(node_options(asked, make_catalog()), asked)
        assert ("the price once paid for owned hardware" in left_out) is said


TAXED = {
    "id": "q1",
    "provider": "acme",
    "gpu": "h100_sxm_80",
    "gpus_per_node": 8,
    "currency": "USD",
    "tax_percent": 13.0,
}


@pytest.mark.parametrize(("tier", "price"), [("on_demand", "price_per_hour"), ("purchase", "purchase_price")])
def test_recoverable_tax_is_told_and_in_no_total(problem, make_catalog, tier, price):
    quote = {**TAXED, "tier": tier, price: 1e5}
    catalog, cents = make_catalog(), {}
    for recoverable in (False, True):
        payment = {"tiers": (tier,), "tax_percent": 20.0, "tax_recoverable": recoverable}
        asked = problem(offers=(quote,), payment=payment)
        (option,) = node_options(asked, catalog)
        taxes = sum(line.monthly_cents for line in option.lines if line.name.startswith("tax"))
        cents[recoverable] = (option.monthly_cents, taxes)
        told = recoverable_tax_cents([(option, 3)], asked, catalog)
        assert told == (3 * (cents[False][0] - cents[True][0]) if recoverable else 0)
        assert ("tax (recoverable)" in excluded_costs([option], asked)) is recoverable
    assert cents[True] == (cents[False][0] - cents[False][1], 0) and cents[False][1] > 0
