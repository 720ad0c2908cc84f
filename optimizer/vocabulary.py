"""Closed sets of words that every room uses: links, payment tiers, provider classes.

Closed sets of words that a problem file may use, beyond those every room shares.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Link(StrEnum):
    """How the GPUs of one node reach each other: a closed set."""

    NVSWITCH = "nvswitch"
    NVLINK_PAIR = "nvlink_pair"
    XGMI = "xgmi"
    HCCS = "hccs"
    PCIE = "pcie"
    UNVERIFIED = "unverified"


class Router(StrEnum):
    """Which replica gets the next request."""

    ROUND_ROBIN = "round_robin"  # each in turn
    LEAST_OUTSTANDING = "least_outstanding"  # the one with the fewest requests in flight
    SHORTEST_QUEUE = "shortest_queue"  # the one with the fewest tokens still to work off
    PREFIX_AFFINITY = "prefix_affinity"  # the one that its prefix (session) is always sent to


NVLINK_CLASS = frozenset({Link.NVSWITCH, Link.NVLINK_PAIR, Link.XGMI, Link.HCCS})
"""Direct GPU-to-GPU fabrics: what ``nvlink: required`` accepts and ``nvlink: forbidden`` refuses."""


class Tier(StrEnum):
    """How capacity is paid for. OWNED never appears in a catalog: it is the user's own hardware."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"
    RESERVED_1Y = "reserved_1y"
    RESERVED_3Y = "reserved_3y"
    PURCHASE = "purchase"
    OWNED = "owned"


class Evidence(StrEnum):
    """How far a price may be relied on, strongest first. REFERENCE is shown on request and never ranked."""

    QUOTE = "quote"  # the user's own
    LIST = "list"  # published by the provider, its API or its catalog, dated, for a whole node
    INDICATIVE = "indicative"  # dated figure of a tracker for a named provider, or of a marketplace
    REFERENCE = "reference"


RANKABLE_EVIDENCE = (Evidence.QUOTE, Evidence.LIST, Evidence.INDICATIVE)
"""What may win, strongest first."""


class ProviderClass(StrEnum):
    """Kind of provider; marketplaces are off by default."""

    HYPERSCALER = "hyperscaler"
    NEOCLOUD = "neocloud"
    MARKETPLACE = "marketplace"
    RESELLER = "reseller"
    OWN = "own"


class Objective(StrEnum):
    """What is made as small, or as large, as possible."""

    MINIMIZE_COST = "minimize_cost"
    MAXIMIZE_LOAD = "maximize_load"
    MINIMIZE_TTFT = "minimize_ttft"
    MINIMIZE_TPOT = "minimize_tpot"
    MINIMIZE_GPUS = "minimize_gpus"


class Nvlink(StrEnum):
    """Which links between the GPUs of a replica are allowed."""

    ANY = "any"
    REQUIRED = "required"
    FORBIDDEN = "forbidden"


def split_words(tensor: int, pipeline: int, attention_dp: int = 1, expert_parallel: int = 1) -> str:
    """How the GPUs of a replica share the work: ``TP4``, ``TP4 PP2``, ``TP8 EP8``, ``DP8 EP8``, ``TP2 DP4 EP8``.

    Each figure is a number of parts: of a layer's matrices, of the layers, of the requests in attention (ranks), of the
    routed experts.
    """
    sizes = (("TP", tensor), ("PP", pipeline), ("DP", attention_dp), ("EP", expert_parallel))
    plain = attention_dp == 1
    return " ".join(f"{name}{size}" for name, size in sizes if size > 1 or (plain and name == "TP"))


class ExpertParallel(StrEnum):
    """Whether the routed experts of a mixture are dealt to the GPUs of a replica."""

    ANY = "any"
    NODE = "node"  # inside one node only
    OFF = "off"
    REQUIRED = "required"


class DocumentsStand(StrEnum):
    """Where in a prompt documents stand: before all else, or behind the system prompt."""

    AFTER_SYSTEM = "after_system"
    FIRST = "first"


class KvTiers(StrEnum):
    """Where prefixes are kept beside the memory of the cards."""

    NONE = "none"
    HOST = "host"
    ANY = "any"


