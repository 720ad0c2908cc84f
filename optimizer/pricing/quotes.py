"""The user's own quotes and hardware as offers of a catalog, so that one code path prices everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from optimizer.catalog.links import link_of
from optimizer.catalog.types import Offer, Price
from optimizer.vocabulary import ProviderClass, Tier

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.problem import Problem
    from optimizer.problem.schema import OwnedHardware, Quote

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
    price = Price(Tier(quote.tier), float(amount or 0), quote.currency, None, source, True, "")
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
                prices=(),
                stock=entry.nodes,
            ),
            entry,
        )
