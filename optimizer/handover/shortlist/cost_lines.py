"""Cost lines as live formulas, one per line of the pricing room and with its name, so that each can be checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.pricing.types import starts_of
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.handover.shortlist.priced import PricedLine
    from optimizer.pricing import NodeOption


@dataclass(frozen=True, slots=True)
class LiveLine:
    """A cost line of one node and month; ``cents`` is the ledger's, the formula must give the same."""

    name: str
    formula: str
    cents: int
    until_term: bool = False  # ends with the term of the purchase


@dataclass(frozen=True, slots=True)
class Counted:
    """A cost line and the nodes that it is paid for."""

    nodes: int
    line: LiveLine


def counted_lines(line: PricedLine, at: dict[str, str], say: Callable[[str], str]) -> list[Counted]:
    """Every line of the nodes of one option; with a day profile those paid by use have lines for each period."""
    option, periods = line.option, line.plan.periods
    if not option.periods or not periods:
        return [Counted(line.node.count, _named(one, say(one.name))) for one in live_lines(option, at)]
    counted: list[Counted] = []
    for index, period in enumerate(periods):
        price, started = option.periods[index], starts_of(line.running)[index]
        there = {**at, "hours": hours_name(index)}
        ledger = tuple((one.name, one.monthly_cents) for one in price.lines)
        named = [(one, f"{say(one.name)}, {period.name}") for one in _live(option, there, ledger)]
        counted += [Counted(period.nodes[line.position], _named(one, name)) for one, name in named]
        if started:
            there = {**at, "hours": starts_name(index)}
            ledger = tuple((one.name, one.monthly_cents) for one in price.start_lines)
            named = [
                (one, f"{say(one.name)} {say('while starting')}, {period.name}") for one in _live(option, there, ledger)
            ]
            counted += [Counted(started, _named(one, name)) for one, name in named]
    return [one for one in counted if one.nodes]


def hours_name(period: int) -> str:
    """Name of the cell with the hours a month of a period."""
    return f"in_hours_{period + 1}"


def starts_name(period: int) -> str:
    """Name of the cell with the hours a month that a node is billed for starting with a period."""
    return f"in_starts_{period + 1}"


def _named(line: LiveLine, name: str) -> LiveLine:
    return replace(line, name=name)


def live_lines(option: NodeOption, at: dict[str, str]) -> list[LiveLine]:
    """Every line that the option's kind of payment can have, those that are 0 today too."""
    return _live(option, at, tuple((line.name, line.monthly_cents) for line in option.lines))


def _live(option: NodeOption, at: dict[str, str], ledger: tuple[tuple[str, int], ...]) -> list[LiveLine]:
    cents = dict(ledger)
    if option.tier is Tier.OWNED:
        rows = _owned(cents, at)
    elif option.tier is Tier.PURCHASE:
        rows = _bought(at)
    else:
        rows = _rented(at, interrupted="interruptions" in cents)
    known = {name for name, _, _ in rows}
    assert known >= set(cents), f"the pricing room has a line that the shortlist does not know: {set(cents) - known}"
    return [LiveLine(name, f"ROUND({formula},2)", cents.get(name, 0), until) for name, formula, until in rows]


def _rented(at: dict[str, str], *, interrupted: bool) -> list[tuple[str, str, bool]]:
    rent = f"{at['price']}*{at['rate']}*{at['hours']}"
    net = f"{rent}*(1-{at['discount']})"
    uplift = [("interruptions", f"in_uplift*{net}", False)] if interrupted else []
    taxed = f"{net}*(1+in_uplift)" if interrupted else net
    return [
        ("rent", rent, False),
        ("discount", f"-{at['discount']}*{rent}", False),
        *uplift,
        ("tax", f"{at['tax']}*{taxed}", False),
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
