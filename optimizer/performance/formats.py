"""A weight format is two things: what is stored, which is read, and what is computed.

The arithmetic units of a card multiply in 16 bit, in fp8, in int8 or in fp4. Weights stored in a format that the card
does not multiply in are read as they are and turned into 16 bit on the way (*weight-only*): fewer bytes, the
arithmetic of 16 bit and the work of turning them. Sources: vLLM documentation, FP8 W8A8 (weight-only W8A16 below
compute capability 8.9); NVIDIA Model Optimizer, Support Matrix (W4A16, FP4 on Blackwell).
"""

from __future__ import annotations

from optimizer.catalog.types import Gpu

BITS = {"bf16": 16.0, "fp8": 8.03, "int8": 8.03, "int4": 4.16, "nvfp4": 4.5, "mxfp4": 4.25}
"""Stored bits per weight, scales included (design.md section 4)."""

WEIGHT_ONLY = frozenset({"int4", "fp8_a16", "int8_a16", "nvfp4_a16", "mxfp4_a16"})
"""Kernels that compute at 16 bit whatever they read. int4 has no other kind here (AWQ, GPTQ: W4A16)."""

_COMPUTED = {"fp8": "fp8", "fp8_block": "fp8", "fp8_grouped": "fp8", "mxfp4_a8": "fp8", "int8": "int8", "nvfp4": "fp4"}
_NO_INT8 = 10.0
"""From this compute capability on there are no int8 W8A8 kernels (catalogs/formats.csv)."""


def kernel_format(gpu: Gpu, quant: str) -> str:
    """The kernels that weights of a format run on: the format itself where the card multiplies in it, ``mxfp4_a8``
    where it multiplies mxfp4 by 8-bit activations, else a weight-only kind."""
    if quant == "mxfp4":
        return "mxfp4_a8" if gpu.supports_fp4 else "mxfp4_a16"
    own = {
        "fp8": gpu.supports_fp8,
        "int8": bool(gpu.int8_tops) and (gpu.compute_capability or 0.0) < _NO_INT8,
        "nvfp4": gpu.supports_fp4,
    }
    return quant if own.get(quant, True) else f"{quant}_a16"


def stored_bits(kernel: str) -> float:
    """Bits per weight that a kernel reads."""
    return BITS[kernel.split("_", maxsplit=1)[0]]


def computed_format(kernel: str) -> str:
    """What a kernel multiplies in: bf16 (any 16 bit), fp8, int8 or fp4."""
    return _COMPUTED.get(kernel, "bf16")


def compute_peak(gpu: Gpu, kernel: str) -> float:
    """Dense peak of a card in flop/s in what a kernel computes."""
    peaks = {"fp8": gpu.fp8_tflops, "int8": gpu.int8_tops, "fp4": gpu.fp4_tflops}
    return max(peaks.get(computed_format(kernel)) or gpu.bf16_tflops or 0.0, 1e-3) * 1e12
