"""Rows of the catalogs as frozen values. Units are in the field names; sources stand in the CSV beside each figure.

The link between the GPUs of a node, from what a quote says and what the card's form implies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

from optimizer.vocabulary import NVLINK_CLASS, Evidence, Link, ProviderClass, Tier


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
    memory_is_fallback: bool  # the memory that engines see was estimated by the lowest ratio of the card's kind
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
    host_arch: str = ""  # of the CPU it comes with: arm64 for Grace superchips; empty = whatever the node has (x86)
    custom: bool = False  # stated in a problem file (``hardware.custom``): grade C
    cuda_total_mib: float = 0.0  # as CUDA (or HIP) reports it, which engines multiply; 0 = not stated

    @property
    def total_mib(self) -> float:
        """Memory that engines take their share of, MiB."""
        return self.cuda_total_mib or CUDA_SHARE * self.memory_mib


CUDA_SHARE = 0.979
"""CUDA's total over the driver's MiB where a catalog states only the latter: the lowest of those measured (RTX 4090,
logs read in 2025 and 2026; H100 0.994, L40S 0.987, T4 0.983)."""


ENCODER = "image and audio encoders"
"""The part of a checkpoint that is not the language model; engines load it too."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """Some of the weights of a checkpoint that are stored alike."""

    name: str  # what they are: attention, routed experts, ...
    layers: int
    params: float
    bits: float  # per weight, scales included
    format: str  # bf16, fp8, int8, int4, nvfp4, mxfp4

    @property
    def bytes(self) -> float:
        """Size."""
        return self.params * self.bits / 8.0


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
    stored: tuple[tuple[str, tuple[StoredPart, ...]], ...] = ()  # by weight format: as a published checkpoint stores it
    draft: tuple[StoredPart, ...] = ()  # layers for speculation, not loaded otherwise; empty = none known
    plain_keys: bool = False  # read by the standard keys of a configuration: grade C
    modalities: tuple[str, ...] = ()  # image, audio, video: what it takes beside text
    group_legal_tp: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Sizes at which shards hold whole groups of integers, by format; formats without a further limit are left out."""
    kv_in_checkpoint: str = ""  # format of the KV cache that the checkpoint asks for

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
    evidence: Evidence = Evidence.LIST  # of a rankable price; what is not rankable is reference
    stock_note: str = ""  # what was seen of its availability where that was doubtful, with who saw it
    remarks: str = ""  # what else a buyer should know about the figure


@dataclass(frozen=True, slots=True)
class Offer:
    """A node somebody rents out or sells, with all its prices."""

    id: str
    provider: str
    provider_class: ProviderClass | None  # None: of a quote whose provider is in no catalog and which states none
    country: str  # in which the node stands (ISO 3166); empty = not established
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


EVERY_ENGINE = "*"
"""Engine of the format rules that hold for every engine without one of its own."""


@dataclass(frozen=True, slots=True)
class FormatRule:
    """One statement on where a number format runs: card x format x engine x version."""

    engine: str  # id, or "*" for all that have no row of their own
    vendor: str
    kind: str  # weights, kv_cache
    format: str
    arch: str  # empty = any
    allowed: bool
    from_capability: float | None  # compute capability from which on
    below_capability: float | None
    card_needs: str  # fp8, int8: arithmetic that the card must have; empty = none
    from_version: str  # a stated engine version must be at least this; empty = any
    reason: str  # why it does not run where the rule does not hold
    source: str


@dataclass(frozen=True, slots=True)
class EngineDefault:
    """A default of an engine from a version on, for cards of some memory (GiB as CUDA reports it; 0 = no bound)."""

    engine: str
    from_version: str
    min_gib: float
    below_gib: float
    min_tp: int
    below_tp: int
    not_named: str  # part of the names of cards it leaves out
    option: str
    value: float
    source: str

    def fits(self, gpu: Gpu, tensor_parallel: int) -> bool:
        """Whether it speaks of a card and a tensor-parallel degree."""
        gib = gpu.total_mib / 1024.0
        memory = self.min_gib <= gib and (not self.below_gib or gib < self.below_gib)
        degree = self.min_tp <= tensor_parallel and (not self.below_tp or tensor_parallel < self.below_tp)
        return memory and degree and not (self.not_named and self.not_named in gpu.id)


