"""``hardware:``, ``offers:`` and ``engine:`` - what may be used, what is owned or quoted, and what runs on it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from optimizer.problem.fields import (
    Count,
    CountOrZero,
    Country,
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
    unique,
)
from optimizer.vocabulary import (
    ENGINE_PARALLELISM,
    KV_CACHE_ALIASES,
    KV_CACHES,
    KV_CACHES_REFUSED,
    RANKABLE_EVIDENCE,
    WEIGHT_QUANT_ALIASES,
    WEIGHT_QUANTS,
    Disaggregation,
    Evidence,
    ExpertParallel,
    KvTiers,
    Link,
    Market,
    Nvlink,
    ProviderClass,
    Router,
    Speculative,
    Tier,
)

PAYABLE_TIERS = tuple(tier for tier in Tier if tier is not Tier.OWNED)
"""Tiers a problem may ask for."""

RENTABLE_CLASSES = tuple(kind for kind in ProviderClass if kind is not ProviderClass.OWN)
"""Provider classes a problem may ask for."""

Shares = Annotated[float, Field(gt=0, lt=1)]
EvidenceWord = Annotated[Evidence, Field(strict=False), BeforeValidator(one_of(RANKABLE_EVIDENCE))]
TierWord = Annotated[Tier, Field(strict=False), BeforeValidator(one_of(PAYABLE_TIERS))]

ClassWord = Annotated[ProviderClass, Field(strict=False), BeforeValidator(one_of(RENTABLE_CLASSES))]
QuantWord = Annotated[str, BeforeValidator(one_of(WEIGHT_QUANTS, WEIGHT_QUANT_ALIASES))]
KvWord = Annotated[str, BeforeValidator(one_of(KV_CACHES, KV_CACHE_ALIASES, KV_CACHES_REFUSED))]


def _is_mapping(value: Any) -> str:
    return "list" if isinstance(value, (int, float, str, bool, type(None), tuple, list)) else "mapping"


def parallel_size(value: Any) -> Any:
    """One of the sizes; text and fractions are left to the type check."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(one_of([str(size) for size in ENGINE_PARALLELISM])(str(value)))
    return value


ParallelSize = Annotated[int, BeforeValidator(parallel_size)]


_NODE = "it says what a node is, not what is asked of it"

_CARDS = Number(
    "cards in a node",
    "GPUs",
    "1",
    Looser.UNKNOWN,
    axis=_NODE,
    monotone=False,
)


_COLUMN = "it says what a card is, not what is asked of it"
_OWED = "it changes what is owed and no plan"


def _of_card(label: str, unit: str, step: str = "1") -> Number:
    """A column of gpus.csv that a card of the user's own states."""
    return Number(label, unit, step, Looser.UNKNOWN, axis=_COLUMN, monotone=False)


def _of_quote(label: str, unit: str, step: str = "1", axis: bool | str = True) -> Number:
    """A term of a quote that neither way is known to make cheaper."""
    return Number(label, unit, step, Looser.UNKNOWN, axis=axis, monotone=False)


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

    host_memory_gib: Annotated[
        Positive | None,
        Number("memory of the host of an own node", "GiB", "1", Looser.UP, axis=True, monotone=False),
    ] = None
    """Memory of the host in GiB, in which ``engine.kv_tiers`` may keep KV cache; left out: it keeps none."""


class Quota(Section):
    """The most GPUs that a provider grants."""

    provider: Text
    """Provider of the quota."""

    gpu: Text | None = None
    """Card it is for; left out: all cards of the provider together."""

    max_gpus: Annotated[CountOrZero, Number("quota on GPUs", "GPUs", "1", Looser.UP, axis=True, promise=True)]
    """GPUs granted."""


