"""``hardware:``, ``offers:`` and ``engine:`` - what may be used, what is owned or quoted, and what runs on it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from optimizer.problem.fields import (
    Count,
    CountOrZero,
    Currency,
    Day,
    Ids,
    Listed,
    Looser,
    NonNegative,
    Number,
    Percent,
    Positive,
    Reads,
    Section,
    Text,
    YesNo,
    as_tuple,
    one_of,
)
from optimizer.problem.words import (
    ENGINE_PARALLELISM,
    KV_CACHE_ALIASES,
    KV_CACHES,
    WEIGHT_QUANT_ALIASES,
    WEIGHT_QUANTS,
    Market,
    Nvlink,
)
from optimizer.vocabulary import ProviderClass, Router, Tier

PAYABLE_TIERS = tuple(tier for tier in Tier if tier is not Tier.OWNED)
"""Tiers a problem may ask for."""

RENTABLE_CLASSES = tuple(kind for kind in ProviderClass if kind is not ProviderClass.OWN)
"""Provider classes a problem may ask for."""

Shares = Annotated[float, Field(gt=0, lt=1)]
TierWord = Annotated[Tier, Field(strict=False), BeforeValidator(one_of(PAYABLE_TIERS))]

ClassWord = Annotated[ProviderClass, Field(strict=False), BeforeValidator(one_of(RENTABLE_CLASSES))]
QuantWord = Annotated[str, BeforeValidator(one_of(WEIGHT_QUANTS, WEIGHT_QUANT_ALIASES))]
KvWord = Annotated[str, BeforeValidator(one_of(KV_CACHES, KV_CACHE_ALIASES))]


def _is_mapping(value: Any) -> str:
    return "list" if isinstance(value, (int, float, str, bool, type(None), tuple, list)) else "mapping"


def parallel_size(value: Any) -> Any:
    """One of the sizes; text and fractions are left to the type check."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(one_of([str(size) for size in ENGINE_PARALLELISM])(str(value)))
    return value


ParallelSize = Annotated[int, BeforeValidator(parallel_size)]


_CARDS = Number(
    "cards in a node",
    "GPUs",
    "1",
    Looser.UNKNOWN,
    axis="it says what a node is, not what is asked of it",
    monotone=False,
)


class Exclude(Section):
    """All but these."""

    exclude: Ids
    """Catalog ids to leave out."""


class ProviderFilter(Section):
    """Providers by class."""

    classes: Listed[ClassWord] = (ProviderClass.HYPERSCALER, ProviderClass.NEOCLOUD, ProviderClass.RESELLER)
    """Provider classes to use; marketplaces only where named."""

    exclude: Annotated[tuple[Text, ...], BeforeValidator(as_tuple)] = ()
    """Providers to leave out."""


class OwnedHardware(Section):
    """Nodes that stand in the user's own racks."""

    gpu: Text
    """Catalog id of the card."""

    gpus_per_node: Annotated[int, Field(ge=1, le=128), _CARDS]
    """Cards in a node."""

    nodes: Annotated[Count, Number("own nodes", "nodes", "1", Looser.UP, axis=True, promise=True)] = 1
    """Number of such nodes."""

    nvlink: YesNo | None = None
    """Whether the cards of a node are linked directly; left out: what the card's form implies."""

    monthly_cost: Annotated[
        NonNegative | None,
        Number("cost of an own node", "a month", "1", Looser.UNKNOWN, axis=True, reads=Reads.MONEY, monotone=False),
    ] = None
    """Cost of one node per month in the problem's currency; left out: energy and space only."""


class Quota(Section):
    """The most GPUs that a provider grants."""

    provider: Text
    """Provider of the quota."""

    gpu: Text | None = None
    """Card it is for; left out: all cards of the provider together."""

    max_gpus: Annotated[CountOrZero, Number("quota on GPUs", "GPUs", "1", Looser.UP, axis=True, promise=True)]
    """GPUs granted."""


class Limits(Section):
    """Upper limits over the whole plan, spare nodes included."""

    max_gpus: Annotated[Count | None, Number("limit on GPUs", "GPUs", "1", Looser.UP, axis=True, promise=True)] = None
    """Most GPUs in all."""

    max_nodes: Annotated[Count | None, Number("limit on nodes", "nodes", "1", Looser.UP, axis=True, promise=True)] = (
        None
    )
    """Most nodes in all."""

    max_power_kw: Annotated[
        Positive | None, Number("limit on power", "kW", "0.1", Looser.UP, axis=True, promise=True)
    ] = None
    """Most power in kW: GPU TDP + non-GPU power of the nodes, without PUE."""

    max_gpu_kinds: Annotated[
        Count | None, Number("limit on kinds of GPU", "kinds of GPU", "1", Looser.UP, axis=True, promise=True)
    ] = None
    """Most kinds of GPU."""


