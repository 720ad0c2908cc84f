"""Every way to get one node: each offer in each tier it has a price for, the user's quotes and the user's hardware.

What the user's rules forbid is listed all the same: the fleet model forbids it, by rows (see ``rules``).

The user's own quotes and hardware as offers of a catalog, so that one code path prices everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.catalog.types import Offer, Price, link_of
from optimizer.errors import CatalogError
from optimizer.performance.host_tier import host_gib_of_a_card
from optimizer.plan.costs import CostLine
from optimizer.pricing.terms import COMMITMENT_MONTHS, PAID_BY_USE, Terms, purchase_lines, running_lines, terms_of
from optimizer.pricing.types import NodeOption, NodeType, Origin, PeriodPrice
from optimizer.units import to_cents
from optimizer.vocabulary import Evidence, Link, ProviderClass, Tier

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog, Gpu, Offer, Price
    from optimizer.problem import Problem
    from optimizer.problem.schema import OwnedHardware, Quote


MIN_FABRIC_GBPS = 100.0
"""A slower or unstated fabric between nodes carries no pipeline stages, so it counts as none."""


def node_options(problem: Problem, catalog: Catalog, only: Collection[str] | None = None) -> tuple[NodeOption, ...]:
    """All options of a problem, sorted by content key: the same for any order of the catalog's rows.

    ``only`` prices just the offers of these ids (of the catalog, of the user, or owned), for a caller that has a plan.
    """
    builder = _OptionBuilder(catalog, terms_of(problem, catalog))
    quotes = {offer.id: offer for offer in quoted_offers(problem, catalog)}
    options: list[NodeOption] = []
    for offer in catalog.offers.values():
        if offer.id not in quotes and (only is None or offer.id in only):
            options.extend(builder.of_offer(offer, Origin.CATALOG))
    for offer in quotes.values():
        options.extend(builder.of_offer(offer, Origin.QUOTE))
    options.extend(builder.owned(offer, entry) for offer, entry in owned_offers(problem, catalog))
    wanted = options if only is None else [option for option in options if option.offer.id in only]
    return tuple(sorted(wanted, key=lambda option: option.key))


@dataclass(frozen=True, slots=True)
class _Rent:
    """What an hour of a node costs, in the problem's currency, and the shares that come off and on."""

    amount: float
    discount: float
    tax: float
    uplift: float


class _OptionBuilder:
    """Builds options under one set of terms; shares the node types among them."""

    def __init__(self, catalog: Catalog, terms: Terms) -> None:
        self._catalog = catalog
        self._terms = terms
        self._node_types: dict[tuple[str, int, Link, float, float], NodeType] = {}

    def of_offer(self, offer: Offer, origin: Origin) -> Iterator[NodeOption]:
        """One option per tier, at the price that counts."""
        gpu = self._catalog.gpus[offer.gpu]
        node_type = self._node_type(offer, gpu)
        power_kw = node_power_kw(gpu, offer.gpus_per_node)
        for price, fewest, most in prices_by_number(offer):
            lines = self._lines(offer, price, power_kw, origin)
            yield NodeOption(
                node_type=node_type,
                offer=offer,
                price=price,
                tier=price.tier,
                commitment_months=_binds_for(offer, price),
                lines=lines,
                monthly_cents=sum([line.monthly_cents for line in lines]),
                power_kw=power_kw,
                max_nodes=offer.stock,
                origin=origin,
                periods=self._periods(offer, price, origin),
                from_nodes=fewest,
                up_to_nodes=most,
            )

    def _periods(self, offer: Offer, price: Price, origin: Origin) -> tuple[PeriodPrice, ...]:
        """Under a day profile: what a node paid by use costs in each period, and each time it starts."""
        terms = self._terms
        if not terms.periods or price.tier not in PAID_BY_USE or _binds_for(offer, price):
            return ()
        rent = self._rent(offer, price, origin)
        return tuple(_period_price(rent, period.hours, terms.startup_hours * period.starts) for period in terms.periods)

    def owned(self, offer: Offer, entry: OwnedHardware) -> NodeOption:
        """Own hardware: the stated cost per node, all in; without one, energy and space only."""
        gpu = self._catalog.gpus[offer.gpu]
        power_kw = node_power_kw(gpu, offer.gpus_per_node)
        if entry.monthly_cost is None:
            lines = running_lines(power_kw, self._terms.ownership)
        else:
            cents = to_cents(entry.monthly_cost)
            lines = (CostLine("owned hardware, as stated", 1, "node-month", entry.monthly_cost, cents),)
        return NodeOption(
            node_type=self._node_type(offer, gpu),
            offer=offer,
            price=None,
            tier=Tier.OWNED,
            commitment_months=0,
            lines=lines,
            monthly_cents=sum(line.monthly_cents for line in lines),
            power_kw=power_kw,
            max_nodes=entry.nodes,
            origin=Origin.OWNED,
        )

    def _lines(self, offer: Offer, price: Price, power_kw: float, origin: Origin) -> tuple[CostLine, ...]:
        if not price.amount > 0:
            raise CatalogError(f"{offer.id}: the {price.tier} price is {price.amount}; a price must be above 0")
        rent, terms = self._rent(offer, price, origin), self._terms
        if price.tier is Tier.PURCHASE:
            return purchase_lines(rent.amount * (1 - rent.discount), rent.tax, power_kw, terms.ownership)
        hours = terms.hours(price.tier, _binds_for(offer, price))
        return rent_lines(rent.amount, hours, rent.discount, rent.tax, rent.uplift)

    def _rent(self, offer: Offer, price: Price, origin: Origin) -> _Rent:
        terms = self._terms
        return _Rent(
            amount=price.amount * terms.exchange.rate(price.currency),
            discount=0.0 if origin is Origin.QUOTE else terms.discount(offer.provider, price.tier, offer.gpu),
            tax=terms.tax_on(offer),
            uplift=terms.uplift(price.tier),
        )

    def _node_type(self, offer: Offer, gpu: Gpu) -> NodeType:
        stated = offer.network_gbps or 0.0
        fabric = stated if stated >= MIN_FABRIC_GBPS else 0.0
        host = host_gib_of_a_card(offer.host_memory_gib or 0.0, offer.gpus_per_node) if self._terms.host_tier else 0.0
        key = (gpu.id, offer.gpus_per_node, offer.link, fabric, host)
        found = self._node_types.get(key)
        if found is None:
            found = self._node_types[key] = NodeType(gpu, offer.gpus_per_node, offer.link, fabric, host)
        return found