class CustomGpu(Section):
    """A card that no catalog has. Keys are the columns of gpus.csv; what is left out is that of the sibling."""

    id: Text
    """Name of the card, in no catalog."""

    sibling: Text
    """Catalog id of the card it is like; whatever is not stated here is taken from it."""

    vendor: Text | None = None
    """Maker: nvidia, amd, huawei, ...: decides which engines run on it."""

    architecture: Text | None = None
    """Generation, such as hopper: decides which formats engines have for it."""

    compute_capability: Annotated[Positive | None, _of_card("CUDA compute capability", "", "0.1")] = None
    """CUDA compute capability, NVIDIA only."""

    memory_marketed_gb: Annotated[Positive | None, _of_card("memory of a card as sold", "GB")] = None
    """Memory as sold, in GB."""

    memory_mib: Annotated[Count | None, _of_card("memory of a card", "MiB")] = None
    """Memory as the driver reports it, in MiB; left out beside ``memory_marketed_gb``: the sibling's share of it."""

    memory_bandwidth_gb_s: Annotated[Positive | None, _of_card("memory bandwidth", "GB/s")] = None
    """Memory bandwidth in GB/s."""

    bf16_dense_tflops: Annotated[Positive | None, _of_card("16-bit arithmetic", "TFLOPS")] = None
    """16-bit arithmetic, dense, in TFLOPS."""

    fp8_dense_tflops: Annotated[Positive | None, _of_card("FP8 arithmetic", "TFLOPS")] = None
    """FP8 arithmetic, dense, in TFLOPS."""

    int8_dense_tops: Annotated[Positive | None, _of_card("INT8 arithmetic", "TOPS")] = None
    """INT8 arithmetic, dense, in TOPS."""

    fp4_dense_tflops: Annotated[Positive | None, _of_card("FP4 arithmetic", "TFLOPS")] = None
    """FP4 arithmetic, dense, in TFLOPS."""

    supports_bf16: YesNo | None = None
    """Whether it computes in bf16."""

    supports_fp8: YesNo | None = None
    """Whether it computes in FP8."""

    supports_fp4: YesNo | None = None
    """Whether it computes in FP4."""

    link: Annotated[str, BeforeValidator(one_of(Link))] | None = None
    """How cards of a node are joined: nvswitch, nvlink_pair, xgmi, hccs or pcie."""

    link_gb_s_both_directions: Annotated[NonNegative | None, _of_card("rate of the link of a card", "GB/s")] = None
    """Rate of that link per card, both directions together, in GB/s; 0 for pcie."""

    link_domain_gpus: Annotated[Count | None, _of_card("cards that one link domain joins", "GPUs")] = None
    """Most cards that one such link domain joins."""

    pcie_generation: Annotated[Count | None, _of_card("PCIe generation", "")] = None
    """PCIe generation."""

    pcie_lanes: Annotated[Count | None, _of_card("PCIe lanes", "lanes")] = None
    """PCIe lanes."""

    tdp_w: Annotated[Positive | None, _of_card("power of a card", "W")] = None
    """Power of the card in W."""

    node_overhead_w_per_gpu: Annotated[
        NonNegative | None, _of_card("power of a node beside its cards, for each card", "W")
    ] = None
    """Power of the node beside its cards, per card, in W."""

    form_factor: Text | None = None
    """Form, such as SXM5 or PCIe."""

    release_year: Annotated[Annotated[int, Field(ge=1990, le=2100)] | None, _of_card("year of release", "")] = None
    """Year of release."""

    datacenter_licensed: YesNo | None = None
    """Whether its driver licence allows data centres."""

    export_note: Text | None = None
    """Remark on export rules."""

    source: Text | None = None
    """Where its figures come from."""

    notes: Text | None = None
    """Remark."""


