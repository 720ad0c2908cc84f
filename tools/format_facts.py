"""Which number formats run where: card x format x engine x version, one row a statement, each with its source.

Of the rows that name an engine, a vendor, a kind and a format those of the engine itself count, else those of all
engines (``*``). A card may have the format where one of these rows says yes for its architecture and compute
capability, and no row says no.
"""

from __future__ import annotations

FORMAT_COLUMNS = (
    "engine vendor kind format architecture allowed from_capability below_capability card_needs from_version reason"
    " source source_date"
)
_DATE = "2026-11-21"
_README = "vLLM documentation, Quantization: supported hardware"
_OPTIMIZER = "NVIDIA Model Optimizer documentation, Support Matrix"

_ALL = "nvidia amd intel huawei cambricon"


def _row(
    engine: str,
    vendor: str,
    kind: str,
    number_format: str,
    *,
    architecture: str = "",
    allowed: str = "yes",
    capability: tuple[str, str] = ("", ""),
    needs: str = "",
    version: str = "",
    reason: str = "",
    source: str = _README,
    date: str = _DATE,
) -> tuple[str, ...]:
    return (
        engine, vendor, kind, number_format, architecture, allowed, *capability, needs, version, reason, source, date,
    )  # fmt: skip


_FP8_AMPERE = "fp8 weights need compute capability 8.0 (weight-only) or 8.9 (fp8 arithmetic)"
_INT8 = "int8 W8A8 kernels exist for compute capability 7.5 to 9.0"
_NO_FP8 = "the card needs fp8 arithmetic"
_NO_INT8 = "no int8 rate is stated for the card"
_NVFP4 = "nvfp4 is an NVIDIA Blackwell format"

