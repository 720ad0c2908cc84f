"""Discount, uplift and tax together, each on what the one before left; what a signature binds to, by month."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from optimizer.pricing import node_options
from optimizer.pricing.long_run import break_even_months, purchase_cents
from optimizer.pricing.options import rent_lines
from optimizer.pricing.owed import owed
from optimizer.vocabulary import Tier


@pytest.mark.parametrize("discount", [0.0, 0.2])
@pytest.mark.parametrize("uplift", [0.0, 0.5])
@pytest.mark.parametrize("tax", [0.0, 0.1])
def test_each_is_of_what_is_left(discount: float, uplift: float, tax: float) -> None:
    """10 an hour for 100 hours: 1,000 less 20 % is 800, half of that on top is 1,200, a tenth of that is 120."""
    lines = {line.name: line.monthly_cents for line in rent_lines(10.0, 100, discount, tax, uplift)}
    net = 1000 * (1 - discount)
    expected = {
        "rent": 100_000,
        "discount": -100_000 * discount,
        "interruptions": 100 * net * uplift,
        "tax": 100 * net * (1 + uplift) * tax,
    }
    assert lines == pytest.approx({name: cents for name, cents in expected.items() if cents})


def _node(tier: Tier, months: int, cents: int, upfront: float = 0.0, early: float = 100.0) -> Any:
    offer = SimpleNamespace(upfront_percent=upfront, early_exit_percent=early)
    return SimpleNamespace(tier=tier, commitment_months=months, monthly_cents=cents, offer=offer)


NOBODY = cast(Any, None)


def test_a_year_at_1200_a_month_two_nodes_a_quarter_upfront_half_at_the_exit() -> None:
    """28,800 in all, 7,200 at once; of the 21,600 left a twelfth goes each month, half of the rest is owed."""
    found = owed([(_node(Tier.RESERVED_1Y, 12, 120_000, 25.0, 50.0), 2)], NOBODY, NOBODY)
    assert (found.now_cents, found.upfront_cents) == (2_880_000, 720_000)
    assert found.by_month_cents == tuple(90_000 * (12 - month) for month in range(1, 13))


def test_a_longer_commitment_beside_a_shorter_one_and_nodes_that_bind_to_nothing() -> None:
    nodes = [
        (_node(Tier.RESERVED_1Y, 2, 10_000), 1),
        (_node(Tier.RESERVED_1Y, 3, 1_000, upfront=100.0), 5),
        (_node(Tier.ON_DEMAND, 0, 99_900), 7),
    ]
    found = owed(nodes, NOBODY, NOBODY)
    assert (found.now_cents, found.upfront_cents) == (35_000, 15_000)
    assert found.by_month_cents == (10_000, 0, 0)


def test_nothing_committed_owes_nothing() -> None:
    found = owed([(_node(Tier.ON_DEMAND, 0, 99_900), 7)], NOBODY, NOBODY)
    assert (found.now_cents, found.upfront_cents, found.by_month_cents) == (0, 0, ())


@pytest.mark.parametrize(
    ("price", "saved", "rate", "months"),
    [
        (120_000, 10_000, 0.0, 12),
        (120_001, 10_000, 0.0, 13),
        (120_000, 0, 0.0, None),
        (120_000, -1, 0.0, None),
        # 10,000 a month at 1 % a month: 12 months are worth 112,551, 13 months 121,337
        (120_000, 10_000, 0.12, 13),
        (1_000_000, 10_000, 0.12, None),  # the interest alone eats what is saved
    ],
)
def test_when_buying_has_paid_itself_back(price: int, saved: int, rate: float, months: int | None) -> None:
    assert break_even_months(price, saved, rate) == months


def test_a_discount_is_taken_off_listed_purchases_and_never_off_a_quote(problem, make_catalog, make_offer, make_price):
    """A quote is what was agreed; 13 % tax on what is left: 200,000 less 10 % is 180,000, with tax 203,400."""
    listed = make_offer("listed", make_price(Tier.PURCHASE, 200_000.0))
    quote = {"id": "mine", "provider": "aws", "gpu": "h100_sxm_80", "gpus_per_node": 8, "currency": "USD",
             "purchase_price": 200_000.0, "tier": "purchase", "quote_ref": "Q"}  # fmt: skip
    payment = {"tiers": ("purchase",), "tax_percent": 13.0,
               "discounts": ({"provider": "aws", "tier": "purchase", "percent": 10.0},)}  # fmt: skip
    asked, catalog = problem(payment=payment, offers=(quote,)), make_catalog(listed)
    cents = {one.offer.id: purchase_cents(one, asked, catalog) for one in node_options(asked, catalog)}
    assert cents == {"listed": 20_340_000, "mine": 22_600_000}