@cache
def version_key(version: str) -> tuple[int, ...]:
    """A version as numbers to compare, 0.11 like 0.11.0; empty where none is stated or it has no number (a nightly)."""
    found = _VERSION.search(version)
    parts = [int(part) for part in found[0].split(".")] if found else []
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


_VERSION = re.compile(r"\d+(?:\.\d+)+")


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
    format_rules: tuple[FormatRule, ...] = ()  # its own rows of formats.csv, and those of all engines

    defaults: tuple[EngineDefault, ...] = ()  # by version and card; what none of them says stands above

    def _is_large(self, gpu: Gpu) -> bool:
        threshold = self.large_memory_from_mib
        return 0 < threshold <= gpu.memory_mib and gpu.arch not in self.large_excludes_archs

    def default(self, option: str, gpu: Gpu, version: str = "", tensor_parallel: int = 1) -> float | None:
        """A default of a version on a card: that of the newest version read at or below it. None = none was read."""
        fitting = [item for item in self.defaults if item.option == option and item.fits(gpu, tensor_parallel)]
        asked = version_key(version)
        read = sorted(fitting, key=lambda item: version_key(item.from_version))
        below = [item for item in read if not asked or version_key(item.from_version) <= asked]
        if not read:
            return None
        return below[-1].value if below else read[0].value

    def memory_share_on(self, gpu: Gpu, version: str = "") -> float:
        """The engine's default share of memory (of what, its start-up law says)."""
        found = self.default("gpu_memory_utilization", gpu, version)
        return self.gpu_memory_utilization if found is None else found

    def max_num_seqs_on(self, gpu: Gpu, version: str = "") -> int:
        """The engine's default limit of running sequences on this card."""
        found = self.default("max_num_seqs", gpu, version)
        if found is not None:
            return int(found)
        return self.large_max_num_seqs if self._is_large(gpu) else self.max_num_seqs

    def max_num_batched_tokens_on(self, gpu: Gpu, version: str = "") -> int:
        """The engine's default token budget of a step on this card."""
        found = self.default("max_num_batched_tokens", gpu, version)
        if found is not None:
            return int(found)
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
    country: str  # in which all its nodes stand (ISO 3166); empty = several, or not established
    name: str
    headquarters: str = ""  # seat of the company (ISO 3166); empty = not established
    certificates: tuple[str, ...] = ()  # such as iso_27001; empty = none established
    source: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A published checkpoint of a model in a weight format."""

    model: str
    weight_quant: str
    checkpoint: str
    size_gb: float | None  # measured, where known
    source: str
    method: str = ""  # how it was quantized, as its configuration calls it; empty: not known, likewise below
    engines: tuple[str, ...] = ()  # that it is published for or was seen with
    min_version: str = ""  # engine and its first release that loads it: "vllm 0.12.0"


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
    drafts: tuple[DraftFact, ...] = ()
    """Published drafts for speculative decoding and their acceptance."""


@dataclass(frozen=True, slots=True)
class DraftFact:
    """Something published that drafts for a model, or how often drafts are accepted on a task."""

    model: str  # blank: models together
    method: str  # mtp, eagle3
    task: str  # chat, code, reasoning, rag, random; blank: that layers or heads are published at all
    draft: str  # what drafts, where it has a name
    acceptance: float | None  # median chance that a drafted token is accepted, those before it being so
    low: float | None  # of nine in ten models or runs
    high: float | None
    rows: int
    source: str


def link_of(gpu: Gpu, gpus_per_node: int, nvlink: bool | None) -> Link:
    """The link that ``nvlink: yes | no`` means on a card; blank: what the card's form implies.

    SXM, OAM and HCCS boards come with their fabric. PCIe forms have it only with a bridge, so blank means none there.
    """
    if gpus_per_node == 1 or nvlink is False:
        return Link.PCIE
    if nvlink is None:
        return gpu.link if gpu.link is not Link.NVLINK_PAIR else Link.PCIE
    return gpu.link if gpu.link in NVLINK_CLASS else Link.NVLINK_PAIR