FORMATS = (
    # 16 bit: every card; below compute capability 8.0 it is fp16, of the same width
    *(_row("*", vendor, "weights", "bf16", source="every engine's 16-bit path") for vendor in _ALL.split()),
    *(_row("*", vendor, "kv_cache", "auto", source="every engine's 16-bit path") for vendor in _ALL.split()),
    # NVIDIA
    _row("*", "nvidia", "weights", "fp8", capability=("8.0", ""), reason=_FP8_AMPERE),
    _row(
        "vllm",
        "nvidia",
        "weights",
        "fp8",
        capability=("8.0", ""),
        reason=_FP8_AMPERE,
    ),
    _row(
        "vllm",
        "nvidia",
        "weights",
        "fp8",
        capability=("7.5", "8.0"),
        version="0.32",
        reason="fp8 weights on compute capability 7.5 need vLLM 0.32 or later, stated as the version (weight-only)",
        source="vLLM 0.32 documentation, FP8 W8A8: weight-only from compute capability 7.5 (not in 0.14)",
    ),
    _row(
        "trtllm",
        "nvidia",
        "weights",
        "fp8",
        capability=("8.9", ""),
        reason="TensorRT-LLM has fp8 arithmetic only (compute capability 8.9), no weight-only fp8",
        source=_OPTIMIZER + ": FP8 on Ada and later",
    ),
    _row("*", "nvidia", "weights", "int8", capability=("7.5", "10.0"), reason=_INT8),
    _row(
        "trtllm",
        "nvidia",
        "weights",
        "int8",
        capability=("8.0", "10.0"),
        reason="TensorRT-LLM has int8 kernels for compute capability 8.0 to 9.0",
        source=_OPTIMIZER + ": INT8 on Ampere and later",
    ),
    _row(
        "*",
        "nvidia",
        "weights",
        "int4",
        capability=("7.5", ""),
        reason="AWQ/GPTQ int4 kernels need compute capability 7.5",
    ),
    _row(
        "trtllm",
        "nvidia",
        "weights",
        "int4",
        capability=("8.0", ""),
        reason="TensorRT-LLM has int4 kernels from compute capability 8.0 on",
        source=_OPTIMIZER + ": W4A16 on Ampere and later",
    ),
    _row(
        "*",
        "nvidia",
        "weights",
        "nvfp4",
        capability=("10.0", ""),
        reason="nvfp4 runs natively on Blackwell only (compute capability 10.0)",
        source=_OPTIMIZER + ": FP4 on Blackwell and later",
    ),
    _row(
        "*",
        "nvidia",
        "weights",
        "mxfp4",
        capability=("8.0", ""),
        reason="mxfp4 kernels need compute capability 8.0",
    ),
    _row(
        "*",
        "nvidia",
        "kv_cache",
        "fp8",
        capability=("8.9", ""),
        reason="fp8 KV needs compute capability 8.9 (Ampere only through one backend)",
        source="vLLM documentation, Quantized KV Cache",
    ),
    # AMD
    _row("*", "amd", "weights", "fp8", needs="fp8", reason=_NO_FP8),
    _row("*", "amd", "weights", "int8", needs="int8", reason=_NO_INT8, source="gpus.csv"),
    _row(
        "vllm",
        "amd",
        "weights",
        "int8",
        allowed="no",
        reason="vLLM has no int8 W8A8 kernels for AMD cards",
        source=_README + " (0.5 to 0.14: INT8 W8A8 not on AMD)",
    ),
    _row(
        "*",
        "amd",
        "weights",
        "int4",
        source="Triton kernels; not among those that vLLM's table of supported hardware lists for AMD",
    ),
    _row("*", "amd", "weights", "nvfp4", allowed="no", reason=_NVFP4, source=_OPTIMIZER),
    _row(
        "*",
        "amd",
        "weights",
        "mxfp4",
        needs="fp8",
        reason="no mxfp4 kernels for cards without fp8 arithmetic",
        source="SGLang documentation, Quantization: platform compatibility (CDNA3 and CDNA4)",
    ),
    _row("*", "amd", "kv_cache", "fp8", needs="fp8", reason=_NO_FP8),
    # Intel
    _row("*", "intel", "weights", "fp8", needs="fp8", reason=_NO_FP8, source="Intel Gaudi documentation, FP8"),
    _row("*", "intel", "weights", "int8", needs="int8", reason=_NO_INT8, source="gpus.csv"),
    _row(
        "vllm",
        "intel",
        "weights",
        "int8",
        allowed="no",
        reason="vLLM has no int8 W8A8 kernels for Intel cards",
        source=_README + " (0.5 to 0.14: INT8 W8A8 not on Intel GPU)",
    ),
    _row("*", "intel", "weights", "int4", source=_README + " (AWQ and GPTQ on Intel GPU)"),
    *(
        _row(
            "vllm",
            "intel",
            "weights",
            "int4",
            architecture=architecture,
            allowed="no",
            reason="vLLM has no AWQ or GPTQ kernels for Intel Gaudi",
            source=_README + " (0.11 to 0.14)",
        )
        for architecture in ("gaudi2", "gaudi3")
    ),
    _row("vllm", "intel", "weights", "int4", source=_README + " (AWQ and GPTQ on Intel GPU)"),
    _row("*", "intel", "weights", "nvfp4", allowed="no", reason=_NVFP4, source=_OPTIMIZER),
    _row("*", "intel", "weights", "mxfp4", allowed="no", reason="no mxfp4 kernels for Intel cards"),
    _row("*", "intel", "kv_cache", "fp8", needs="fp8", reason=_NO_FP8, source="Intel Gaudi documentation, FP8"),
    # Huawei, Cambricon
    *(
        row
        for vendor, plugin in (("huawei", "vLLM Ascend documentation, Quantization"), ("cambricon", "assumption"))
        for row in (
            _row("*", vendor, "weights", "fp8", needs="fp8", reason=_NO_FP8, source=plugin),
            _row(
                "*", vendor, "weights", "int8", needs="int8", reason=_NO_INT8, source=plugin
            ),
            _row("*", vendor, "weights", "int4", source=plugin),
            _row(
                "*", vendor, "weights", "nvfp4", allowed="no", reason=_NVFP4,
                source=_OPTIMIZER,
            ),
            _row("*", vendor, "weights", "mxfp4", allowed="no", reason=f"no mxfp4 kernels for {vendor} cards",
                 source=plugin),
            _row("*", vendor, "kv_cache", "fp8", needs="fp8", reason=_NO_FP8, source=plugin),
        )
    ),
)  # fmt: skip
