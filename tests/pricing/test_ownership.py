"""What buying costs per month: the annuity by hand and by its defining property."""

from __future__ import annotations

import pytest

from optimizer.pricing import node_options
from optimizer.pricing.terms import capital_charge
from optimizer.vocabulary import Tier


def test_the_payments_and_the_residual_pay_the_price_back():
    payment = capital_charge(300_000, 30_000, 0.08, 48)
    rate = 0.08 / 12
    worth = sum(payment / (1 + rate) ** month for month in range(1, 49)) + 30_000 / (1 + rate) ** 48
    assert worth == pytest.approx(300_000)
    assert payment == pytest.approx(6791.489, abs=1e-3)  # (300,000 - 30,000 x 0.726921) x 0.0066667 / 0.273079


def test_without_interest_it_is_straight_line():
    assert capital_charge(300_000, 30_000, 0, 48) == 5625.0


def bought(problem, make_catalog, make_offer, make_price, **sections):
    catalog = make_catalog(make_offer("s", make_price(Tier.PURCHASE, 300_000.0), region=""))
    (option,) = node_options(problem(**sections), catalog)
    return {line.name: line.monthly_cents for line in option.lines}, option


def test_the_lines_of_a_bought_server(problem, make_catalog, make_offer, make_price):
    lines, option = bought(problem, make_catalog, make_offer, make_price)
    assert lines == {
        "depreciation": 562500,
        "cost of capital": 116649,
        "support": 125000,  # 5 % of 300,000 a year
        "energy": 97178,
        "colocation": 168960,
    }
    assert option.monthly_cents == sum(lines.values()) == 1070287


def test_tax_on_a_purchase_is_financed_and_running_costs_are_taxed(problem, make_catalog, make_offer, make_price):
    sections = {"payment": {"tax_percent": 20.0}, "ownership": {"cost_of_capital": 0.0}}
    lines, _ = bought(problem, make_catalog, make_offer, make_price, **sections)
    assert lines["tax on the purchase"] == 125000  # 60,000 / 48
    assert lines["tax on running costs"] == 78228  # 20 % of (1,250 + 971.776 + 1,689.60)
    assert "cost of capital" not in lines


def test_defaults_are_dollars_and_stated_figures_are_in_the_problems_currency(
    problem, make_catalog, make_offer, make_price
):
    yuan = {"currency": "CNY"}
    lines, _ = bought(problem, make_catalog, make_offer, make_price, payment=yuan)
    assert lines["energy"] == 680243  # 971.776 x 7.0
    sections = {"payment": yuan, "ownership": {"electricity_per_kwh": 0.7, "colo_per_kw_month": 1000.0}}
    lines, _ = bought(problem, make_catalog, make_offer, make_price, **sections)
    assert lines["energy"] == 680243 and lines["colocation"] == 1024000


def test_batch_work_does_not_make_a_bought_server_cheaper(problem, make_catalog, make_offer, make_price):
    batch = {"name": "night", "model": "m", "traffic": {"batch": {"requests": 1000.0, "within_hours": 1.0}}}
    assert bought(problem, make_catalog, make_offer, make_price, workloads=(batch,))[1].monthly_cents == 1070287


def test_a_discount_on_purchases_lowers_capital_and_support(problem, make_catalog, make_offer, make_price):
    payment = {"discounts": ({"tier": "purchase", "percent": 10.0},)}
    lines, _ = bought(problem, make_catalog, make_offer, make_price, payment=payment)
    assert lines["depreciation"] == 506250 and lines["support"] == 112500 and lines["energy"] == 97178
