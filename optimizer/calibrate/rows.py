"""Measured configurations: one row of a measurement table (ours or a user's) as typed values.

Also the translation of a row into what the model needs: a replica specification, how many replicas, a load pattern.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from optimizer.calibrate.checkpoint_names import named
from optimizer.catalog.types import Catalog, DraftFact, Engine, Gpu, Model
from optimizer.errors import Finding, InputError
from optimizer.files.nodes import shown
from optimizer.files.text_file import whole_id
from optimizer.performance.speculation import EAGLE3, METHODS, MTP, Speculation, eagle3_head, mtp_layer
from optimizer.performance.startup import default_share
from optimizer.performance.types import ReplicaSpec
from optimizer.vocabulary import Link

T = TypeVar("T")

LOADS = ("closed_loop", "open_loop", "static_batch", "offline")
DECODE_STEP, PROMPT_STEP = "decode_step", "prompt_step"
"""Loads of packaged engine steps: their TPOT is the duration of one step. No load of a user's row."""

NO_SPECULATION = "none"
SPECULATIVE = (NO_SPECULATION, *METHODS)
OVERLAPS = ("off", "on")
STARTS = ("burst", "steady", "unknown")
LINKS = {
    "nvlink": Link.NVSWITCH,
    "nvswitch": Link.NVSWITCH,
    "nvlink_pair": Link.NVLINK_PAIR,
    "xgmi": Link.XGMI,
    "infinity-fabric": Link.XGMI,
    "hccs": Link.HCCS,
    "roce": Link.HCCS,  # Gaudi's on-chip Ethernet: a direct fabric of the node
    "pcie": Link.PCIE,
    "none": Link.PCIE,
}
QUANTS = {"fp16": "bf16", "bf16": "bf16", "fp8": "fp8", "int8": "int8", "int4": "int4", "awq": "int4", "gptq": "int4",
          "nvfp4": "nvfp4", "mxfp4": "mxfp4"}  # fmt: skip

STALL = 20.0
"""A closed loop whose TTFT p99 is so many medians saw a stall that no queue explains: measured runs show 70 s beside a
median of 0.5 s, kernels compiled on first use. Such runs count by their medians, which the stall does not reach."""


class RowError(InputError):
    """What is wrong with a row: the cell and a sentence for each defect."""

    def __init__(self, defects: Sequence[tuple[str, str]]) -> None:
        super().__init__([Finding(message) for _, message in defects])
        self.defects = tuple(defects)


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """One configuration, and what was measured of it (nan where it was not). Latencies in ms."""

    row_id: str
    source: str
    gpu: str
    gpu_count: int
    interconnect: str
    engine: str
    engine_version: str
    model: str
    weight_quant: str
    kv_cache: str
    tp: int
    pp: int
    dp: int
    input_tokens: float
    output_tokens: float
    load: str
    start: str
    requests: float
    length_low: float
    concurrency: float
    request_rate: float
    output_tokens_per_s: float = math.nan
    ttft_ms_mean: float = math.nan
    ttft_ms_p50: float = math.nan
    ttft_ms_p95: float = math.nan
    ttft_ms_p99: float = math.nan
    tpot_ms_mean: float = math.nan
    tpot_ms_p50: float = math.nan
    tpot_ms_p95: float = math.nan
    tpot_ms_p99: float = math.nan
    e2e_ms: float = math.nan
    date: str = ""
    replicas: int = 0  # independent copies behind a router; 0 = not stated, likewise the degrees and settings below
    attention_dp: int = 0  # ranks of one engine that share the routed experts, each with its own requests
    expert_parallel: int = 0  # groups that the routed experts are dealt to
    moe_tensor_parallel: int = 0  # GPUs that share the work of one expert
    overlap: str = "off"  # two-batch overlap of exchange and computing
    speculative: str = "none"
    speculative_tokens: int = 0  # drafted in a step; 0 = not stated
    acceptance: float = math.nan  # chance that a drafted token is accepted, those before it being so
    task: str = ""  # what is written: acceptance is looked up by it where it is not stated
    draft_model: str = ""  # the small model of ``draft``
    gpu_memory_utilization: float = math.nan
    max_num_seqs: int = 0
    max_num_batched_tokens: int = 0
    nodes: int = 0  # that one replica spans; 0: one
    router: str = ""  # of a test that is sent as described, from an idle server to the end; else empty
    input_p95: float = math.nan  # of lognormal lengths; nan: all alike, likewise of the output
    output_p95: float = math.nan
    context_max: int = 0  # longest input + output; 0: the two added
    shared_prefix: float = 0.0  # share of the input tokens that are found in the prefix cache
    requests_per_prefix: int = 0  # that share one prefix; 0: all

    @property
    def group(self) -> str:
        """Source x GPU x model: what cross-validation leaves out whole."""
        return f"{self.source}|{self.gpu}|{self.model}"

    @property
    def stalled(self) -> bool:
        """Whether a run's means, tail and duration are those of a one-time stall."""
        return self.load == "closed_loop" and self.ttft_ms_p99 > STALL * self.ttft_ms_p50

    @property
    def ttft_by_mean(self) -> bool:
        """Whether TTFT is judged by its mean, else by its median."""
        return self.ttft_ms_mean > 0 and not self.stalled

    @property
    def tpot_by_mean(self) -> bool:
        """Whether TPOT is judged by its mean, else by its median."""
        return self.tpot_ms_mean > 0 and not (self.stalled and self.tpot_ms_p50 > 0)


