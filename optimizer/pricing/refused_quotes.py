"""Quotes of the user's own that a rule of the user forbids: said by name, never dropped in silence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from optimizer.pricing.rules import OptionRules, RuleName
from optimizer.pricing.types import NodeOption, Origin

if TYPE_CHECKING:
    from optimizer.catalog.types import Offer

_ELSEWHERE = frozenset({RuleName.TIERS, RuleName.PRICE, RuleName.NVLINK})
"""Said with the problem file (`warnings_of`), or of no quote but of the card's link."""


def refused_quotes(options: Iterable[NodeOption], rules: OptionRules) -> Iterator[str]:
    """A sentence for each quote and rule that forbids it: what the rule asks, and what the quote states."""
    for option in options:
        if option.origin is not Origin.QUOTE:
            continue
        for rule in rules.forbidden_by(option):
            if rule not in _ELSEWHERE:
                yield f"offers.{option.offer.id}: not used: {_why(rule, option, rules)}"


def _why(rule: RuleName, option: NodeOption, rules: OptionRules) -> str:
    offer = option.offer
    placed = "headquarters" if offer.headquarters and not offer.country else "country"
    classes = [str(kind) for kind in rules.classes]
    asked: dict[RuleName, tuple[Collection[str], str, str]] = {  # what is asked for, the key of the fact, what it is
        RuleName.REGIONS: (rules.regions or (), "region", offer.region),
        RuleName.COUNTRIES: (rules.countries, "country", offer.country),
        RuleName.HEADQUARTERS: (rules.headquarters, "headquarters", offer.headquarters),
        RuleName.CERTIFICATES: (rules.certificates, "certificates", " and ".join(offer.certificates)),
        RuleName.PROVIDER_CLASSES: (classes, "provider_class", str(offer.provider_class or "")),
        RuleName.MARKET: ((rules.market or "",), placed, offer.country or offer.headquarters),
    }
    if rule in asked:
        wanted, key, stated = asked[rule]
        several = rule is RuleName.CERTIFICATES
        names = (" and " if several else " or ").join(wanted)
        stated_words = f"its {key} are {stated}" if several else f"its {key} is {stated}"
        told = stated_words if stated else f"it states no {key} (write `{key}:` in the quote)"
        return f"{rule.path} asks for {names}, and {told}"
    return {
        RuleName.PROVIDERS: f"{rule.path} leaves out {offer.provider}",
        RuleName.COMMITMENT: f"it binds for {option.commitment_months} months, beyond {rule.path}",
        RuleName.GPUS: f"{rule.path} leaves out {offer.gpu}",
        RuleName.LICENCE: f"{rule.path} leaves out {offer.gpu}, whose driver licence excludes data centres",
    }.get(rule, f"{rule.path} ({rule})")


def facts_asked_for(rules: OptionRules, offer: Offer | None = None) -> dict[str, object]:
    """What a quote has to state to pass the rules of the buyer, beside what is known of the offer that it replaces."""
    found: dict[str, object] = {}
    if rules.regions and (offer is None or not offer.region):
        found["region"] = next(iter(rules.regions))
    if rules.countries and (offer is None or not offer.country):
        found["country"] = next(iter(rules.countries))
    if rules.market and (offer is None or not (offer.country or offer.headquarters)):
        found.setdefault("country", rules.market)
    if rules.headquarters and (offer is None or not offer.headquarters):
        found["headquarters"] = next(iter(rules.headquarters))
    if rules.certificates and (offer is None or not offer.certificates):
        found["certificates"] = list(rules.certificates)
    if rules.classes_stated and (offer is None or offer.provider_class is None):
        found["provider_class"] = str(next(iter(rules.classes)))
    return found
