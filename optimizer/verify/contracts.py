"""Rules about whom and where to buy from, and in which numbers: read off the problem file itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING

from optimizer.certificates import certificate_of
from optimizer.pricing import purchase_cents
from optimizer.progress import today
from optimizer.units import CENTS_PER_UNIT, floor_guarded
from optimizer.verify.case import CheckedCase, Mismatch, NodeCase
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.problem.schema import Quote

_PARTS = 1000


def residency(case: CheckedCase) -> Iterator[Mismatch]:
    """``hardware.regions``, ``hardware.require``, ``hardware.market``: each node but own ones states what they ask."""
    hardware = case.problem.hardware
    for node in case.nodes:
        if node.line.tier is Tier.OWNED:
            continue
        offer = node.option.offer
        asked = (
            ("hardware.regions", hardware.regions, offer.region),
            ("hardware.require.countries", hardware.require.countries or None, offer.country),
            ("hardware.require.headquarters", hardware.require.headquarters or None, offer.headquarters),
            ("hardware.market", (str(hardware.market).upper(),) if hardware.market else None, _place(node)),
        )
        for path, allowed, found in asked:
            if allowed is not None and found not in allowed:
                yield Mismatch("residency", node.path, f"{path}: {', '.join(allowed)}", found or "not stated", path)
        for name in hardware.require.certificates:
            if not _held(name, offer.certificates):
                path = "hardware.require.certificates"
                yield Mismatch("residency", node.path, f"{path}: {name}", offer.certificates or "not stated", path)


def _place(node: NodeCase) -> str:
    return node.option.offer.country or node.option.offer.headquarters


def _held(name: str, held: Iterable[str]) -> bool:
    """Whether a paper is among those held: the same thing certified, and whatever type or level is asked for."""
    asked = certificate_of(name)
    if asked is None:
        return _letters(name) in map(_letters, held)
    found = [one for one in map(certificate_of, held) if one is not None and one.name == asked.name]
    return any(not asked.detail or one.detail == asked.detail for one in found)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def valid_quotes(case: CheckedCase) -> Iterator[Mismatch]:
    """No quote of the user's own that has expired on ``payment.as_of``, or today where that is not stated."""
    stated = case.problem.payment.as_of
    day = date.fromisoformat(stated) if stated else today()
    for node in case.nodes:
        quote = _quote(case, node)
        if quote is not None and quote.valid_until is not None and date.fromisoformat(quote.valid_until) < day:
            expected = f"valid on {day}"
            yield Mismatch("valid quotes", node.path, expected, f"until {quote.valid_until}", "an expired quote")


def order_sizes(case: CheckedCase) -> Iterator[Mismatch]:
    """``offers.min_nodes`` and ``offers.price_breaks``: a quote is bought in a number it is sold in, at its price."""
    bought: Counter[str] = Counter()
    for node in case.nodes:
        bought[node.line.offer_id] += node.line.count
    for node in case.nodes:
        quote = _quote(case, node)
        if quote is None:
            continue
        count = bought[node.line.offer_id]
        if count < quote.min_nodes:
            message = f"{quote.id} is sold from {quote.min_nodes} nodes on"
            yield Mismatch("order sizes", f"{node.path}.count", f"at least {quote.min_nodes}", count, message)
        if quote.price_per_hour is None or node.option.price is None:
            continue
        reached = [one.price_per_hour for one in quote.price_breaks if one.from_nodes <= count]
        hourly = min([quote.price_per_hour, *reached])
        if abs(node.option.price.amount - hourly) > 1e-9 * hourly:
            message = f"price per hour of {count} nodes of {quote.id}"
            yield Mismatch("order sizes", node.path, hourly, node.option.price.amount, message)


def owed(case: CheckedCase) -> Iterator[Mismatch]:
    """What is owed: commitments of so many months and purchases on signing, the early-exit share after each month."""
    printed, nodes = case.plan.owed, case.nodes
    terms = {node.path: _terms(case, node) for node in nodes}
    expected = sum(node.option.monthly_cents * node.line.count * terms[node.path][0] for node in nodes)
    at_once = 0.0
    for node in nodes:
        term, upfront, _ = terms[node.path]
        at_once += node.option.monthly_cents * node.line.count * term * upfront
        if node.line.tier is Tier.PURCHASE:
            price = purchase_cents(node.option, case.problem, case.catalog) * node.line.count
            expected, at_once = expected + price, at_once + price
    if abs(printed.upfront_cents - at_once) > 0.5 * len(nodes):
        yield Mismatch("owed", "owed.upfront", at_once, printed.upfront_cents, "paid at once (cents)")
    if printed.now_cents != expected:
        yield Mismatch("owed", "owed.now", expected, printed.now_cents, "commitments and purchases (cents)")
    months = max(term for term, _, _ in terms.values())
    if len(printed.by_month_cents) != months:
        yield Mismatch("owed", "owed.by_month", months, len(printed.by_month_cents), "months of the longest commitment")
        return
    for month, found in enumerate(printed.by_month_cents, start=1):
        exact = 0.0
        for node in nodes:
            term, upfront, leaving = terms[node.path]
            cents = node.option.monthly_cents * node.line.count
            exact += max(0, term - month) * cents * (1 - upfront) * leaving
        if abs(found - exact) > len(nodes):
            yield Mismatch("owed", f"owed.by_month[{month - 1}]", exact, found, f"cents owed after {month} months")


def _terms(case: CheckedCase, node: NodeCase) -> tuple[int, float, float]:
    """Months, share paid at once, share of the rest that is owed when leaving; 0 months where nothing binds."""
    by_tier = {Tier.RESERVED_1Y: 12, Tier.RESERVED_3Y: 36}.get(node.line.tier, 0)
    quote = _quote(case, node)
    if quote is None or node.line.tier is Tier.PURCHASE:
        return (0 if node.line.tier is Tier.PURCHASE else by_tier), 0.0, 1.0
    months = by_tier if quote.commitment_months is None else quote.commitment_months
    return months, quote.upfront_percent / 100, quote.early_exit_percent / 100


def provider_share(case: CheckedCase) -> Iterator[Mismatch]:
    """``hardware.limits.max_share_per_provider``: of the money for nodes while they run, own hardware included."""
    limit = case.problem.hardware.limits.max_share_per_provider
    if limit is None:
        return
    paid: dict[str, int] = defaultdict(int)
    total = 0
    for number, node in enumerate(case.nodes):
        cents = node.option.monthly_cents * node.line.count
        if node.option.periods and case.plan.periods:
            counts = [period.nodes[number] for period in case.plan.periods]
            cents = sum(price.cents * count for price, count in zip(node.option.periods, counts, strict=True))
        total += cents
        if node.line.tier is not Tier.OWNED:
            paid[node.line.provider] += cents
    for provider, cents in sorted(paid.items()):
        if cents * _PARTS > floor_guarded(limit * _PARTS) * total:
            path = "hardware.limits.max_share_per_provider"
            found = f"{cents / CENTS_PER_UNIT:,.2f} of {total / CENTS_PER_UNIT:,.2f} to {provider}"
            yield Mismatch("provider share", path, f"at most {limit:g} of the money", found, "a limit is exceeded")


def _quote(case: CheckedCase, node: NodeCase) -> Quote | None:
    return next((quote for quote in case.problem.offers if quote.id == node.line.offer_id), None)
