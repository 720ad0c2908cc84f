"""What a buyer should hear about the prices and nodes of a plan: how old, how obtainable, from whom, on what host."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from optimizer.catalog.price_doubts import share_far_below
from optimizer.pricing import Origin, option_rules
from optimizer.pricing.terms import MAX_AGE_DAYS, WARN_AGE_DAYS, age_days
from optimizer.vocabulary import ProviderClass, Tier

if TYPE_CHECKING:
    from optimizer.fleet.types import FleetSolution
    from optimizer.planning.inputs import Inputs
    from optimizer.pricing import NodeOption
    from optimizer.pricing.rules import OptionRules


def price_notes(inputs: Inputs, solution: FleetSolution, options: Sequence[NodeOption]) -> Iterator[str]:
    """Sentences about the nodes of a plan, each said once."""
    bought = [nodes.option for nodes in solution.nodes]
    rules = option_rules(inputs.problem, inputs.catalog)
    notes = (
        *map(_arm_host, bought),
        *map(_stock, bought),
        *(_age(option, rules) for option in bought),
        *(_hyperscaler(option, options, rules) for option in bought),
        *(_far_below(option, options, rules) for option in bought),
    )
    yield from dict.fromkeys(note for note in notes if note)


def _arm_host(option: NodeOption) -> str:
    gpu = option.node_type.gpu
    if gpu.host_arch != "arm64":
        return ""
    return f"{gpu.id} comes with an Arm host (aarch64): images and Python wheels must be built for it"


def _stock(option: NodeOption) -> str:
    note = option.price.stock_note if option.price else ""
    return f"{option.offer.provider} {option.offer.instance_type}: {note}" if note else ""


def _age(option: NodeOption, rules: OptionRules) -> str:
    """Past 75 days: prices of 2026 rose within months."""
    if option.origin is not Origin.CATALOG or option.price is None or option.price.date is None:
        return ""
    if age_days(option.price.date, rules.as_of) <= WARN_AGE_DAYS:
        return ""
    return (
        f"a price is more than {WARN_AGE_DAYS} days old on {rules.as_of}, and prices rose in 2026: ask anew before you"
        f" sign (past {MAX_AGE_DAYS} days it is not ranked)"
    )


def _hyperscaler(option: NodeOption, options: Sequence[NodeOption], rules: OptionRules) -> str:
    """A card that nobody but hyperscalers lists, or nobody below them."""
    if option.offer.provider_class is not ProviderClass.HYPERSCALER or option.origin is not Origin.CATALOG:
        return ""
    gpu, mine = option.node_type.gpu.id, _per_gpu(option)
    for other in options:
        alike = other.node_type.gpu.id == gpu and other.tier in (option.tier, Tier.ON_DEMAND)
        elsewhere = other.offer.provider_class in (ProviderClass.NEOCLOUD, ProviderClass.RESELLER)
        if alike and elsewhere and rules.why_not_rankable(other) is None and _per_gpu(other) < mine:
            return ""
    return (
        f"no price of {gpu} below a hyperscaler's list may be ranked: other providers, or a quote of your own, may be"
        " well below"
    )


def _far_below(option: NodeOption, options: Sequence[NodeOption], rules: OptionRules) -> str:
    """An on-demand price under half the card's median over providers: an auction floor, or part of a price."""
    if option.origin is not Origin.CATALOG or option.tier is not Tier.ON_DEMAND:
        return ""
    by_provider: dict[str, float] = {}
    for other in options:
        alike = other.node_type.gpu.id == option.node_type.gpu.id and other.tier is Tier.ON_DEMAND
        if alike and other.origin is Origin.CATALOG and rules.why_not_rankable(other) is None:
            provider = other.offer.provider
            by_provider[provider] = min(by_provider.get(provider, math.inf), _per_gpu(other))
    share = share_far_below(_per_gpu(option), by_provider.values())
    if share is None:
        return ""
    return (
        f"{option.offer.provider} {option.offer.instance_type}: {share:.2f} of the median on-demand price of"
        f" {len(by_provider)} providers for {option.node_type.gpu.id}; is it an auction floor, a part of the price, or"
        " tied to a commitment? Ask before you sign"
    )


def _per_gpu(option: NodeOption) -> float:
    return option.monthly_cents / option.offer.gpus_per_node