class Survive(StrEnum):
    """What of a plan may be gone with every promise still kept by what is left."""

    NONE = "none"
    NODE = "node"
    SITE = "site"  # all nodes of one provider in one region


UNSTATED_REGIONS = frozenset({"", "global"})
"""Regions that say nothing of where a node is: it may be in any of its provider's."""


class Disaggregation(StrEnum):
    """Whether a workload may be served by a prefill pool and a decode pool."""

    ANY = "any"
    OFF = "off"
    REQUIRED = "required"


class Role(StrEnum):
    """What the replicas of a group do: all of a request, its prompt, or its answer."""

    SERVE = "serve"
    PREFILL = "prefill"
    DECODE = "decode"


WIDE_GBPS = 400.0
"""Least network of each GPU where attention ranks of one replica exchange tokens between nodes, in Gb/s (10^9 bits):
one adapter a GPU, as all published deployments have it (DeepEP, docs/legacy.md: H800 with CX7 InfiniBand of 400 Gb/s;
LMSYS, 2025-05-05), and what the model's rates were measured on."""

POOL_ENGINES = ("vllm", "sglang", "trtllm")
"""Engines whose servers can be prefill or decode workers: vLLM with the NIXL connector (vLLM documentation,
"NixlConnector Usage Guide", 0.12), SGLang (``--disaggregation-mode``), TensorRT-LLM (``trtllm-serve`` behind
``trtllm-serve disaggregated``)."""


class Speculative(StrEnum):
    """Whether replicas may draft tokens that a step of the model then verifies together."""

    OFF = "off"
    ANY = "any"
    REQUIRED = "required"


class TextTask(StrEnum):
    """The kind of text that is written: how often drafts are accepted follows from it."""

    CHAT = "chat"
    CODE = "code"
    REASONING = "reasoning"
    RAG = "rag"


DRAFT_WORDS = {"mtp": "MTP", "eagle3": "EAGLE3-"}
"""What a way to draft is called before the tokens drafted in a step: ``MTP2``, ``EAGLE3-3``."""


def split_version(version: str) -> tuple[int, ...]:
    """``0.5.12`` and ``v0.5.12.post1`` as (0, 5, 12), ``0.11`` as (0, 11, 0); empty where it has no number first."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in [*found[1].split("."), "0", "0"][:3]) if found else ()


class Market(StrEnum):
    """Where the hardware is bought: decides what is shown as obtainable."""

    CN = "cn"
    US = "us"


class DistinctBy(StrEnum):
    """What makes a plan a new one in the ranking."""

    CONFIGURATION = "configuration"
    WEIGHT_QUANT = "weight_quant"
    GPU = "gpu"
    PROVIDER = "provider"
    NODE = "node"


GRADES = ("A", "B", "C")
"""How far a prediction is backed by measurements, best first."""

WEIGHT_QUANTS = ("native", "bf16", "fp8", "int8", "int4", "nvfp4", "mxfp4")
"""Weight precisions; ``native`` is the model's own."""

WEIGHT_QUANT_ALIASES = (("fp16", "bf16"),)
"""Same width, same memory, same rate."""

KV_CACHES = ("auto", "fp8")
"""KV-cache types; ``auto`` is 16 bit."""

_UNMEASURED = "a format whose recovery no source states, so no plan can say what it costs in quality; ask for "
KV_CACHES_REFUSED = (
    *((word, _UNMEASURED + "fp8 or auto") for word in ("int8", "int8_per_token_head", "int4", "int4_per_token_head")),
    *((word, _UNMEASURED + "fp8 or auto") for word in ("nvfp4", "fp8_per_token_head")),
    ("fp8_e4m3", "the format that fp8 means here; write fp8"),
    ("fp8_e5m2", _UNMEASURED + "fp8 (e4m3) or auto"),
)
"""KV caches that engines know and plans do not hold (vLLM ``CacheDType``; TensorRT-LLM and LMDeploy int8), and why."""

KV_CACHE_ALIASES = (("bf16", "auto"), ("fp16", "auto"))
"""Both are the 16 bit that ``auto`` stands for."""

ENGINE_PARALLELISM = (1, 2, 4, 8, 16, 32, 64)
"""Tensor- and pipeline-parallel sizes: powers of two, so that replicas pack into nodes."""
