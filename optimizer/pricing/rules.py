"""Which of the user's rules forbid an option. The fleet model turns each into a row; nothing is dropped in Python.

Own hardware answers to the rules about hardware only. A rule binds every offer, the user's own quotes included: what
does not state a fact that a rule asks for fails it. Two things alone concern no quote, as the user states neither: that
marketplaces are off by default, and the age of prices; its own ``valid_until`` does.
``hardware.market`` leaves what stands there or is sold by a provider from there, less the cards flagged as restricted
there unless the user names them; see ``market`` for the flag.

What ``hardware.market`` adds to a card: a flag with its date and source, never a permission and never a ban.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from optimizer.certificates import certified
from optimizer.pricing.terms import MAX_AGE_DAYS, age_days, as_of_day, parse_day, ranks_until
from optimizer.pricing.types import NodeOption, NodeType, Origin
from optimizer.progress import today
from optimizer.vocabulary import NVLINK_CLASS, RANKABLE_EVIDENCE, Evidence, ProviderClass, Tier

if TYPE_CHECKING:
    from datetime import date

    from optimizer.catalog.types import Catalog, Price
    from optimizer.problem import Problem


class RuleName(StrEnum):
    """A rule that may forbid an option; the value names it in the funnel."""

    PROVIDERS = "providers"
    PROVIDER_CLASSES = "provider classes"
    REGIONS = "regions"
    COUNTRIES = "countries required"
    HEADQUARTERS = "headquarters required"
    CERTIFICATES = "certificates required"
    MARKET = "market"
    TIERS = "payment tiers"
    COMMITMENT = "commitment"
    ONLY_OWNED = "only owned"
    GPUS = "GPUs allowed"
    CONFIDENCE = "card facts of low confidence"
    LICENCE = "data-centre licence"
    NVLINK = "NVLink forbidden"
    PRICE = "price may be ranked"
    EVIDENCE = "price evidence"

    @property
    def path(self) -> str:
        """The YAML path of the rule in a problem file."""
        return _PATHS[self]


_PATHS = {
    RuleName.PROVIDERS: "hardware.providers",
    RuleName.PROVIDER_CLASSES: "hardware.providers.classes",
    RuleName.REGIONS: "hardware.regions",
    RuleName.COUNTRIES: "hardware.require.countries",
    RuleName.HEADQUARTERS: "hardware.require.headquarters",
    RuleName.CERTIFICATES: "hardware.require.certificates",
    RuleName.MARKET: "hardware.market",
    RuleName.TIERS: "payment.tiers",
    RuleName.COMMITMENT: "payment.max_commitment_months",
    RuleName.ONLY_OWNED: "hardware.only_owned",
    RuleName.GPUS: "hardware.gpus",
    RuleName.CONFIDENCE: "hardware.gpus",
    RuleName.LICENCE: "hardware.datacenter_licensed_only",
    RuleName.NVLINK: "hardware.nvlink",
    RuleName.PRICE: "payment.as_of",
    RuleName.EVIDENCE: "payment.price_evidence",
}


BUYERS = frozenset(
    {
        RuleName.PROVIDERS,
        RuleName.PROVIDER_CLASSES,
        RuleName.REGIONS,
        RuleName.COUNTRIES,
        RuleName.HEADQUARTERS,
        RuleName.CERTIFICATES,
        RuleName.MARKET,
        RuleName.LICENCE,
        RuleName.PRICE,
    }
)
"""Rules that no repair gives up: from whom and from where a buyer may buy at all, and which prices hold."""


@dataclass(frozen=True, slots=True)
class OptionRules:
    """The user's rules about offers and cards, ready to be asked about one option after the other."""

    providers: Collection[str] | None  # None: all
    excluded_providers: Collection[str]
    classes: Collection[ProviderClass]
    regions: Collection[str] | None
    tiers: Collection[Tier]
    max_commitment_months: int | None
    only_owned: bool
    gpus: Collection[str] | None
    excluded_gpus: Collection[str]
    licensed_only: bool
    nvlink_forbidden: bool
    as_of: date
    evidence: Collection[Evidence] = RANKABLE_EVIDENCE
    quotes_as_of: date | None = None  # what the user's own quotes are held against; None: ``as_of``
    classes_stated: bool = False  # False: the default, which leaves quotes alone
    countries: Collection[str] = ()  # empty: any
    headquarters: Collection[str] = ()  # empty: any
    certificates: Collection[str] = ()  # all of them
    market: str | None = None  # ISO 3166 code of its country
    restricted: Collection[str] = ()  # cards flagged as restricted in the market and not named by the user
    _known: dict[int, tuple[NodeOption, tuple[RuleName, ...]]] = field(default_factory=dict, compare=False, repr=False)
    """What was found out about options, by identity: each is asked about dozens of times."""

    def forbidden_by(self, option: NodeOption) -> tuple[RuleName, ...]:
        """Every rule that forbids the option, in the order of ``RuleName``; empty: it may be used."""
        known = self._known.get(id(option))
        if known is None or known[0] is not option:
            bound = option.origin not in (Origin.OWNED, Origin.WANTED)
            forbidden = self._about_offers(option) if bound else ()
            known = self._known[id(option)] = (option, (*forbidden, *self._about_cards(option)))
        return known[1]

    def why_not_rankable(self, option: NodeOption) -> str | None:
        """Why the price is shown on request only, never ranked; None: it may be ranked.

        Undated prices, prices older than 180 days against ``as_of`` and what the catalog marks as reference. Own
        hardware has no price; a quote holds until its ``valid_until``, that day included.
        """
        if option.price is None:
            return None
        if option.origin is Origin.QUOTE:
            return self._why_expired(option.offer.valid_until)
        return self._why_reference(option.price)

    def _why_expired(self, until: str | None) -> str | None:
        day = self.quotes_as_of or self.as_of
        if until is None or parse_day(until) >= day:
            return None
        return f"the quote was valid until {until}, before {day}"

    def _why_reference(self, price: Price) -> str | None:
        if not price.rankable:
            return price.reason or "reference price"
        if price.date is None:
            return "the price is undated"
        age = age_days(price.date, self.as_of)
        if age <= MAX_AGE_DAYS:
            return None
        return f"the price of {price.date} is {age} days old on {self.as_of}, more than {MAX_AGE_DAYS}"

    def _about_offers(self, option: NodeOption) -> Iterator[RuleName]:
        offer = option.offer
        if offer.provider in self.excluded_providers or not _allowed(offer.provider, self.providers):
            yield RuleName.PROVIDERS
        quoted = option.origin is Origin.QUOTE
        bound = self.providers is None and (self.classes_stated or not quoted)
        if bound and offer.provider_class not in self.classes:
            yield RuleName.PROVIDER_CLASSES
        if not _allowed(offer.region, self.regions):
            yield RuleName.REGIONS
        if self.countries and offer.country not in self.countries:
            yield RuleName.COUNTRIES
        if self.headquarters and offer.headquarters not in self.headquarters:
            yield RuleName.HEADQUARTERS
        if not certified(self.certificates, offer.certificates):
            yield RuleName.CERTIFICATES
        if self.market is not None and not self._in_market(option, self.market):
            yield RuleName.MARKET
        if option.tier not in self.tiers:
            yield RuleName.TIERS
        if self.max_commitment_months is not None and option.commitment_months > self.max_commitment_months:
            yield RuleName.COMMITMENT
        if self.only_owned:
            yield RuleName.ONLY_OWNED
        if self.why_not_rankable(option) is not None:
            yield RuleName.PRICE
        elif option.evidence is not None and option.evidence not in self.evidence:
            yield RuleName.EVIDENCE

    def _in_market(self, option: NodeOption, market: str) -> bool:
        """Whether nodes are there, or where that is not stated their provider; and the card may be had there."""
        offer = option.offer
        restricted = option.origin is Origin.CATALOG and offer.gpu in self.restricted
        return (offer.country or offer.headquarters) == market and not restricted

    def _about_cards(self, option: NodeOption) -> Iterator[RuleName]:
        gpu = option.node_type.gpu
        named = self.gpus is not None and gpu.id in self.gpus
        if gpu.id in self.excluded_gpus or not _allowed(gpu.id, self.gpus):
            yield RuleName.GPUS
        if gpu.confidence == "low" and option.origin is Origin.CATALOG and not named:
            yield RuleName.CONFIDENCE
        if self.licensed_only and not gpu.datacenter_licensed and not named:
            yield RuleName.LICENCE
        if self.nvlink_forbidden and has_nvlink(option.node_type):
            yield RuleName.NVLINK