@dataclass(frozen=True, slots=True)
class RowCase:
    """A row in the terms of the model."""

    row: MeasuredRow
    spec: ReplicaSpec
    replicas: int  # copies with requests of their own: independent replicas x attention ranks of each
    unknown_engine: bool = False

    @property
    def busy(self) -> int:
        """Copies that have requests: never more than there are requests, where their number is stated."""
        held = self.row.concurrency
        if self.row.load == "open_loop" or not held >= 1:
            return max(self.replicas, 1)
        return max(min(self.replicas, int(held)), 1)


def case_of(row: MeasuredRow, catalog: Catalog) -> RowCase:
    """What the model is asked for a row; raises RowError where it cannot be asked."""
    gpu = _known(catalog.gpus, row.gpu, "gpu")
    held = None if row.model in catalog.models else named(row.model, catalog)
    name = held.model if held else whole_id(row.model, catalog.models) or row.model
    model = _known(catalog.models, name, "model")
    engine, unknown = engine_of(row.engine, catalog)
    quant = quant_of(row.weight_quant or (held.weight_quant if held else ""), gpu, model)
    kv = kv_of(row.kv_cache, quant, gpu, model)
    link = LINKS.get(row.interconnect, gpu.link if gpu.link_gb_s else Link.PCIE)
    copies, ranks = degrees_of(row, model)
    experts = experts_of(row, model, ranks)
    utilization = row.gpu_memory_utilization
    spec = ReplicaSpec(
        gpu=gpu, model=model, engine=engine, weight_quant=quant, kv_cache=kv, tensor_parallel=row.tp,
        pipeline_parallel=row.pp, link=link,
        gpu_memory_utilization=(
            default_share(engine, gpu, row.engine_version, row.tp * ranks, row.pp)
            if math.isnan(utilization)
            else utilization
        ),
        max_num_seqs=row.max_num_seqs or engine.max_num_seqs_on(gpu, row.engine_version),
        max_num_batched_tokens=row.max_num_batched_tokens or engine.max_num_batched_tokens_on(gpu, row.engine_version),
        max_model_len=row.context_max or int(row.input_tokens + row.output_tokens), attention_dp=ranks,
        expert_parallel=experts, overlap=row.overlap == "on", engine_version=row.engine_version, known_host=True,
        crosses_nodes=row.nodes > 1, speculation=speculation_of(row, model, catalog),
    )  # fmt: skip
    return RowCase(row, spec, copies * ranks, unknown)


