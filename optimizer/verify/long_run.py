"""Rules about what a plan costs beyond one month: recomputed month by month, not by the formulas of pricing."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.pricing import NodeOption, node_options
from optimizer.pricing.long_run import MOST_MONTHS, UNTIL_TERM, YEARS, purchase_cents
from optimizer.verify.case import Case
from optimizer.verify.types import Mismatch
from optimizer.vocabulary import Tier

_NEAR = 1e-6


def totals(case: Case) -> Iterator[Mismatch]:
    """The bill of every month added up; what writes a purchase off ends with its term."""
    run = case.plan.long_run
    if run is None:
        return
    if tuple(years for years, _ in run.totals) != YEARS:
        yield Mismatch("totals", "long_run.totals", YEARS, run.totals, "years that are summed")
    ends = [line for line in case.plan.cost_lines if _written_off(line.name)]
    for years, printed in run.totals:
        expected = 0
        for month in range(12 * years):
            over = month >= case.problem.ownership.term_months
            expected += case.plan.monthly_cents - (sum(line.monthly_cents for line in ends) if over else 0)
        if expected != printed:
            yield Mismatch("totals", f"long_run.totals[{years}]", expected, printed, "cents over the years")


def _written_off(name: str) -> bool:
    kind, _, payment = name.removeprefix("spare node, ").partition(":")
    return kind in UNTIL_TERM and payment.endswith(f"({Tier.PURCHASE})")


def rent_or_buy(case: Case) -> Iterator[Mismatch]:
    """Amounts of the nodes bought and rented, and the month in which a loan over the price would be paid back."""
    compared = case.plan.long_run.rent_or_buy if case.plan.long_run else None
    if compared is None:
        return
    ids = {offer for offer, _ in (*compared.bought, *compared.rented)}
    known = {option.key: option for option in node_options(case.problem, case.catalog, only=ids)}
    lines = [(known.get(b), known.get(r)) for b, r in zip(compared.bought, compared.rented, strict=False)]
    if len(lines) != len(case.nodes) or not all(b and r and _match(b, r) for b, r in lines):
        yield Mismatch("rent or buy", "long_run.rent_or_buy", "the plan's nodes", compared, "other nodes")
        return
    price = rent = running = 0
    for node, (bought, rented) in zip(case.nodes, lines, strict=True):
        assert bought is not None
        assert rented is not None
        if node.option.key not in (bought.key, rented.key):
            yield Mismatch("rent or buy", "long_run.rent_or_buy", node.option.key, bought.key, "not of the plan")
        count = node.line.count
        price += count * purchase_cents(bought, case.problem, case.catalog)
        rent += node.line.monthly_cents if rented.key == node.option.key else count * rented.monthly_cents
        running += count * sum(line.monthly_cents for line in bought.lines if line.name not in UNTIL_TERM)
    expected = (price, running, rent, _paid_back(price, rent - running, case.problem.ownership.cost_of_capital / 12))
    printed = (compared.price_cents, compared.running_cents, compared.rent_cents, compared.months)
    if expected != printed:
        yield Mismatch("rent or buy", "long_run.rent_or_buy", expected, printed, "price, running, rent, months")


def _match(bought: NodeOption, rented: NodeOption) -> bool:
    sides = bought.tier is Tier.PURCHASE and rented.tier not in (Tier.PURCHASE, Tier.OWNED)
    return sides and bought.node_type.key == rented.node_type.key


def _paid_back(price: float, saved: float, rate: float) -> int | None:
    """Months until the savings have paid a debt of the price with its interest."""
    debt = price
    for month in range(1, MOST_MONTHS + 1):
        debt = debt * (1 + rate) - saved
        if debt <= _NEAR * price:
            return month
    return None


def per_token(case: Case) -> Iterator[Mismatch]:
    """The share of the load that runs on average."""
    plan, problem, run = case.plan, case.problem, case.plan.long_run
    if run is None:
        return
    mean = 1.0 if plan.periods else problem.payment.mean_load
    if run.mean_load != mean:
        yield Mismatch("per token", "payment.mean_load", mean, run.mean_load, "share of the load")