class Require(Section):
    """What every offer has to state: where it stands, who is behind it, what it is certified for."""

    countries: Annotated[tuple[Country, ...], BeforeValidator(as_tuple), AfterValidator(unique)] = ()
    """Countries the nodes may stand in, by codes of two letters; an offer that states none fails. Empty: any."""

    headquarters: Annotated[tuple[Country, ...], BeforeValidator(as_tuple), AfterValidator(unique)] = ()
    """Countries the provider may have its headquarters in; an offer that states none fails. Empty: any."""

    certificates: Annotated[tuple[Text, ...], BeforeValidator(as_tuple), AfterValidator(unique)] = ()
    """Certificates the provider must hold, all of them, such as ``ISO 27001``; one that is not stated fails."""


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

    max_share_per_provider: Annotated[
        Annotated[float, Field(gt=0, le=1)] | None,
        Number(
            "most that one provider gets", "", "0.01", Looser.UP, axis=True, promise=True, kept=True, reads=Reads.SHARE
        ),
    ] = None
    """Most of the monthly cost of all nodes that may go to one provider, as a share; own hardware is no provider."""


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
    """``cn`` or ``us``: use what is shown as obtainable there, from providers or places of that country. A card that is
    flagged as restricted there has to be named. A flag with source and date, never "allowed"."""

    require: Require = Require()
    """What every offer has to state; no repair gives it up."""

    datacenter_licensed_only: YesNo = True
    """Leave out GeForce cards, whose driver licence excludes data centres, unless named in ``gpus``."""

    custom: tuple[CustomGpu, ...] = ()
    """Cards that no catalog has, to be used in ``owned`` and ``offers``; predicted like a sibling, grade C."""

    owned: tuple[OwnedHardware, ...] = ()
    """Hardware that exists already."""

    only_owned: YesNo = False
    """Use nothing but ``owned``."""

    quota: tuple[Quota, ...] = ()
    """Limits per provider and card."""

    limits: Limits = Limits()
    """Limits over the whole plan."""


class PriceBreak(Section):
    """A lower price from a number of nodes on."""

    from_nodes: Annotated[int, Field(ge=2, le=1_000_000), _of_quote("nodes from which on a lower price holds", "nodes")]
    """Nodes from which on all of them cost this."""

    price_per_hour: Annotated[
        Positive,
        Number(
            "price from a number of nodes on",
            "an hour for a node",
            "0.01",
            Looser.UNKNOWN,
            axis=True,
            reads=Reads.MONEY,
            monotone=False,
        ),
    ]
    """Price of one node per hour then."""


class Quote(Section):
    """A price the user was offered. The id of a catalog offer replaces that offer. Every rule binds it too."""

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
    """Last day of the quote. After it the quote is not ranked."""

    provider_class: Annotated[ProviderClass, Field(strict=False), BeforeValidator(one_of(RENTABLE_CLASSES))] | None = (
        None
    )
    """Class of the provider; left out: that of the catalog."""

    region: Text | None = None
    """Region of the nodes; left out: that of the offer it replaces."""

    country: Country | None = None
    """Country the nodes stand in, two letters; left out: that of the offer it replaces, or of its region."""

    headquarters: Country | None = None
    """Country of the provider's headquarters, two letters; left out: that of the catalog."""

    certificates: Annotated[tuple[Text, ...], BeforeValidator(as_tuple), AfterValidator(unique)] | None = None
    """Certificates the provider holds; left out: those of the catalog."""

    commitment_months: Annotated[
        Annotated[int, Field(ge=0, le=120)] | None, _of_quote("commitment of {name}", "months")
    ] = None
    """Months the quote binds for; left out: 12 or 36 for a reservation, else none."""

    min_nodes: Annotated[
        int,
        Field(ge=1, le=1_000_000),
        Number("fewest nodes of {name}", "nodes", "1", Looser.DOWN, axis=True, promise=True),
    ] = 1
    """Fewest nodes it is sold in."""

    price_breaks: tuple[PriceBreak, ...] = ()
    """Lower prices from a number of nodes on; the price of the last break reached holds for all nodes."""

    upfront_percent: Annotated[Percent, _of_quote("part of {name} paid at once", "%", "0.1", _OWED)] = 0.0
    """Share of the whole commitment that is paid at once."""

    early_exit_percent: Annotated[Percent, _of_quote("what leaving {name} early costs", "%", "0.1", _OWED)] = 100.0
    """Share of what the commitment still asks for that is owed when leaving early."""

    host_memory_gib: Annotated[Positive | None, _of_quote("memory of the host", "GiB", axis=_NODE)] = None
    """Memory of the host in GiB."""

    network_gbps: Annotated[Positive | None, _of_quote("fabric between nodes", "Gb/s", axis=_NODE)] = None
    """Fabric between nodes in Gb/s of a node; left out: that of the offer it replaces, else nothing spans nodes. From
    100 on pipeline stages may lie on several nodes, from 400 for each GPU attention ranks of a mixture, over RDMA."""

    @model_validator(mode="before")
    @classmethod
    def tier_follows_price(cls, data: Any) -> Any:
        """Without ``tier`` an hourly price is on demand and a purchase price is a purchase."""
        if isinstance(data, dict) and data.get("tier") is None:
            bought = data.get("purchase_price") is not None
            return {**data, "tier": str(Tier.PURCHASE if bought else Tier.ON_DEMAND)}
        return data