def degrees_of(row: MeasuredRow, model: Model) -> tuple[int, int]:
    """Independent copies, and attention ranks of each copy that share its routed experts.

    ``dp`` of a dense model means copies. Of a mixture of experts it means ranks in the packaged measurements: vLLM's
    data parallel ranks form one tensor or expert parallel group for the experts (vLLM documentation, "Data parallel
    deployment"), as SGLang's and TensorRT-LLM's attention data parallel ranks do; elsewhere ``degree_defects`` asks.
    """
    if row.replicas or row.attention_dp:
        return max(row.replicas, 1), max(row.attention_dp, 1)
    return (1, row.dp) if model.is_moe else (row.dp, 1)


def experts_of(row: MeasuredRow, model: Model, ranks: int) -> int:
    """Groups that the routed experts of a copy are dealt to.

    Where nothing is stated, as recipes run: attention ranks deal them to every GPU, a single rank cuts them.
    """
    group = row.tp * ranks
    if not model.is_moe:
        return 1
    if row.expert_parallel:
        return row.expert_parallel
    if row.moe_tensor_parallel:
        return max(group // row.moe_tensor_parallel, 1)
    return group if ranks > 1 else 1


def degree_defects(row: MeasuredRow, model: Model, *, gpu_count_stated: bool) -> Iterator[tuple[str, str]]:
    """Columns of degrees that contradict each other, or that ask for what is not modelled."""
    stated = row.replicas or row.attention_dp
    if model.is_moe and row.dp > 1 and not stated:
        yield (
            "dp",
            (
                f"dp {row.dp} of a mixture of experts can mean two things: state replicas (independent copies) "
                "or attention_dp (ranks that share the experts)"
            ),
        )
        return
    copies, ranks = degrees_of(row, model)
    if stated and row.dp > 1 and row.dp not in (copies, ranks, copies * ranks):
        yield "dp", f"dp {row.dp} is neither replicas {copies} nor attention_dp {ranks}"
    if not model.is_moe:
        for name in ("attention_dp", "expert_parallel", "moe_tensor_parallel"):
            if (degree := getattr(row, name)) > 1:
                yield name, f"{name} {degree}: {row.model} has no routed experts; copies of it are replicas"
        ranks = 1
    group = row.tp * ranks
    if model.is_moe and (row.expert_parallel or row.moe_tensor_parallel):
        experts = row.expert_parallel or group // max(row.moe_tensor_parallel, 1)
        cut = row.moe_tensor_parallel or group // max(experts, 1)
        if experts * cut != group:
            yield (
                "expert_parallel",
                (f"expert_parallel {experts} x moe_tensor_parallel {cut} is not tp {row.tp} x attention_dp {ranks}"),
            )
    if gpu_count_stated and row.gpu_count != copies * row.pp * group:
        yield (
            "gpu_count",
            (f"gpu_count {row.gpu_count} is not replicas {copies} x pp {row.pp} x tp {row.tp} x attention_dp {ranks}"),
        )


def speculation_of(row: MeasuredRow, model: Model, catalog: Catalog) -> Speculation | None:
    """How a row speculates; raises RowError where that is not stated or nothing is known to draft.

    Acceptance that a row does not state is the median of published runs of its task; without a task it is an error, as
    it decides everything and lies anywhere between 0.4 and 0.9.
    """
    method, k = row.speculative, row.speculative_tokens
    if method == NO_SPECULATION:
        if k or row.acceptance >= 0:
            raise RowError([("speculative", "speculative_tokens or acceptance is stated, speculative is not")])
        return None
    defects = []
    if not k:
        defects.append(("speculative_tokens", f"speculative {method} needs speculative_tokens: drafts of a step"))
    acceptance = row.acceptance
    if math.isnan(acceptance):
        known = {fact.task: fact for fact in drafts_for(model.id, method, catalog) if fact.acceptance is not None}
        fact = known.get(row.task)
        if fact is None or fact.acceptance is None:
            tasks = ", ".join(sorted(known)) or "none is known"
            defects.append(("acceptance", f"speculative {method} needs acceptance (0 to 1), or a task: {tasks}"))
        else:
            acceptance = fact.acceptance
    draft = _drafting(row, model, catalog, defects)
    if defects or draft is None:
        raise RowError(defects)
    return Speculation(method, k, acceptance, draft)


def drafts_for(model: str, method: str, catalog: Catalog) -> Iterator[DraftFact]:
    """What is published of a method: of all models together, then of the model itself, which counts."""
    for whose in ("", model):
        yield from (fact for fact in catalog.drafts if fact.method == method and fact.model == whose)


def _drafting(row: MeasuredRow, model: Model, catalog: Catalog, defects: list[tuple[str, str]]) -> Model | None:
    """What drafts."""
    if row.speculative == EAGLE3:
        return eagle3_head(model)
    if row.speculative == MTP:
        if model.draft or any(fact.model == model.id and not fact.task for fact in drafts_for(model.id, MTP, catalog)):
            return mtp_layer(model)
        defects.append(("speculative", f"no layers for multi-token prediction are known of {model.id}"))
        return None
    if not row.draft_model:
        defects.append(("draft_model", "speculative draft needs draft_model: the small model that drafts"))
        return None
    draft = _known(catalog.models, whole_id(row.draft_model, catalog.models) or row.draft_model, "draft_model")
    if draft.vocab_size != model.vocab_size:
        sizes = f"{draft.vocab_size:,} and {model.vocab_size:,}"
        defects.append(("draft_model", f"{draft.id} and {model.id} have different vocabularies: {sizes} tokens"))
        return None
    return draft


def engine_of(name: str, catalog: Catalog) -> tuple[Engine, bool]:
    """The engine of that id, or the generic profile; and whether the name was unknown."""
    if name in catalog.engines:
        return catalog.engines[name], False
    return catalog.engines["generic"], True


def quant_of(name: str, gpu: Gpu, model: Model) -> str:
    """Weight format of a row: fp4 means nvfp4 on NVIDIA and mxfp4 on AMD; blank or native is the model's own."""
    native = {"fp8": "fp8", "mxfp4": "mxfp4", "fp16": "bf16", "bf16": "bf16"}
    if name in ("", "native"):
        return native.get(model.native_dtype, "int4" if model.native_dtype.startswith("int4") else "bf16")
    if name == "fp4":
        return "nvfp4" if gpu.vendor == "nvidia" else "mxfp4"
    if name not in QUANTS:
        known = ", ".join(sorted({*QUANTS, "fp4", "native"}))
        raise RowError([("weight_quant", f"unknown weight_quant {shown(name)}: one of {known}")])
    return QUANTS[name]


def kv_of(name: str, quant: str, gpu: Gpu, model: Model) -> str:
    """KV format of a row. Where none is stated the checkpoint decides: FP8 conversions of 16-bit models and all
    NVFP4 conversions carry scales for an 8-bit cache, which engines then use (measured: their caches hold twice the
    tokens).
    """
    if name:
        return "fp8" if name.startswith(("fp8", "int8")) else "auto"
    converted = quant == "nvfp4" or (quant == "fp8" and model.native_dtype in ("bf16", "fp16"))
    return "fp8" if converted and gpu.vendor == "nvidia" and gpu.supports_fp8 else "auto"


def _known(table: Mapping[str, T], key: str, what: str) -> T:
    if key in table:
        return table[key]
    near = difflib.get_close_matches(key, list(table), n=1)
    seen = f"unknown {what} {shown(key)}" if key else f"the {what} is not stated"
    raise RowError([(what, seen + (f"; did you mean {near[0]}?" if near else ""))])