def rent_lines(
    price_per_hour: float, hours: float, discount: float, tax: float, uplift: float = 0.0
) -> tuple[CostLine, ...]:
    """Lines of one rented node: rent at list price, discount off it, interruptions and tax on what is left.

    Each is rounded once.
    """
    rent = price_per_hour * hours
    lines = [CostLine("rent", hours, "hour", price_per_hour, to_cents(rent))]
    net, of_net = rent * (1 - discount), "of rent after discount"
    if discount:
        lines.append(CostLine("discount", -discount, "of rent", rent, to_cents(-discount * rent)))
    if uplift:
        lines.append(CostLine("interruptions", uplift, of_net, net, to_cents(uplift * net)))
        net, of_net = net * (1 + uplift), f"{of_net} and interruptions"
    if tax:
        lines.append(CostLine("tax", tax, of_net, net, to_cents(tax * net)))
    return tuple(lines)


def _period_price(rent: _Rent, hours: float, start_hours: float) -> PeriodPrice:
    lines, starts = (
        rent_lines(rent.amount, billed, rent.discount, rent.tax, rent.uplift) if billed else ()
        for billed in (hours, start_hours)
    )
    return PeriodPrice(
        lines=lines,
        start_lines=starts,
        cents=sum(line.monthly_cents for line in lines),
        start_cents=sum(line.monthly_cents for line in starts),
    )


def _binds_for(offer: Offer, price: Price) -> int:
    """Months that an offer binds for: as it says, else as its tier does."""
    stated = offer.commitment_months
    return COMMITMENT_MONTHS.get(price.tier, 0) if stated is None else stated


def prices_that_count(offer: Offer) -> tuple[Price, ...]:
    """One price per tier: a rankable one before a reference, then the newest."""
    if len(offer.prices) == 1:
        return offer.prices
    best: dict[Tier, Price] = {}
    for price in offer.prices:
        other = best.get(price.tier)
        if other is None or (price.rankable, price.date or "") > (other.rankable, other.date or ""):
            best[price.tier] = price
    return tuple(best.values())


def prices_by_number(offer: Offer) -> Iterator[tuple[Price, int, int | None]]:
    """Each price with the fewest and the most nodes it holds for (None: no end): one per tier, and per price break.

    A break holds for all nodes, from its number up to the one before the next. What needs fewer nodes than the offer is
    sold in never holds.
    """
    for price in prices_that_count(offer):
        if not offer.price_breaks:
            yield price, offer.min_nodes, None
            continue
        starts = [(1, price.amount), *offer.price_breaks]
        ends = [start - 1 for start, _ in starts[1:]]
        for (start, amount), end in zip(starts, [*ends, None], strict=True):
            if end is None or end >= offer.min_nodes:
                yield replace(price, amount=amount), max(start, offer.min_nodes), end