def no_remote_store(value: Any) -> Any:
    """A validator: a store for many nodes is refused by name."""
    if value == "remote" or (isinstance(value, tuple) and "remote" in value):
        reason = "a remote store is not modelled: its size, and the network to it, are in no offer"
        raise PydanticCustomError("remote_store", f"{reason}; expected none, host or any")
    return value


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

    attention_dp: Listed[ParallelSize] | None = None
    """Attention ranks of a mixture's replica to consider, each with its own batch and cache, in lock step over experts
    dealt to all their GPUs; null: all that model, engine and links allow. ``tensor_parallel`` is that of one rank. Over
    2, 4 or 8 nodes only where the offer states 400 Gb/s for each GPU (``network_gbps`` of a node: 3200 for eight)."""

    expert_parallel: Annotated[ExpertParallel, Field(strict=False), BeforeValidator(one_of(ExpertParallel))] = (
        ExpertParallel.ANY
    )
    """Whether routed experts are dealt to the GPUs of a replica: ``any``, ``node`` (inside one node only), ``off``
    (each expert is cut by all of them) or ``required`` (on every replica of several GPUs)."""

    disaggregation: Annotated[Disaggregation, Field(strict=False), BeforeValidator(one_of(Disaggregation))] = (
        Disaggregation.OFF
    )
    """Whether a prefill pool and a decode pool may serve the workload: ``off``, ``any`` (where that costs less than
    replicas that do both) or ``required``. Of one workload, under ``minimize_cost``, with arrivals or requests in
    flight; both pools on one node, or on nodes of one provider and region that state ``network_gbps``. Off unless
    stated: pools take a search of their own, and few models were measured so."""

    speculative: Annotated[Speculative, Field(strict=False), BeforeValidator(one_of(Speculative))] = Speculative.OFF
    """Whether replicas may draft tokens that a step then verifies together (speculative decoding): ``off``, ``any`` (a
    choice of the plan, with how many tokens) or ``required``. By the model's own prediction layers (MTP) or a published
    EAGLE-3 head, on vLLM and SGLang, where both the draft and its acceptance on the workload's ``task`` are published;
    judged at the low end of that. Not of sessions, and not in prefill and decode pools."""
    kv_tiers: Annotated[
        KvTiers, Field(strict=False), BeforeValidator(one_of(KvTiers)), BeforeValidator(no_remote_store)
    ] = KvTiers.NONE
    """Whether prefixes are kept in the memory of the host too, from where a hit costs the time of the transfer:
    ``none``, ``host`` (every replica) or ``any`` (whichever costs less). Three quarters of a node's memory less 64 GiB,
    dealt to its replicas by their cards; nodes whose ``host_memory_gib`` is not stated keep none. Only where hits are
    computed: ``sessions``, or a stated gap between the requests of a prefix."""

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
