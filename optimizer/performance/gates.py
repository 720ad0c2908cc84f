"""What a card, a model and an engine allow at all: precision, parallel degrees, vendor; and what a format costs in
accuracy. Every refusal carries its reason. The rules and thresholds are those of shared/data README ("Precision
gates", vLLM); they are physical or legal, so Python applies them before the solver sees a candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.catalog.types import Attention, Catalog, Engine, Gpu, Model

QUANTS = ("bf16", "fp8", "int8", "int4", "nvfp4", "mxfp4")
"""Weight formats, widest first."""

KV_CACHES = ("auto", "fp8")

_TURING, _AMPERE, _ADA, _BLACKWELL = 7.5, 8.0, 8.9, 10.0
_WIDTH = {"bf16": 0, "fp8": 1, "int8": 1, "int4": 2, "nvfp4": 2, "mxfp4": 2}
_MXFP4_VENDORS = frozenset({"nvidia", "amd"})


@dataclass(frozen=True, slots=True)
class Gate:
    """One choice and why it is refused; an empty reason means it is allowed."""

    value: str
    reason: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the choice is possible."""
        return not self.reason


def native_quant(model: Model) -> str:
    """The format a model is published in; 16-bit floats of either kind count as bf16 (same width)."""
    if model.native_dtype in QUANTS:
        return model.native_dtype
    return "int4" if model.native_dtype.startswith("int4") else "bf16"


def weight_quant_gates(gpu: Gpu, model: Model, engine: Engine) -> tuple[Gate, ...]:
    """Every weight format with the reason it is refused on this card, model and engine, if it is."""
    return tuple(Gate(quant, _weight_refusal(gpu, model, engine, quant)) for quant in QUANTS)


def weight_quants(gpu: Gpu, model: Model, engine: Engine) -> tuple[str, ...]:
    """Weight formats this card, model and engine allow together."""
    return tuple(gate.value for gate in weight_quant_gates(gpu, model, engine) if gate.allowed)


def kv_cache_gates(gpu: Gpu, engine: Engine) -> tuple[Gate, ...]:
    """Every KV-cache type with the reason it is refused, if it is."""
    return tuple(Gate(kv, _kv_refusal(gpu, engine, kv)) for kv in KV_CACHES)


def kv_caches(gpu: Gpu, engine: Engine) -> tuple[str, ...]:
    """KV-cache types this card and engine allow."""
    return tuple(gate.value for gate in kv_cache_gates(gpu, engine) if gate.allowed)


def engine_refusal(gpu: Gpu, engine: Engine) -> str:
    """Why an engine does not run on a card; empty when it does."""
    if gpu.vendor in engine.vendors:
        return ""
    return f"{engine.display_name} does not run on {gpu.vendor} cards (it runs on {', '.join(engine.vendors)})"


def legal_tp(model: Model, weight_quant: str) -> tuple[int, ...]:
    """Tensor-parallel degrees that divide the heads and, for block-scaled fp8, the blocks."""
    return tuple(degree for degree in model.legal_tp if not tp_refusal(model, weight_quant, degree))


def tp_refusal(model: Model, weight_quant: str, degree: int) -> str:
    """Why a tensor-parallel degree is impossible; empty when it is possible."""
    if degree not in model.legal_tp:
        return f"tensor parallel {degree} does not divide the heads or widths of {model.id}"
    blocks = model.fp8_block_legal_tp
    if weight_quant == "fp8" and blocks and degree not in blocks:
        return f"tensor parallel {degree} cuts through the fp8 scale blocks of {model.id} (at most {max(blocks)})"
    return ""


def pp_refusal(model: Model, degree: int) -> str:
    """Why a pipeline-parallel degree is impossible; empty when it is possible."""
    if degree > model.num_layers:
        return f"pipeline parallel {degree} leaves stages without a layer ({model.num_layers} layers)"
    return ""


def offload_refusal() -> str:
    """Why weights or KV in host memory are not planned."""
    return (
        "offload to host memory is not planned: each token would read the offloaded weights over PCIe "
        "(about 25 to 50 GB/s, a fiftieth of the card's own memory), so no interactive target can hold"
    )


def compute_precision(gpu: Gpu, weight_quant: str) -> str:
    """The precision a weight format computes at on a card: weight-only formats save memory, not arithmetic."""
    if weight_quant in ("bf16", "int4"):
        return "bf16"
    if weight_quant == "fp8":
        return "fp8" if gpu.supports_fp8 else "bf16"
    if weight_quant == "int8":
        return "int8"
    if weight_quant == "nvfp4":
        return "fp4"
    return "fp8" if gpu.supports_fp4 else "bf16"


