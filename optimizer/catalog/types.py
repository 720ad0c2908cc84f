"""Rows of the catalogs as frozen values. Units are in the field names; sources stand in the CSV beside each figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from optimizer.vocabulary import Link, ProviderClass, Tier


class Attention(StrEnum):
    """Attention family of a model."""

    MHA = "mha"
    GQA = "gqa"
    MLA = "mla"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One accelerator. Peaks are dense (no 2:4 sparsity); None = not supported or not stated."""

    id: str
    vendor: str  # nvidia, amd, intel, huawei, cambricon
    arch: str  # volta, turing, ampere, ada, hopper, blackwell, blackwell_ultra, blackwell_rtx, cdna3, gaudi2, ...
    compute_capability: float | None  # NVIDIA only, 9.0 for Hopper
    memory_gb: float  # marketed
    memory_mib: int  # reported by the driver, or the fallback (see memory_is_fallback)
    memory_is_fallback: bool  # lowest reported/marketed ratio of its kind was applied
    bandwidth_gb_s: float
    bf16_tflops: float | None  # fp16/bf16 with fp32 accumulation
    fp8_tflops: float | None
    int8_tops: float | None
    fp4_tflops: float | None
    supports_bf16: bool
    supports_fp8: bool
    supports_fp4: bool
    link: Link  # the link of its usual form: nvswitch, nvlink_pair (bridge), xgmi, hccs or pcie
    link_gb_s: float  # total of both directions per GPU over that link; 0 for pcie
    link_domain_gpus: int  # largest direct-link domain; 1 for pcie
    pcie_gen: int
    pcie_lanes: int
    tdp_w: float
    node_overhead_w: float  # non-GPU power of a node, per GPU
    form_factor: str
    release_year: int | None
    datacenter_licensed: bool  # False: GeForce driver licence
    sibling: str | None  # id of the measured card this one inherits its efficiencies from (A800 -> A100), or None
    confidence: str  # high, medium, low
    export_note: str
    source: str
    notes: str
    custom: bool = False  # stated in a problem file (``hardware.custom``): grade C


@dataclass(frozen=True, slots=True)
class Model:
    """Architecture facts of one model. Parameters in units (not billions)."""

    id: str
    family: str
    total_params: float
    active_params: float  # embedding and head included
    embed_params: float
    head_params: float
    routed_expert_params: float  # all routed experts of all layers; 0 for dense
    num_layers: int
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_kv_heads: int  # meaningless for MLA
    head_dim: int
    vocab_size: int
    attention: Attention
    sliding_window: int  # tokens; 0 = none
    full_attention_layers: int
    sliding_layers: int
    linear_layers: int
    kv_lora_rank: int  # MLA; 0 otherwise
    rope_head_dim: int
    nope_head_dim: int
    v_head_dim: int
    kv_bytes_full_16bit: float  # per token, over all full-attention (or MLA) layers, 16-bit cache
    kv_bytes_sliding_16bit: float  # per token inside the window, over all sliding layers
    linear_state_bytes: float  # per sequence
    index_bytes_per_token: float  # sparse-attention index (DSA)
    num_experts: int  # 0 = dense
    experts_per_token: int
    shared_experts: int
    expert_intermediate_size: int
    first_dense_layers: int
    native_dtype: str  # bf16, fp16, fp8, mxfp4, int4
    context_limit: int
    legal_tp: tuple[int, ...]
    fp8_block_legal_tp: tuple[int, ...]  # empty = no further limit
    licence: str
    source: str
    notes: str
    tied_embeddings: bool = False
    published_bytes: tuple[tuple[str, float], ...] = ()  # by weight format: the largest published checkpoint

    @property
    def is_moe(self) -> bool:
        """Whether the model routes tokens to experts."""
        return self.num_experts > 0


@dataclass(frozen=True, slots=True)
class Price:
    """One price of one offer: an amount with its own date and source."""

    tier: Tier
    amount: float  # per hour and node; for PURCHASE per node, once
    currency: str
    date: str | None  # ISO; None = undated (never ranked)
    source: str
    rankable: bool
    reason: str  # why not rankable; empty when it is