class Hardware(Section):
    """What a plan may use."""

    gpus: (
        Annotated[Annotated[Ids, Tag("list")] | Annotated[Exclude, Tag("mapping")], Discriminator(_is_mapping)] | None
    ) = None
    """Catalog ids of the cards to use, or ``{exclude: [...]}``; null: all."""

    nvlink: Annotated[Nvlink, Field(strict=False), BeforeValidator(one_of(Nvlink))] = Nvlink.ANY
    """``required``: replicas on several GPUs sit inside an NVLink domain; ``forbidden``: no node with NVLink."""

    providers: (
        Annotated[Annotated[Ids, Tag("list")] | Annotated[ProviderFilter, Tag("mapping")], Discriminator(_is_mapping)]
        | None
    ) = None
    """Providers to use, or ``{classes: [...], exclude: [...]}``; null: all but marketplaces."""

    regions: Ids | None = None
    """Regions to use; an offer without region, or a global one, fails."""

    market: Annotated[Market, Field(strict=False), BeforeValidator(one_of(Market))] | None = None
    """``cn`` or ``us``: what is shown as obtainable there. A flag with source and date, never "allowed"."""

    datacenter_licensed_only: YesNo = True
    """Leave out GeForce cards, whose driver licence excludes data centres, unless named in ``gpus``."""

    owned: tuple[OwnedHardware, ...] = ()
    """Hardware that exists already."""

    only_owned: YesNo = False
    """Use nothing but ``owned``."""

    quota: tuple[Quota, ...] = ()
    """Limits per provider and card."""

    limits: Limits = Limits()
    """Limits over the whole plan."""


class Quote(Section):
    """A price the user was offered. The id of a catalog offer replaces that offer."""

    id: Text
    """Name of the offer, unique in the file."""

    provider: Text
    """Who offers it."""

    gpu: Text
    """Catalog id of the card."""

    gpus_per_node: Annotated[int, Field(ge=1, le=128), _CARDS]
    """Cards in a node."""

    nvlink: YesNo | None = None
    """Whether the cards of a node are linked directly; left out: what the card's form implies."""

    currency: Currency
    """Currency of the price; left out: ``payment.currency``."""

    price_per_hour: Annotated[
        Positive | None,
        Number(
            "price of {name}",
            "an hour for a node",
            "0.01",
            Looser.UNKNOWN,
            axis=True,
            reads=Reads.MONEY,
            monotone=False,
        ),
    ] = None
    """Price of one node per hour. State this or ``purchase_price``."""

    purchase_price: Annotated[
        Positive | None,
        Number(
            "purchase price of {name}", "for a node", "1", Looser.UNKNOWN, axis=True, reads=Reads.MONEY, monotone=False
        ),
    ] = None
    """Price of one node, once. State this or ``price_per_hour``."""

    tier: TierWord
    """How it is paid; left out: ``on_demand`` for an hourly price, ``purchase`` for a purchase price."""

    tax_percent: Annotated[
        Percent | None, Number("tax on {name}", "%", "0.1", Looser.UNKNOWN, axis=True, monotone=False)
    ] = None
    """Tax on top of the price; left out: ``payment.tax_percent``."""

    stock: Annotated[
        CountOrZero | None, Number("stock of {name}", "nodes", "1", Looser.UP, axis=True, promise=True)
    ] = None
    """Nodes available."""

    lead_time_weeks: Annotated[
        NonNegative | None,
        Number(
            "lead time of {name}", "weeks", "1", Looser.UNKNOWN, axis="it is shown and changes no plan", monotone=False
        ),
    ] = None
    """Weeks until delivery."""

    quote_ref: Text | None = None
    """Number of the quote, shown as the source of the price."""

    valid_until: Day | None = None
    """Last day of the quote."""

    @model_validator(mode="before")
    @classmethod
    def tier_follows_price(cls, data: Any) -> Any:
        """Without ``tier`` an hourly price is on demand and a purchase price is a purchase."""
        if isinstance(data, dict) and data.get("tier") is None:
            bought = data.get("purchase_price") is not None
            return {**data, "tier": str(Tier.PURCHASE if bought else Tier.ON_DEMAND)}
        return data


class EngineSection(Section):
    """The serving engine and the settings that may be chosen."""

    name: Text = "vllm"
    """Id in catalogs/engines.csv."""

    version: Text | None = None
    """Version, for the record and the performance profile; in quotes."""

    calibration: Text | None = None
    """File that ``optimize calibrate`` wrote from own measurements, relative to this file; null: the packaged fit."""

    weight_quant: Listed[QuantWord] | None = None
    """Weight precisions to consider; null: all that card, engine and quality allow. ``fp16`` means ``bf16``."""

    kv_cache: Listed[KvWord] = ("auto", "fp8")
    """KV-cache types to consider; ``auto`` is 16 bit."""

    tensor_parallel: Listed[ParallelSize] = (1, 2, 4, 8)
    """Tensor-parallel sizes to consider."""

    pipeline_parallel: Listed[ParallelSize] = (1, 2, 4)
    """Pipeline-parallel sizes to consider: inside a node, across nodes only where the fabric is stated."""

    gpu_memory_utilization: Annotated[
        Shares | None,
        Number(
            "GPU memory that the engine may use",
            "",
            "0.01",
            Looser.UNKNOWN,
            axis=True,
            monotone=False,
            reads=Reads.SHARE,
        ),
    ] = None
    """Share of the reported GPU memory the engine may use; null: the engine profile's default."""

    router: Annotated[Router, Field(strict=False), BeforeValidator(one_of(Router))] = Router.ROUND_ROBIN
    """How requests find a replica when plans are replayed; ``prefix_affinity`` keeps each prefix (session) on one."""

    max_num_seqs: Annotated[
        Annotated[int, Field(ge=1, le=100_000)] | None,
        Number("requests that a replica runs at once", "requests", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = None
    """Most requests a replica runs at once; null: the engine profile's default."""

    max_num_batched_tokens: Annotated[
        Annotated[int, Field(ge=1, le=10_000_000)] | None,
        Number("tokens in one step", "tokens", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = None
    """Most tokens in one step; null: the engine profile's default."""
