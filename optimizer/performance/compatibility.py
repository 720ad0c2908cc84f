"""What a card, a model and an engine allow at all: precision, parallel degrees, vendor; and what a format costs in
accuracy. Every refusal carries its reason. Which number format runs where is catalogs/formats.csv, a fact of the engine
and its version; like what does not fit or divide, it is applied before the solver sees a candidate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optimizer.catalog.types import EVERY_ENGINE, Catalog, Engine, FormatRule, Gpu, Model
from optimizer.performance.formats import computed_format, kernel_format
from optimizer.performance.parameters import version_number
from optimizer.performance.types import ReplicaSpec

QUANTS = ("bf16", "fp8", "int8", "int4", "nvfp4", "mxfp4")
"""Weight formats, widest first."""

KV_CACHES = ("auto", "fp8")

DEALS_EXPERTS = frozenset({"vllm", "sglang", "trtllm"})
"""Profiles of engines whose mixtures are planned with attention ranks and dealt experts: a plan can state their
options (catalogs/engine_options.csv)."""

_WIDTH = {"bf16": 0, "fp8": 1, "int8": 1, "int4": 2, "nvfp4": 2, "mxfp4": 2}


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


def weight_quant_gates(gpu: Gpu, model: Model, engine: Engine, version: str = "") -> tuple[Gate, ...]:
    """Every weight format with the reason it is refused on this card, model, engine and version, if it is."""
    return tuple(Gate(quant, _weight_refusal(gpu, model, engine, quant, version)) for quant in QUANTS)


def weight_quants(gpu: Gpu, model: Model, engine: Engine, version: str = "") -> tuple[str, ...]:
    """Weight formats this card, model and engine allow together."""
    return tuple(gate.value for gate in weight_quant_gates(gpu, model, engine, version) if gate.allowed)


def kv_cache_gates(gpu: Gpu, engine: Engine, version: str = "") -> tuple[Gate, ...]:
    """Every KV-cache type with the reason it is refused, if it is."""
    return tuple(Gate(kv, _kv_refusal(gpu, engine, kv, version)) for kv in KV_CACHES)


def kv_caches(gpu: Gpu, engine: Engine, version: str = "") -> tuple[str, ...]:
    """KV-cache types this card and engine allow."""
    return tuple(gate.value for gate in kv_cache_gates(gpu, engine, version) if gate.allowed)


def engine_refusal(gpu: Gpu, engine: Engine) -> str:
    """Why an engine does not run on a card; empty when it does."""
    if gpu.vendor in engine.vendors:
        return ""
    return f"{engine.display_name} does not run on {gpu.vendor} cards (it runs on {', '.join(engine.vendors)})"


def run_refusals(spec: ReplicaSpec) -> tuple[str, ...]:
    """Why a configuration cannot run whatever its model: engine and card, weight format, KV type, stages."""
    gpu, engine, version = spec.gpu, spec.engine, spec.engine_version
    if reason := engine_refusal(gpu, engine):
        return (reason,)
    served = spec.weight_quant in engine.weight_quants
    reasons = (
        format_refusal(gpu, engine, "weights", spec.weight_quant, version)
        if served
        else f"{engine.display_name} does not serve {spec.weight_quant} weights",
        _kv_refusal(gpu, engine, spec.kv_cache, version),
        pp_refusal(spec.model, spec.pipeline_parallel),
    )
    return tuple(reason for reason in reasons if reason)


def legal_tp(model: Model, weight_quant: str) -> tuple[int, ...]:
    """Tensor-parallel degrees that divide the heads and, for block-scaled fp8, the blocks."""
    return tuple(degree for degree in model.legal_tp if not tp_refusal(model, weight_quant, degree))


def tp_refusal(model: Model, weight_quant: str, degree: int, *, experts_dealt: bool = False) -> str:
    """Why a tensor-parallel degree is impossible; empty when it is possible.

    Experts that are dealt are not cut, so of their scale blocks only those of the layers beside them count (Qwen3-235B
    in block-scaled fp8 runs at 8 with experts dealt, not with experts cut: 1,536 / 8 = 192).
    """
    if degree not in model.legal_tp:
        return f"tensor parallel {degree} does not divide the heads or widths of {model.id}"
    whole = dict(model.group_legal_tp).get(weight_quant)
    if whole and degree not in whole:
        return (
            f"tensor parallel {degree} cuts through the groups that share a scale in {weight_quant} of {model.id} "
            f"(at most {max(whole)})"
        )
    blocks = model.fp8_block_legal_tp
    if weight_quant != "fp8" or not blocks or degree in blocks:
        return ""
    if experts_dealt and all(width % (degree * SCALE_BLOCK) == 0 for width in _widths_beside_experts(model)):
        return ""
    return f"tensor parallel {degree} cuts through the fp8 scale blocks of {model.id} (at most {max(blocks)})"


SCALE_BLOCK = 128
"""Rows and columns of weights that share one scale in block-scaled fp8 checkpoints."""


def _widths_beside_experts(model: Model) -> Iterator[int]:
    """Widths that tensor parallelism cuts where routed experts are dealt."""
    yield model.num_attention_heads * (model.v_head_dim or model.head_dim)
    if model.first_dense_layers:
        yield model.intermediate_size
    if model.shared_experts:
        yield model.shared_experts * model.expert_intermediate_size


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
    return computed_format(kernel_format(gpu, weight_quant))


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


def _weight_refusal(gpu: Gpu, model: Model, engine: Engine, quant: str, version: str) -> str:
    if reason := engine_refusal(gpu, engine):
        return reason
    if quant not in engine.weight_quants:
        return f"{engine.display_name} does not serve {quant} weights"
    return _model_refusal(model, quant) or format_refusal(gpu, engine, "weights", quant, version)


def _model_refusal(model: Model, quant: str) -> str:
    native = native_quant(model)
    if quant == "mxfp4" and not model.is_moe:
        return "mxfp4 checkpoints quantize routed experts only, and this model has none"
    if native == "mxfp4" and quant not in ("mxfp4", "bf16"):
        return "the model is published in mxfp4; other quantizations of it lose accuracy and save nothing"
    return ""


def _kv_refusal(gpu: Gpu, engine: Engine, kv: str, version: str) -> str:
    if reason := engine_refusal(gpu, engine):
        return reason
    if kv not in engine.kv_caches:
        return f"{engine.display_name} does not keep a {kv} KV cache"
    return format_refusal(gpu, engine, "kv_cache", kv, version)


def format_refusal(gpu: Gpu, engine: Engine, kind: str, number_format: str, version: str) -> str:
    """Why a card does not have a number format under an engine of that version, by formats.csv; empty when it does.

    The engine's own rows count where it has any of the vendor, kind and format, else those of all engines. A row that
    asks for an engine version holds only where a version is stated: an unstated one is the newest that the packaged
    measurements cover.
    """
    key = (gpu.vendor, kind, number_format)
    rules = [rule for rule in engine.format_rules if (rule.vendor, rule.kind, rule.format) == key]
    own = [rule for rule in rules if rule.engine != EVERY_ENGINE] or rules
    here = [rule for rule in own if rule.arch in ("", gpu.arch)]
    refused = next((rule.reason for rule in here if not rule.allowed), "")
    if refused:
        return f"{refused} ({gpu.id})"
    if any(_holds(rule, gpu, version) for rule in here):
        return ""
    nearest = next((rule for rule in here if _in_range(rule, gpu)), here[0] if here else None)
    if nearest is None:
        return f"no {number_format} {_KINDS[kind]} is known to run on {gpu.vendor} cards under {engine.display_name}"
    stands = f"compute capability {gpu.compute_capability}" if gpu.compute_capability is not None else gpu.arch
    return f"{nearest.reason}; {gpu.id} is {stands}"


def _holds(rule: FormatRule, gpu: Gpu, version: str) -> bool:
    """Whether a card and version are what a row asks for."""
    needed, stated = version_number(rule.from_version), version_number(version)
    new_enough = needed is None or (stated is not None and stated >= needed)
    able = {"": True, "fp8": gpu.supports_fp8, "int8": bool(gpu.int8_tops)}[rule.card_needs]
    return new_enough and able and _in_range(rule, gpu)


def _in_range(rule: FormatRule, gpu: Gpu) -> bool:
    """Whether the compute capability is one that a row speaks of."""
    capability = gpu.compute_capability or 0.0
    low, high = rule.from_capability, rule.below_capability
    return (low is None or capability >= low) and (high is None or capability < high)


_KINDS = {"weights": "weights", "kv_cache": "KV cache"}