def option_rules(problem: Problem, catalog: Catalog) -> OptionRules:
    """The rules of a problem."""
    from optimizer.problem.schema import Exclude, ProviderFilter

    hardware, payment = problem.hardware, problem.payment
    providers, gpus = hardware.providers, hardware.gpus
    by_class = providers if isinstance(providers, ProviderFilter) else ProviderFilter()
    as_of, market = as_of_day(problem, catalog), str(hardware.market) if hardware.market else None
    named = gpus if isinstance(gpus, tuple) else ()
    flagged = {flag.gpu for flag in catalog.markets if (flag.market, flag.obtainable) == (market, "restricted")}
    return OptionRules(
        providers=providers if isinstance(providers, tuple) else None,
        excluded_providers=by_class.exclude,
        classes=by_class.classes,
        classes_stated=isinstance(providers, ProviderFilter) and "classes" in providers.model_fields_set,
        regions=hardware.regions,
        countries=hardware.require.countries,
        headquarters=hardware.require.headquarters,
        certificates=hardware.require.certificates,
        market=market.upper() if market else None,
        restricted=frozenset(flagged - set(named)),
        tiers=payment.tiers,
        max_commitment_months=payment.max_commitment_months,
        only_owned=hardware.only_owned,
        gpus=gpus if isinstance(gpus, tuple) else None,
        excluded_gpus=gpus.exclude if isinstance(gpus, Exclude) else (),
        licensed_only=hardware.datacenter_licensed_only,
        nvlink_forbidden=hardware.nvlink == "forbidden",
        as_of=as_of,
        quotes_as_of=as_of if problem.payment.as_of else today(),
        evidence=payment.price_evidence,
    )


