"""What a plan buys and what runs on it: node lines and groups of equal replicas.

What the users of a plan are expected to see: predictions and the promises they keep.

The day profile as it was asked for, and what a plan runs in each of its periods.
"""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.demand import Metric
from optimizer.plan.replayed import LatencyMs
from optimizer.vocabulary import DRAFT_WORDS, UNSTATED_REGIONS, Evidence, Link, Role, Tier, split_words


@dataclass(frozen=True, slots=True)
class NodeLine:
    """Nodes of one offer and tier in a plan."""

    offer_id: str
    provider: str
    instance_type: str
    region: str
    gpu: str
    gpus_per_node: int
    link: Link
    count: int
    idle_gpus: int
    spare: int  # of ``count``, kept in reserve
    tier: Tier
    commitment_months: int
    monthly_cents: int  # of all ``count`` nodes
    price_date: str | None
    price_source: str
    original_currency: str
    evidence: Evidence | None = None  # what the price rests on; None: own hardware, which has none
    ranks_until: str | None = None  # last day on which the price may be ranked; None: it has no such day
    stock_note: str = ""  # what was seen of its availability, where that was doubtful
    price_remarks: str = ""  # what else to know about the figure
    host_memory_gib: float | None = None  # of one node, where stated
    network_gbps: float | None = None  # between nodes, where stated
    from_nodes: int = 1  # nodes from which on the offer has this price
    spare_cents: int = 0  # a month, of ``monthly_cents``, that the spare ones cost

    @property
    def idle_beside_spares(self) -> int:
        """GPUs that stand idle though their node serves or is there to; those of spare nodes are told as spare."""
        return max(self.idle_gpus - self.spare * self.gpus_per_node, 0)

    @property
    def place(self) -> tuple[str, str]:
        """Provider and region; an empty region is not stated."""
        return self.provider, "" if self.region.lower() in UNSTATED_REGIONS else self.region


@dataclass(frozen=True, slots=True)
class MemoryGib:
    """Memory of the fullest GPU in GiB."""

    weights: float
    kv_cache: float
    activations: float
    overhead: float
    total: float
    usable: float


@dataclass(frozen=True, slots=True)
class Drafting:
    """How the replicas of a group draft the tokens that a step verifies together."""

    method: str  # mtp: the model's own prediction layers; eagle3: a head of its own
    tokens: int  # drafted in a step
    acceptance: float  # chance that one is accepted, those before it being so: the low end of what was published
    head: str  # what drafts, as it is published
    source: str  # of the acceptance

    @property
    def words(self) -> str:
        """In short: ``MTP2``, ``EAGLE3-3``."""
        return f"{DRAFT_WORDS[self.method]}{self.tokens}"