def node_power_kw(gpu: Gpu, gpus_per_node: int) -> float:
    """GPUs at TDP plus the node's non-GPU power, without PUE."""
    return gpus_per_node * (gpu.tdp_w + gpu.node_overhead_w) / 1000


OWN_PROVIDER = "own"
"""Provider of the user's own hardware."""


def quoted_offers(problem: Problem, catalog: Catalog) -> Iterator[Offer]:
    """The user's quotes as offers. One with the id of a catalog offer replaces it, whole: all its tiers.

    What a quote does not state (instance type, region, country, fabric) is kept from the offer it replaces; who its
    provider is, from the catalog. What neither says stays blank, and fails a rule that asks for it.
    """
    return (_quoted_offer(quote, catalog) for quote in problem.offers)


def _quoted_offer(quote: Quote, catalog: Catalog) -> Offer:
    gpu = catalog.gpus[quote.gpu]
    replaced = catalog.offers.get(quote.id)
    provider = catalog.providers.get(quote.provider)
    link = link_of(gpu, quote.gpus_per_node, quote.nvlink)
    if replaced and quote.nvlink is None and replaced.gpu == quote.gpu:
        link = replaced.link
    region = quote.region or (replaced.region if replaced else "")
    amount = quote.purchase_price if quote.tier == Tier.PURCHASE else quote.price_per_hour
    source = f"your quote {quote.quote_ref}" if quote.quote_ref else "your quote"
    price = Price(Tier(quote.tier), float(amount or 0), quote.currency, None, source, True, "", Evidence.QUOTE)
    return Offer(
        id=quote.id,
        provider=quote.provider,
        provider_class=quote.provider_class or (provider.provider_class if provider else None),
        country=quote.country or _country(quote, replaced, catalog, region),
        instance_type=replaced.instance_type if replaced else f"{quote.gpus_per_node}x {quote.gpu}",
        gpu=quote.gpu,
        gpus_per_node=quote.gpus_per_node,
        link=link,
        region=region,
        prices=(price,),
        network_gbps=quote.network_gbps or (replaced.network_gbps if replaced else None),
        tax_percent=quote.tax_percent,
        stock=quote.stock,
        lead_time_weeks=quote.lead_time_weeks,
        quote_ref=quote.quote_ref or "",
        valid_until=str(quote.valid_until) if quote.valid_until else None,
        notes=replaced.notes if replaced else "",
        headquarters=quote.headquarters or (provider.headquarters if provider else ""),
        certificates=quote.certificates or (provider.certificates if provider else ()),
        commitment_months=quote.commitment_months,
        min_nodes=quote.min_nodes,
        price_breaks=tuple(sorted((one.from_nodes, one.price_per_hour) for one in quote.price_breaks)),
        upfront_percent=quote.upfront_percent,
        early_exit_percent=quote.early_exit_percent,
        host_memory_gib=quote.host_memory_gib,
    )


def _country(quote: Quote, replaced: Offer | None, catalog: Catalog, region: str) -> str:
    """Where the nodes stand: what the region says, else what the offer says that the quote replaces."""
    known = catalog.regions.get((quote.provider, region))
    if known is not None:
        return known.country
    return replaced.country if replaced and quote.region in (None, replaced.region) else ""


def owned_offers(problem: Problem, catalog: Catalog) -> Iterator[tuple[Offer, OwnedHardware]]:
    """The user's own hardware as offers without a price; each entry of ``hardware.owned`` is one."""
    seen: dict[str, int] = {}
    for entry in problem.hardware.owned:
        gpu = catalog.gpus[entry.gpu]
        stem = f"owned-{entry.gpus_per_node}x-{entry.gpu}"
        seen[stem] = seen.get(stem, 0) + 1
        yield (
            Offer(
                id=stem if seen[stem] == 1 else f"{stem}-{seen[stem]}",
                provider=OWN_PROVIDER,
                provider_class=ProviderClass.OWN,
                country="",
                instance_type=f"{entry.gpus_per_node}x {entry.gpu}",
                gpu=entry.gpu,
                gpus_per_node=entry.gpus_per_node,
                link=link_of(gpu, entry.gpus_per_node, entry.nvlink),
                region="",
                host_memory_gib=entry.host_memory_gib,
                prices=(),
                stock=entry.nodes,
            ),
            entry,
        )
