"""Closed sets of words that a problem file may use, beyond those every room shares."""

from __future__ import annotations

from enum import StrEnum


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


WEIGHT_QUANTS = ("native", "bf16", "fp8", "int8", "int4", "nvfp4", "mxfp4")
"""Weight precisions; ``native`` is the model's own."""

WEIGHT_QUANT_ALIASES = (("fp16", "bf16"),)
"""Same width, same memory, same rate."""

KV_CACHES = ("auto", "fp8")
"""KV-cache types; ``auto`` is 16 bit."""

KV_CACHE_ALIASES = (("bf16", "auto"), ("fp16", "auto"))
"""Both are the 16 bit that ``auto`` stands for."""

ENGINE_PARALLELISM = (1, 2, 4, 8, 16, 32, 64)
"""Tensor- and pipeline-parallel sizes: powers of two, so that replicas pack into nodes."""