@dataclass(frozen=True, slots=True)
class Offer:
    """A node somebody rents out or sells, with all its prices."""

    id: str
    provider: str
    provider_class: ProviderClass | None  # None: of a quote whose provider is in no catalog and which states none
    country: str  # ISO 3166 code of where the nodes stand; empty = not stated
    instance_type: str
    gpu: str
    gpus_per_node: int
    link: Link
    region: str  # empty = blank or global: fails a region filter
    prices: tuple[Price, ...]
    network_gbps: float | None = None  # fabric between nodes; None = not stated
    tax_percent: float | None = None  # of the quote; None = the problem's
    stock: int | None = None  # nodes available
    lead_time_weeks: float | None = None
    quote_ref: str = ""
    valid_until: str | None = None
    notes: str = ""
    headquarters: str = ""  # ISO 3166 code of the provider's; empty = not stated
    certificates: tuple[str, ...] = ()  # that the provider holds; empty = none is stated
    commitment_months: int | None = None  # that it binds for; None = what its tier says
    min_nodes: int = 1  # fewest nodes it is sold in
    price_breaks: tuple[tuple[int, float], ...] = ()  # (from nodes, price per hour), ascending
    upfront_percent: float = 0.0  # of the whole commitment, paid at once
    early_exit_percent: float = 100.0  # of what the commitment still asks for, owed when leaving
    host_memory_gib: float | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """A region that a provider runs, priced or not."""

    provider: str
    name: str
    country: str  # ISO 3166


@dataclass(frozen=True, slots=True)
class Engine:
    """A serving engine's facts and defaults."""

    id: str
    display_name: str
    vendors: tuple[str, ...]  # GPU vendors it runs on
    weight_quants: tuple[str, ...]
    kv_caches: tuple[str, ...]
    gpu_memory_utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int
    profile: str  # which performance parameters apply: vllm, sglang, trtllm, generic, ...
    source: str
    notes: str
    large_memory_from_mib: int = 0  # cards with at least this memory take the ``large_`` defaults; 0 = none do
    large_excludes_archs: tuple[str, ...] = ()
    large_max_num_seqs: int = 0
    large_max_num_batched_tokens: int = 0

    def _is_large(self, gpu: Gpu) -> bool:
        threshold = self.large_memory_from_mib
        return 0 < threshold <= gpu.memory_mib and gpu.arch not in self.large_excludes_archs

    def max_num_seqs_on(self, gpu: Gpu) -> int:
        """The engine's default limit of running sequences on this card."""
        return self.large_max_num_seqs if self._is_large(gpu) else self.max_num_seqs

    def max_num_batched_tokens_on(self, gpu: Gpu) -> int:
        """The engine's default token budget of a step on this card."""
        return self.large_max_num_batched_tokens if self._is_large(gpu) else self.max_num_batched_tokens


@dataclass(frozen=True, slots=True)
class QuantFact:
    """Accuracy recovery against native precision, by format and model size."""

    format: str  # fp8, int8, int4, nvfp4, mxfp4; kv_fp8
    min_params_b: float  # applies from this size on
    recovery: float
    source: str


@dataclass(frozen=True, slots=True)
class FxRate:
    """Units of ``currency`` per one US dollar, on a date."""

    currency: str
    per_usd: float
    date: str
    source: str


@dataclass(frozen=True, slots=True)
class Provider:
    """Who rents out or sells nodes."""

    id: str
    aliases: tuple[str, ...]
    provider_class: ProviderClass
    country: str  # ISO 3166; empty = not established
    name: str
    headquarters: str = ""  # ISO 3166; empty = not stated
    certificates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A published checkpoint of a model in a weight format."""

    model: str
    weight_quant: str
    checkpoint: str
    size_gb: float | None  # measured, where known
    source: str


@dataclass(frozen=True, slots=True)
class MarketFlag:
    """Whether a card is obtainable in a market: yes, restricted or unknown. A flag with a source, never a permit."""

    gpu: str
    market: str  # cn, us
    obtainable: str
    since: str  # year and month; empty = not stated
    basis: str
    source: str


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """What a provider charges per million tokens of an open model, in US dollars."""

    model: str
    provider: str
    sold_as: str  # the seller's name of it
    input_per_million: float
    cached_input_per_million: float | None  # of input found in its cache; None: not stated, so charged as input
    output_per_million: float
    context_limit: int | None  # tokens; None: not stated
    sold_until: str | None
    date: str
    source: str
    notes: str


@dataclass(frozen=True)
class Catalog:
    """All catalogs of a run, keyed by id; rows are looked up, never mutated."""

    gpus: Mapping[str, Gpu]
    models: Mapping[str, Model]
    offers: Mapping[str, Offer]
    engines: Mapping[str, Engine]
    quant_facts: tuple[QuantFact, ...]
    fx: Mapping[str, FxRate]
    newest_price_date: str
    root: str  # the directory it was read from
    providers: Mapping[str, Provider] = field(default_factory=dict)
    checkpoints: Mapping[tuple[str, str], tuple[Checkpoint, ...]] = field(default_factory=dict)
    """Published checkpoints by (model, weight_quant)."""
    markets: tuple[MarketFlag, ...] = ()
    api_prices: Mapping[str, tuple[TokenPrice, ...]] = field(default_factory=dict)
    """By model: who sells it by the token."""
    regions: Mapping[tuple[str, str], Region] = field(default_factory=dict)
    """Regions by (provider, name), those without a price too."""
