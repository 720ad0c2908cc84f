"""Cost lines as live formulas, one per line of the pricing room and with its name, so that each can be checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.pricing import NodeOption


@dataclass(frozen=True, slots=True)
class LiveLine:
    """A cost line of one node and month; ``cents`` is the ledger's, the formula must give the same."""

    name: str
    formula: str
    cents: int
    until_term: bool = False  # ends with the term of the purchase


def live_lines(option: NodeOption, at: dict[str, str]) -> list[LiveLine]:
    """Every line that the option's kind of payment can have, those that are 0 today too."""
    cents = {line.name: line.monthly_cents for line in option.lines}
    if option.tier is Tier.OWNED:
        rows = _owned(cents, at)
    elif option.tier is Tier.PURCHASE:
        rows = _bought(at)
    else:
        rows = _rented(at)
    known = {name for name, _, _ in rows}
    assert known >= set(cents), f"the pricing room has a line that the shortlist does not know: {set(cents) - known}"
    return [LiveLine(name, f"ROUND({formula},2)", cents.get(name, 0), until) for name, formula, until in rows]


def _rented(at: dict[str, str]) -> list[tuple[str, str, bool]]:
    rent = f"{at['price']}*{at['rate']}*{at['hours']}"
    return [
        ("rent", rent, False),
        ("discount", f"-{at['discount']}*{rent}", False),
        ("tax", f"{at['tax']}*{rent}*(1-{at['discount']})", False),
    ]


def _bought(at: dict[str, str]) -> list[tuple[str, str, bool]]:
    """``-PMT(i, n, price, -residual)`` is the level payment of the pricing room's ``capital_charge``."""
    price = f"{at['price']}*{at['rate']}*(1-{at['discount']})"
    wear = f"{price}*(1-in_residual)/in_term"
    charge = f"-PMT(in_capital/12,in_term,{price},-({price})*in_residual)"
    support = f"{price}*in_support/12"
    return [
        ("depreciation", wear, True),
        ("cost of capital", f"{charge}-{wear}", True),
        ("tax on the purchase", f"-PMT(in_capital/12,in_term,{price}*{at['tax']})", True),
        ("support", support, False),
        *_running(at, support),
    ]


def _owned(cents: dict[str, int], at: dict[str, str]) -> list[tuple[str, str, bool]]:
    stated = "owned hardware, as stated"
    return [(stated, at["price"], False)] if stated in cents else _running(at, "0")


def _running(at: dict[str, str], support: str) -> list[tuple[str, str, bool]]:
    energy = f"{at['kw']}*in_pue*in_month*in_power"
    space = f"{at['kw']}*in_space"
    return [
        ("energy", energy, False),
        ("colocation", space, False),
        ("tax on running costs", f"in_tax*({energy}+{space}+{support})", False),
    ]