def recovery(catalog: Catalog, model: Model, weight_quant: str, kv_cache: str) -> float:
    """Share of the native precision's accuracy kept: weight recovery x KV recovery.

    A format at least as wide as the native one keeps everything. The catalog's fact of the largest size bound at or
    below the model's size applies.
    """
    native = native_quant(model)
    wider = _WIDTH[weight_quant] < _WIDTH[native]
    weights = 1.0 if weight_quant == native or wider else _fact(catalog, weight_quant, model)
    cache = _fact(catalog, "kv_fp8", model) if kv_cache == "fp8" else 1.0
    return weights * cache


def _fact(catalog: Catalog, name: str, model: Model) -> float:
    size = model.total_params / 1e9
    facts = [fact for fact in catalog.quant_facts if fact.format == name]
    if not facts:
        return 0.0
    fitting = [fact for fact in facts if fact.min_params_b <= size] or [min(facts, key=lambda f: f.min_params_b)]
    return max(fitting, key=lambda fact: fact.min_params_b).recovery


def _weight_refusal(gpu: Gpu, model: Model, engine: Engine, quant: str) -> str:
    if reason := engine_refusal(gpu, engine):
        return reason
    if quant not in engine.weight_quants:
        return f"{engine.display_name} does not serve {quant} weights"
    if reason := _model_refusal(model, quant):
        return reason
    if gpu.vendor == "nvidia":
        return _nvidia_refusal(gpu, quant)
    return _other_refusal(gpu, quant)


def _model_refusal(model: Model, quant: str) -> str:
    native = native_quant(model)
    if quant == "mxfp4" and not model.is_moe:
        return "mxfp4 checkpoints quantize routed experts only, and this model has none"
    if native == "mxfp4" and quant not in ("mxfp4", "bf16"):
        return "the model is published in mxfp4; other quantizations of it lose accuracy and save nothing"
    return ""


def _nvidia_refusal(gpu: Gpu, quant: str) -> str:
    capability = gpu.compute_capability or 0.0
    if quant == "fp8" and capability < _AMPERE:
        return f"fp8 weights need compute capability 8.0 (weight-only) or 8.9 (fp8 arithmetic); this is {capability}"
    if quant == "int8" and not _TURING <= capability < _BLACKWELL:
        return f"int8 W8A8 kernels exist for compute capability 7.5 to 9.0; this is {capability}"
    if quant == "int4" and capability < _TURING:
        return f"AWQ/GPTQ int4 kernels need compute capability 7.5; this is {capability}"
    if quant == "nvfp4" and capability < _BLACKWELL:
        return f"nvfp4 runs natively on Blackwell only (compute capability 10.0); this is {capability}"
    if quant == "mxfp4" and capability < _AMPERE:
        return f"mxfp4 kernels need compute capability 8.0; this is {capability}"
    return ""


def _other_refusal(gpu: Gpu, quant: str) -> str:
    if quant == "fp8" and not gpu.supports_fp8:
        return f"{gpu.id} has no fp8 arithmetic"
    if quant == "int8" and not gpu.int8_tops:
        return f"no int8 rate is stated for {gpu.id}"
    if quant == "nvfp4":
        return "nvfp4 is an NVIDIA Blackwell format"
    if quant == "mxfp4" and (gpu.vendor not in _MXFP4_VENDORS or not gpu.supports_fp8):
        return f"no mxfp4 kernels for {gpu.id}"
    return ""


def _kv_refusal(gpu: Gpu, engine: Engine, kv: str) -> str:
    if reason := engine_refusal(gpu, engine):
        return reason
    if kv not in engine.kv_caches:
        return f"{engine.display_name} does not keep a {kv} KV cache"
    if kv != "fp8":
        return ""
    capability = gpu.compute_capability or 0.0
    if gpu.vendor == "nvidia" and capability < _ADA:
        return f"fp8 KV needs compute capability 8.9 (Ampere only through one backend); this is {capability}"
    return "" if gpu.supports_fp8 else f"{gpu.id} has no fp8 arithmetic"


def is_latent(model: Model) -> bool:
    """Whether KV is a latent vector that every tensor-parallel rank keeps whole (MLA, alone or in a hybrid)."""
    return model.attention is Attention.MLA or model.kv_lora_rank > 0
