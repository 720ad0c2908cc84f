"""``optimize memory MODEL``: the memory bill of one replica, layer by layer, beside the usual rules of thumb."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.errors import UsageError

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog, Model
    from optimizer.performance.memory_statement import Statement
    from optimizer.performance.starting import Starting
    from optimizer.performance.types import ReplicaSpec

_GB = 1e9
_GIB = 2.0**30
_RULE_WIDTH = 42
_MOST_USERS = 10**9
_HOLDS = 0.03


@click.command(name="memory")
@click.argument("model")
@click.option("--gpu", help="Card, an id of `optimize catalog gpus`; without it only the model is described.")
@click.option("--context", type=click.IntRange(min=2), help="max_model_len in tokens; default: the model's limit.")
@click.option(
    "--users", type=click.IntRange(min=1, max=_MOST_USERS), default=1, show_default=True, help="Requests held at once."
)
@click.option("--quant", help="bf16, fp8, int8, int4, nvfp4 or mxfp4; default: as published.")
@click.option(
    "--kv", "kv_cache", type=click.Choice(["auto", "fp8"]), help="auto: 16 bit; default: as the checkpoint asks."
)
@click.option("--tp", type=click.IntRange(min=1), default=1, show_default=True, help="Tensor-parallel degree.")
@click.option("--pp", type=click.IntRange(min=1), default=1, show_default=True, help="Pipeline-parallel degree.")
@click.option("--attention-dp", type=click.IntRange(min=1), default=1, help="Ranks that share the routed experts.")
@click.option(
    "--expert-parallel", type=click.IntRange(min=1), help="Groups the experts are dealt to: divides TP x attention DP."
)
@click.option(
    "--speculative",
    type=click.Choice(["none", "mtp"]),
    default="none",
    help="mtp loads the layers for speculation too.",
)
@click.option(
    "--gpu-memory-utilization", "share", type=click.FloatRange(0.01, 1.0), help="Share of memory, as engines."
)
@click.option("--max-num-seqs", "sequences", type=click.IntRange(1, _MOST_USERS), help="Sequences that run at once.")
@click.option("--max-num-batched-tokens", "batched", type=click.IntRange(1, _MOST_USERS), help="Tokens of a step.")
@click.option("--engine", default="vllm", show_default=True, help="Serving engine, for its law and defaults.")
@click.option("--engine-version", "version", default="", help="Its version; default: the newest that was read.")
@click.option(
    "--catalogs", type=click.Path(path_type=Path), metavar="DIR", help="Catalogs that override the packaged ones."
)
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    model: str,
    gpu: str | None,
    context: int | None,
    users: int,
    catalogs: Path | None,
    style: str,
    quant: str | None,
    kv_cache: str | None,
    tp: int,
    pp: int,
    attention_dp: int,
    expert_parallel: int | None,
    speculative: str,
    share: float | None,
    sequences: int | None,
    batched: int | None,
    engine: str,
    version: str,
) -> None:
    """Print what MODEL (a catalog id, a Hugging Face config.json or its folder) needs on a GPU, and whether it starts.

    Flags left out are the defaults of the engine's version, so that the figures compare with its start-up log.
    """
    from optimizer.catalog import load_catalog
    from optimizer.performance.memory_statement import statement
    from optimizer.performance.starting import starting

    catalog = load_catalog(catalogs)
    found = _model(catalog, model)
    if speculative == "mtp":
        found = _with_draft(found, quant)
    if gpu is None:
        facts = _model_facts(found, quant)
        click.echo(json.dumps({"model": facts}, indent=2) if style == "json" else "\n".join(_facts_text(facts)))
        return
    asked = _ReplicaOptions(
        gpu, engine, version, quant, kv_cache, tp, pp, attention_dp, expert_parallel, share, sequences, batched,
        context or found.context_limit,
    )  # fmt: skip
    spec = _spec(catalog, found, asked)
    result, start = statement(spec, asked.context, users), starting(spec)
    if style == "json":
        told = _as_json(spec, result, asked.context, users)
        click.echo(json.dumps({**told, "model": _model_facts(found, quant), **_start_json(spec, start)}, indent=2))
    else:
        click.echo(
            "\n".join([*_as_text(spec, result, asked.context, users), *_start_text(spec, start), *_notes(found)])
        )


@dataclass(frozen=True, slots=True)
class _ReplicaOptions:
    """The options that describe a replica; None where a flag was left out."""

    gpu: str
    engine: str
    version: str
    quant: str | None
    kv_cache: str | None
    tp: int
    pp: int
    attention_dp: int
    expert_parallel: int | None
    share: float | None
    sequences: int | None
    batched: int | None
    context: int

    def experts(self, model: Model) -> int:
        """Groups that the experts are dealt to; not stated: every GPU behind attention ranks, else none."""
        every = self.tp * self.attention_dp if model.is_moe and self.attention_dp > 1 else 1
        return self.expert_parallel or every


def _model(catalog: Catalog, name: str) -> Model:
    from optimizer.catalog import model_from_config
    from optimizer.files.text_file import is_file, is_folder

    if name not in catalog.models and (is_file(Path(name)) or is_folder(Path(name))):
        return model_from_config(Path(name))
    _known(name, catalog.models, "model")
    return catalog.models[name]


def _with_draft(model: Model, quant: str | None) -> Model:
    """The model with its multi-token-prediction layers, which only configuration files tell of."""
    from optimizer.catalog.draft_layers import with_draft
    from optimizer.performance.compatibility import native_quant

    chosen = quant or native_quant(model)
    if not model.draft or chosen not in dict(model.stored):
        raise UsageError(
            f"no layers for speculation are known of {model.id} in {chosen}: name its config.json, in its own format"
        )
    return with_draft(model, chosen)


def _known(name: str, among: object, kind: str) -> None:
    from collections.abc import Mapping
    from difflib import get_close_matches

    assert isinstance(among, Mapping)
    if name not in among:
        close = get_close_matches(name, among, n=1, cutoff=0.4)
        raise UsageError(f"unknown {kind} {name!r}" + (f"; did you mean {close[0]}?" if close else ""))


def _spec(catalog: Catalog, model: Model, asked: _ReplicaOptions) -> ReplicaSpec:
    """The replica asked about; what its card, engine or model cannot do is refused with the reason."""
    from optimizer.catalog.remarks import longer_context
    from optimizer.performance.compatibility import (
        kv_cache_gates,
        native_quant,
        pp_refusal,
        tp_refusal,
        weight_quant_gates,
    )
    from optimizer.performance.degrees import degree_refusals
    from optimizer.performance.startup import default_share
    from optimizer.performance.types import ReplicaSpec

    _known(asked.gpu, catalog.gpus, "GPU")
    _known(asked.engine, catalog.engines, "engine")
    card, server, chosen = catalog.gpus[asked.gpu], catalog.engines[asked.engine], asked.quant or native_quant(model)
    gates = weight_quant_gates(card, model, server)
    if chosen not in (gate.value for gate in gates):
        raise UsageError(f"unknown weight format {chosen!r}; known: {', '.join(gate.value for gate in gates)}")
    if asked.context > model.context_limit:
        raised = longer_context(model)
        message = f"{model.id} stops at {model.context_limit:,} tokens of context; {asked.context:,} were asked for"
        raise UsageError(f"{message}; {raised}" if raised else message)
    caches = {gate.value: gate.reason for gate in kv_cache_gates(card, server)}
    stated = model.kv_in_checkpoint if not caches.get(model.kv_in_checkpoint, "unknown") else "auto"
    cache = asked.kv_cache or stated
    reasons = [gate.reason for gate in gates if gate.value == chosen]
    reasons += [caches.get(cache, "")]
    reasons += [tp_refusal(model, chosen, asked.tp), pp_refusal(model, asked.pp)]
    if any(reasons):
        raise UsageError("\n".join(dict.fromkeys(reason for reason in reasons if reason)))
    spec = ReplicaSpec(
        gpu=card,
        model=model,
        engine=server,
        weight_quant=chosen,
        kv_cache=cache,
        tensor_parallel=asked.tp,
        pipeline_parallel=asked.pp,
        link=card.link,
        gpu_memory_utilization=asked.share
        or default_share(server, card, asked.version, asked.tp * asked.attention_dp, asked.pp),
        max_num_seqs=asked.sequences or server.max_num_seqs_on(card, asked.version),
        max_num_batched_tokens=asked.batched or server.max_num_batched_tokens_on(card, asked.version),
        max_model_len=asked.context,
        attention_dp=asked.attention_dp,
        expert_parallel=asked.experts(model),
        engine_version=asked.version,
    )
    if refusals := list(degree_refusals(spec)):
        raise UsageError("\n".join(reason for _, reason in refusals))
    return spec


def _model_facts(model: Model, quant: str | None) -> dict[str, object]:
    """What a model is, whatever serves it. ``bytes_as_loaded`` leaves out layers for speculative decoding."""
    from optimizer.performance.compatibility import native_quant
    from optimizer.performance.formats import BITS
    from optimizer.performance.memory import weight_bytes

    chosen = quant or native_quant(model)
    if chosen not in BITS:
        raise UsageError(f"unknown weight format {chosen!r}; known: {', '.join(BITS)}")
    return {
        "id": model.id,
        "total_params": round(model.total_params),
        "active_params": round(model.active_params),
        "kv_bytes_per_token_16bit": round(model.kv_bytes_full_16bit),
        "kv_sliding_bytes_per_token_16bit": round(model.kv_bytes_sliding_16bit),
        "sliding_window_tokens": model.sliding_window if model.sliding_layers else 0,
        "index_bytes_per_token": round(model.index_bytes_per_token),
        "state_bytes_per_sequence": round(model.linear_state_bytes),
        "weight_format": native_quant(model),
        "bytes_as_loaded": round(weight_bytes(model, chosen)),
        "context_limit": model.context_limit,
        "kv_format_in_checkpoint": model.kv_in_checkpoint or None,
        "takes": ["text", *model.modalities],
        "read_by": "standard keys, grade C" if model.plain_keys else "rules of its family",
        "notes": model.notes,
    }


def _facts_text(facts: dict[str, object]) -> list[str]:
    def line(name: str, value: object) -> str:
        text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        return f"  {name.replace('_', ' '):40s}{text}"

    shown = {key: value for key, value in facts.items() if key not in ("id", "notes", "takes")}
    lines = [str(facts["id"]), *(line(key, value) for key, value in shown.items() if value is not None)]
    return [*lines, *_wrapped(str(facts["notes"]))]


def _notes(model: Model) -> list[str]:
    return ["", *_wrapped(model.notes)] if model.notes and model.source.startswith("config.json") else []


def _wrapped(notes: str) -> list[str]:
    from textwrap import wrap

    return wrap(notes, 98)


def _start_json(spec: ReplicaSpec, start: Starting) -> dict[str, object]:
    """The start as the contract of ``--format json`` names it; GiB of one GPU."""
    return {
        "engine_version": spec.engine_version or None,
        "gpu_memory_utilization": spec.gpu_memory_utilization,
        "max_num_seqs": spec.max_num_seqs,
        "max_num_batched_tokens": spec.max_num_batched_tokens,
        "max_model_len": spec.max_model_len,
        "attention_dp": spec.attention_dp,
        "expert_parallel": spec.expert_parallel,
        "moe_tensor_parallel": spec.expert_gpus // spec.expert_parallel,
        "gpus": spec.gpus,
        "per_gpu": {
            "weights_gib": round(start.weights / _GIB, 4),
            "kv_gib": round(start.kv / _GIB, 4),
            "kv_tokens": start.kv_tokens,
            "peak_activation_gib": round(start.start.activations / _GIB, 4),
            "cuda_graph_gib": round(start.start.graphs / _GIB, 4),
            "total_gib": round(start.start.total / _GIB, 4),
            "usable_gib": round(spec.gpu_memory_utilization * start.start.total / _GIB, 4),
        },
        "starts": start.starts,
        "reason": start.reason or None,
        "least_change": start.least_change or None,
    }


def _start_text(spec: ReplicaSpec, start: Starting) -> list[str]:
    """Whether the engine starts, as its log would say it."""
    version = f" {spec.engine_version}" if spec.engine_version else ""
    name = f"{spec.engine.display_name}{version}"
    figures = (
        f"KV cache {start.kv / _GIB:,.2f} GiB, {start.kv_tokens:,} tokens; weights {start.weights / _GIB:.2f}, "
        f"peak {start.start.activations / _GIB:.2f}, graphs {start.start.graphs / _GIB:.2f} GiB"
    )
    asked = f"max_num_seqs {spec.max_num_seqs:,}, max_num_batched_tokens {spec.max_num_batched_tokens:,}"
    lines = ["", f"{name} at start: {asked}", f"  {figures}"]
    if start.starts:
        return [*lines, f"  It starts with max_model_len {spec.max_model_len:,}."]
    change = f"The least change that does: {start.least_change}." if start.least_change else "Nothing tried helps."
    return [*lines, *_wrapped(f"It does not start, because {start.reason}."), *_wrapped(change)]


def _as_text(spec: ReplicaSpec, s: Statement, context: int, users: int) -> list[str]:
    model, bill = spec.model, s.bill
    kv = "fp8 KV" if spec.kv_cache == "fp8" else "16-bit KV"
    lines = [
        f"{model.id} in {spec.weight_quant}, {kv}, {users:,} x {context:,} tokens",
        f"on {spec.gpus} x {spec.gpu.id} (TP{spec.tensor_parallel}, PP{spec.pipeline_parallel})",
        "",
        "Weights, whole model                                layers     parameters   bits         GB",
    ]
    for p in s.parts:
        told = f"{p.name:48s}{p.layers:8,d} {p.params / 1e9:12.2f} B {p.bits:6.2f}" if p.params else p.name
        lines.append(f"  {told:78s}{p.size / _GB:10.2f}")
    lines += [f"  {'total':78s}{s.weights / _GB:10.2f}", "", "KV cache, whole model"]
    lines += [
        f"  {f'per token: {s.kv_per_token:,.0f} bytes':78s}{s.kv_per_token / _GB:10.6f}",
        f"  {f'per request of {context:,} tokens':78s}{s.kv_per_user / _GB:10.2f}",
        f"  {_count(users):78s}{s.kv_total / _GB:10.2f}",
        "",
        "One GPU (the fullest)",
    ]
    share = f"{spec.gpu_memory_utilization:.0%} of {spec.gpu.total_mib / 1024:,.2f} GiB as CUDA reports"
    rows = (
        ("weights", bill.weights),
        ("KV cache", s.kv_per_gpu),
        (f"activations ({spec.max_num_batched_tokens:,} tokens a step)", bill.activations),
        ("context, graphs, communication buffers", bill.overhead),
        ("needed", s.total_per_gpu),
        (f"usable: {share}", bill.usable),
    )
    lines += [f"  {name:78s}{size / _GB:10.2f}" for name, size in rows]
    title = f"{'Rule of thumb':{_RULE_WIDTH}s}  says GB    bill GB   where it misleads"
    lines += ["", _verdict(spec, s, context), "", title]
    for rule in s.rules:
        figures = f"{rule.says / _GB:9,.1f} {rule.bill / _GB:10,.1f}"
        misleads = abs(rule.says / rule.bill - 1.0) > _HOLDS
        lines.append(f"{rule.name:{_RULE_WIDTH}s}{figures}   {_ratio(rule.says / rule.bill)}")
        lines += [f"    {rule.note}"] if rule.note and misleads else []
    return lines


def _count(users: int) -> str:
    return "1 request" if users == 1 else f"{users:,} requests"


def _ratio(ratio: float) -> str:
    if abs(ratio - 1.0) <= _HOLDS:
        return "holds"
    return f"{ratio:,.1f} times too much" if ratio > 2 else f"{ratio - 1:+.0%}"


def _verdict(spec: ReplicaSpec, s: Statement, context: int) -> str:
    name = f"{spec.gpus} x {spec.gpu.id}"
    if s.fits:
        return f"Fits. {name} holds {_count(s.most_users)} of {context:,} tokens; plan with nine tenths of that."
    missing = (s.total_per_gpu - s.bill.usable) / _GB
    least = f"tensor parallel {s.smallest_tp} is the least that does"
    other = least if s.smallest_tp else "no legal tensor-parallel degree does"
    held = f"; it would hold {s.most_users:,} such requests" if s.most_users else ""
    return f"Does not fit {name}: {missing:.2f} GB a GPU too much{held}; {other}."


def _as_json(spec: ReplicaSpec, s: Statement, context: int, users: int) -> dict[str, object]:
    bill = s.bill
    return {
        "model": spec.model.id,
        "gpu": spec.gpu.id,
        "gpus": spec.gpus,
        "engine": spec.engine.id,
        "weight_quant": spec.weight_quant,
        "kv_cache": spec.kv_cache,
        "tensor_parallel": spec.tensor_parallel,
        "pipeline_parallel": spec.pipeline_parallel,
        "context": context,
        "users": users,
        "weights": [
            {"part": p.name, "layers": p.layers, "parameters": p.params, "bits": p.bits, "bytes": p.size}
            for p in s.parts
        ],
        "weights_bytes": s.weights,
        "kv": {"bytes_per_token": s.kv_per_token, "bytes_per_request": s.kv_per_user, "bytes": s.kv_total},
        "per_gpu_bytes": {
            "weights": bill.weights,
            "kv_cache": s.kv_per_gpu,
            "activations": bill.activations,
            "overhead": bill.overhead,
            "total": s.total_per_gpu,
            "usable": bill.usable,
        },
        "fits": s.fits,
        "requests_that_fit": s.most_users,
        "smallest_tensor_parallel": s.smallest_tp,
        "rules_of_thumb": [
            {"rule": r.name, "says_bytes": r.says, "bill_bytes": r.bill, "note": r.note} for r in s.rules
        ],
    }