@dataclass(frozen=True, slots=True)
class Group:
    """Identical replicas serving one workload, or one of its length classes."""

    workload: str  # its name; where a length class is served apart ``workload/class``
    share: int  # of 2520
    model: str
    gpu: str
    gpus_per_node: int
    link: Link
    offer_id: str
    weight_quant: str
    kv_cache: str
    checkpoint: str  # published | quantize_yourself
    tensor_parallel: int
    pipeline_parallel: int
    replicas: int
    interconnect: str  # nvlink | pcie | none; of attention ranks over nodes: inside each node
    gpu_memory_utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    crosses_nodes: bool
    memory: MemoryGib
    engine: str = ""  # id in catalogs/engines
    recovery: float | None = None  # weight recovery x KV recovery against native precision
    length_class: str = ""  # the class that is served apart; empty: the whole workload
    class_share: float = 1.0  # of the workload's requests that are of the class
    engine_version: str = ""  # as the problem states it; empty: not stated
    published_as: str = ""  # checkpoint in this format to load; empty: none is known
    needs_engine: str = ""  # engine and first release that loads the checkpoint: "vllm 0.12.0"; empty: not known
    attention_dp: int = 1  # attention ranks of a replica, each with its own batch and cache
    expert_parallel: int = 1  # groups of GPUs that routed experts are dealt to; 1: cut by all, or none
    role: Role = Role.SERVE  # of its replicas: all of a request, its prompt or its answer
    drafts: Drafting | None = None  # None: a step yields one token
    host_kv_gib: float = 0.0  # of the host's memory that a replica keeps prefixes in; 0: none

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.tensor_parallel * self.pipeline_parallel * self.attention_dp

    @property
    def ranks_over_nodes(self) -> bool:
        """Whether the attention ranks of one replica fill several nodes, between which they exchange tokens."""
        return self.crosses_nodes and self.attention_dp > 1

    @property
    def split(self) -> str:
        """How its GPUs share the work, in short, and how it drafts: ``TP2``, ``TP8 EP8``, ``TP2 MTP2``."""
        split = split_words(self.tensor_parallel, self.pipeline_parallel, self.attention_dp, self.expert_parallel)
        return f"{split} {self.drafts.words}" if self.drafts else split


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the whole plan carries, spares left out, at the asked confidence."""

    concurrency: float
    output_tokens_per_second: float
    requests_per_second: float
    users: float | None = None  # of a closed population; None: the load has none


@dataclass(frozen=True, slots=True)
class KeptPromise:
    """One latency promise and what is expected of it at the planned load: median estimate and two-sided 90 % band.

    A metric without a promise is listed too (limit None), at the problem's percentile, so that a reader sees it.
    """

    metric: Metric
    percentile: float
    estimate_s: float
    low_s: float
    high_s: float
    limit_s: float | None
    path: str
    length_class: str = ""  # of a mix of length classes: whose requests the promise is about


@dataclass(frozen=True, slots=True)
class CacheHits:
    """Shares of the input tokens that prefix caches find, closed form."""

    could: float  # with memory without end, as stated
    found: float
    one_more_node: float | None  # found with a node more; None: hits are assumed, or that changes nothing that is known
    host: float = 0.0  # of what is found, what is brought in from the memory of the host


@dataclass(frozen=True, slots=True)
class Prediction:
    """Median estimate for one workload, or one length class served apart, at the planned load, with 90 % bands."""

    workload: str
    ttft_ms: LatencyMs
    tpot_ms: LatencyMs
    e2e_s: LatencyMs  # seconds
    concurrency: float
    output_tokens_per_second: float
    requests_per_second: float
    capacity: Capacity
    ttft_interval_ms: tuple[float, float]  # of the mean
    tpot_interval_ms: tuple[float, float]
    grade: str
    upper_bound: bool  # a technique this class of model usually runs with is not modelled
    grade_reasons: tuple[str, ...]
    promises: tuple[KeptPromise, ...] = ()
    length_class: str = ""  # the class that is served apart; empty: the whole workload
    prefix: CacheHits | None = None  # None: no prefix is shared


@dataclass(frozen=True, slots=True)
class AskedPeriod:
    """One period of the day profile as the file states it."""

    name: str
    hours_per_month: float
    factor: float  # on the stated load


@dataclass(frozen=True, slots=True)
class PeriodService:
    """One workload in one period of the day profile: its load and what its users see, the median estimate."""

    workload: str
    factor: float  # on the stated load
    requests_per_second: float
    output_tokens_per_second: float
    concurrency: float
    ttft_p95_ms: float | None  # None: no load
    tpot_p95_ms: float | None


@dataclass(frozen=True, slots=True)
class PlanPeriod:
    """What runs in one period of the day profile."""

    name: str
    hours_per_month: float
    starts_per_month: float
    gpus: int  # of all nodes
    replicas: tuple[int, ...]  # in the order of the plan's groups
    nodes: tuple[int, ...]  # in the order of the plan's node lines
    monthly_cents: int  # of nodes paid by use, in the period and for starting as it begins
    services: tuple[PeriodService, ...]
