"""What the performance room is asked and what it answers. No money, no solver.

Percentiles of a latency: interpolation between the stored ones, and quantiles of a gamma law.

Nothing here needs numpy; the arithmetic works on floats and on numpy arrays alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Any

from optimizer.catalog.types import Engine, Gpu, Model
from optimizer.performance.speculation import Speculation
from optimizer.vocabulary import Link, split_words


class Grade(StrEnum):
    """A: this GPU, family, precision and layout measured; B: one of them inferred; C: extrapolated."""

    A = "A"
    B = "B"
    C = "C"


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """One replica: a model on ``tp x pp x attention_dp`` GPUs under one engine and its settings.

    Of a mixture of experts ``expert_parallel`` times the GPUs that share one expert is ``tp x attention_dp``. Its
    attention ranks carry alike; slots, cache and step budget are those of each.
    """

    gpu: Gpu
    model: Model
    engine: Engine
    weight_quant: str  # bf16, fp8, int8, int4, nvfp4, mxfp4
    kv_cache: str  # auto (16 bit) or fp8
    tensor_parallel: int
    pipeline_parallel: int
    link: Link  # of the node it sits in; UNVERIFIED computes as PCIE
    gpu_memory_utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    attention_dp: int = 1  # ranks in lock step that share the routed experts, each with its own requests and cache
    expert_parallel: int = 1  # groups that the routed experts are dealt to; each expert is cut in what remains
    overlap: bool = False  # two batches of a rank take turns: one computes while the other exchanges tokens
    engine_version: str = ""
    crosses_nodes: bool = False  # pipeline stages on several nodes
    speculation: Speculation | None = None
    host_kv_gib: float = 0.0  # of the host's memory for KV cache; 0: only what is left of the cards' own
    known_host: bool = False  # measured rows only: over PCIe not the slowest host stands, but those that were measured

    @property
    def gpus(self) -> int:
        """GPUs of the replica: every attention rank has its own."""
        return self.tensor_parallel * self.pipeline_parallel * self.attention_dp

    @property
    def method(self) -> str:
        """What drafts; empty: nothing does."""
        return self.speculation.method if self.speculation else ""

    @property
    def drafted(self) -> int:
        """Tokens drafted in a step."""
        return self.speculation.tokens if self.speculation else 0

    @property
    def split(self) -> str:
        """How its GPUs share the work, in short."""
        return split_words(self.tensor_parallel, self.pipeline_parallel, self.attention_dp, self.expert_parallel)

    @property
    def expert_gpus(self) -> int:
        """GPUs that share the routed experts of a layer."""
        return self.tensor_parallel * self.attention_dp


@dataclass(frozen=True, slots=True)
class MemoryBill:
    """Bytes on the fullest GPU of a replica."""

    weights: float
    activations: float
    overhead: float  # context, graphs, communication buffers
    usable: float  # gpu_memory_utilization x reported memory
    kv_budget: float  # usable - weights - activations - overhead; negative = does not fit
    kv_bytes_per_token: float  # at short context, per GPU
    kv_tokens: int  # tokens of KV the replica holds, planned (90 % of the blocks)

    @property
    def fits(self) -> bool:
        """Whether any KV cache is left."""
        return self.kv_budget > 0


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A latency over requests, in seconds."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float

    def at(self, percentile: float) -> float:
        """Value at a percentile, log-linear between the stored ones."""

        return interpolate(self, percentile)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One replica under a load: the median estimate, not a promise."""

    ttft: Percentiles
    tpot: Percentiles
    e2e: Percentiles
    inflight: float
    requests_per_second: float
    output_tokens_per_second: float
    utilization: float  # share of the saturation rate
    kv_tokens_used: float  # on a rank; of a closed population at the 99th percentile of the number in flight
    stable: bool  # False: the load exceeds what the replica can carry; latencies are then infinite
    inflight_p99: float | None = None  # of a closed population: exceeded 1 % of the time
    prefix_hit_rate: float = 0.0  # share of the input tokens found in the prefix cache, wherever it lies
    host_hit_rate: float = 0.0  # of it, what is brought in from the memory of the host
    classes: tuple[tuple[str, Behaviour], ...] = ()  # the same as the requests of each length class of a mix see it

    def seen_by(self, length_class: str) -> Behaviour:
        """As the requests of a length class see it; of a load that is no mix, as all do."""
        return next((behaviour for name, behaviour in self.classes if name == length_class), self)


class PointKind(StrEnum):
    """Which promises an operating point was computed inside."""

    ALL = "all"
    TTFT = "ttft"
    TPOT = "tpot"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The largest load of one replica inside the promises of ``kind``.

    ``latencies_s[i]`` belongs to ``slo.promises[i]``: the worse of the two loads, error margin at the asked confidence
    included, so it is compared with the limit as it stands. ``users``: people of a closed population, where the load
    has one; their think time is that of the load.
    """

    kind: PointKind
    requests_per_second: float
    inflight: float
    latencies_s: tuple[float, ...]
    users: float = 0.0

    @property
    def carries(self) -> tuple[float, float, float]:
        """Arrivals a second, requests in flight, users; in the order of ``Load.floors``."""
        return (self.requests_per_second, self.inflight, self.users)


@dataclass(frozen=True, slots=True)
class Band:
    """Multiplicative model error: truth / prediction at the 5 % and 95 % quantile, and at 10 % and 90 % where known."""

    low: float
    high: float
    near_low: float | None = None
    near_high: float | None = None


STORED = (50.0, 90.0, 95.0, 99.0)
"""Percentiles every prediction carries."""

_HIGHEST, _LOWEST = 99.99, 0.01


def normal_score(percentile: float) -> float:
    """Standard normal quantile of a percentile, clipped to 0.01..99.99."""
    return NormalDist().inv_cdf(min(max(percentile, _LOWEST), _HIGHEST) / 100.0)


def interpolate(values: Percentiles, percentile: float) -> float:
    """Value at a percentile: log-linear in the normal score between the stored ones, extended beyond them."""
    low, high, weight = bracket(percentile)
    stored = (values.p50, values.p90, values.p95, values.p99)
    return float(between(stored[low], stored[high], weight))


def bracket(percentile: float) -> tuple[int, int, float]:
    """Indices into ``STORED`` around a percentile and the weight of the upper one (outside 0..1 beyond the ends)."""
    low = max(i for i in range(len(STORED) - 1) if i == 0 or STORED[i] <= percentile)
    z, z_low, z_high = (normal_score(p) for p in (percentile, STORED[low], STORED[low + 1]))
    return low, low + 1, (z - z_low) / (z_high - z_low)


def between(low: Any, high: Any, weight: float) -> Any:
    """``low`` at weight 0, ``high`` at weight 1, geometric between; exact at both ends."""
    if weight in (0.0, 1.0):
        return high if weight else low
    if isinstance(low, float) and math.isinf(low):
        return low
    return low * (high / low) ** weight


def gamma_quantile(mean: Any, variance: Any, score: float) -> Any:
    """Quantile of a gamma law of given mean and variance at a normal score.

    Wilson and Hilferty (1931): (X / mean)^(1/3) is nearly normal with mean 1 - 1/(9a) and variance 1/(9a), a the
    shape. Good to a few percent from a = 0.5 up; below, the result is floored at zero.
    """
    ninth = variance / (9.0 * mean * mean)
    root = 1.0 - ninth + score * ninth**0.5
    return mean * (root * (root > 0)) ** 3