def last_day(option: NodeOption) -> str | None:
    """The last day on which a price may be ranked; None: it has no such day (own hardware, a quote without one)."""
    if option.origin is Origin.QUOTE:
        return option.offer.valid_until
    dated = option.price.date if option.price else None
    return None if dated is None else ranks_until(dated)


def has_nvlink(node_type: NodeType) -> bool:
    """Whether GPUs of the node are joined by a direct fabric; one GPU alone never is."""
    return node_type.gpus_per_node > 1 and node_type.link in NVLINK_CLASS


def _allowed(value: str, allowed: Collection[str] | None) -> bool:
    return allowed is None or value in allowed


def market_remark(catalog: Catalog, gpu: str, market: str | None) -> str | None:
    """Whether a card is shown as obtainable in a market, for a plan's notes; None where no market is asked for."""
    if market is None:
        return None
    flag = next((flag for flag in catalog.markets if (flag.gpu, flag.market) == (gpu, market)), None)
    if flag is None:
        return f"{gpu}: nothing known about obtaining it in market {market}"
    since = f" since {flag.since}" if flag.since else ""
    basis = f": {flag.basis}" if flag.basis else ""
    return f"{gpu}: obtainable in market {market}: {flag.obtainable}{since}{basis} (source: {flag.source})"
