"""The memory bill of one replica beside the usual rules of thumb, as text and JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from optimizer.errors import UsageError
from optimizer.report.layout import Say
from optimizer.report.widths import padded, wrap

if TYPE_CHECKING:
    from optimizer.catalog.types import Model
    from optimizer.negotiate.memory import MemoryAnswer
    from optimizer.performance.memory_statement import Statement
    from optimizer.performance.starting import Starting
    from optimizer.performance.types import ReplicaSpec

_GB = 1e9
_GIB = 2.0**30
_RULE_WIDTH = 42
_HOLDS = 0.03


def render_memory(answer: MemoryAnswer, style: str = "text", say: Say = str) -> str:
    """The answer of ``optimize memory`` as ``text`` or ``json``."""
    facts, replica = _model_facts(answer), answer.replica
    if style not in ("text", "json"):
        raise UsageError(f"no report format {style!r} for this answer; there are text, json")
    if replica is None:
        return json.dumps({"model": facts}, indent=2) + "\n" if style == "json" else _joined(_facts_text(facts, say))
    spec, result, start, users = replica.spec, replica.statement, replica.starting, replica.users
    if style == "json":
        told = _as_json(spec, result, spec.max_model_len, users)
        return json.dumps({**told, "model": facts, **_start_json(spec, start)}, indent=2) + "\n"
    lines = [
        *_as_text(spec, result, spec.max_model_len, users, say),
        *_start_text(spec, start, say),
        *_notes(answer.model),
    ]
    return _joined(lines)


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _model_facts(answer: MemoryAnswer) -> dict[str, object]:
    """What a model is, whatever serves it. ``total_params`` and ``bytes_as_loaded`` leave out layers for speculative
    decoding, which published totals often count; ``params_for_speculation`` are theirs, null where none are known."""
    model = answer.model
    return {
        "id": model.id,
        "total_params": round(model.total_params),
        "active_params": round(model.active_params),
        "params_for_speculation": round(sum(part.params for part in model.draft)) or None,
        "kv_bytes_per_token_16bit": round(model.kv_bytes_full_16bit),
        "kv_sliding_bytes_per_token_16bit": round(model.kv_bytes_sliding_16bit),
        "sliding_window_tokens": model.sliding_window if model.sliding_layers else 0,
        "index_bytes_per_token": round(model.index_bytes_per_token),
        "state_bytes_per_sequence": round(model.linear_state_bytes),
        "weight_format": answer.native_quant,
        "bytes_as_loaded": round(answer.bytes_as_loaded),
        "context_limit": model.context_limit,
        "kv_format_in_checkpoint": model.kv_in_checkpoint or None,
        "takes": ["text", *model.modalities],
        "read_by": "standard keys, grade C" if model.plain_keys else "rules of its family",
        "notes": model.notes,
    }


def _facts_text(facts: dict[str, object], say: Say) -> list[str]:
    def line(name: str, value: object) -> str:
        text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        return f"  {padded(say(name.replace('_', ' ')), 40)}{say(text)}"

    shown = {key: value for key, value in facts.items() if key not in ("id", "notes", "takes")}
    lines = [str(facts["id"]), *(line(key, value) for key, value in shown.items() if value is not None)]
    return [*lines, *_wrapped(str(facts["notes"]))]


def _notes(model: Model) -> list[str]:
    return ["", *_wrapped(model.notes)] if model.notes and model.source.startswith("config.json") else []


def _wrapped(notes: str) -> list[str]:
    return wrap(notes, 98, break_words=True, hyphens=True)


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


def _start_text(spec: ReplicaSpec, start: Starting, say: Say) -> list[str]:
    """Whether the engine starts, as its log would say it."""
    version = f" {spec.engine_version}" if spec.engine_version else ""
    name = f"{spec.engine.display_name}{version}"
    figures = (
        f"KV cache {start.kv / _GIB:,.2f} GiB, {start.kv_tokens:,} tokens; weights {start.weights / _GIB:.2f}, "
        f"peak {start.start.activations / _GIB:.2f}, graphs {start.start.graphs / _GIB:.2f} GiB"
    )
    asked = f"max_num_seqs {spec.max_num_seqs:,}, max_num_batched_tokens {spec.max_num_batched_tokens:,}"
    lines = ["", say(f"{name} at start: {asked}"), f"  {say(figures)}"]
    if start.starts:
        return [*lines, "  " + say(f"It starts with max_model_len {spec.max_model_len:,}.")]
    change = f"The least change that does: {start.least_change}." if start.least_change else "Nothing tried helps."
    return [*lines, *_wrapped(say(f"It does not start, because {start.reason}.")), *_wrapped(say(change))]


def _as_text(spec: ReplicaSpec, s: Statement, context: int, users: int, say: Say) -> list[str]:
    model, bill = spec.model, s.bill
    kv = "fp8 KV" if spec.kv_cache == "fp8" else "16-bit KV"
    lines = [
        say(f"{model.id} in {spec.weight_quant}, {kv}, {users:,} x {context:,} tokens"),
        say(f"on {spec.gpus} x {spec.gpu.id} (TP{spec.tensor_parallel}, PP{spec.pipeline_parallel})"),
        "",
        _part_row(say("Weights, whole model"), say("layers"), say("parameters"), say("bits"), "GB"),
    ]
    for p in s.parts:
        figures = f"{p.layers:8,d} {p.params / 1e9:12.2f} B {p.bits:6.2f}" if p.params else ""
        told = padded(say(p.name), 48) + figures if figures else say(p.name)
        lines.append(f"  {padded(told, 78)}{p.size / _GB:10.2f}")
    lines += [_sized(say("total"), s.weights), "", say("KV cache, whole model")]
    lines += [
        f"  {padded(say(f'per token: {s.kv_per_token:,.0f} bytes'), 78)}{s.kv_per_token / _GB:10.6f}",
        _sized(say(f"per request of {context:,} tokens"), s.kv_per_user),
        _sized(say(_count(users)), s.kv_total),
        "",
        say("One GPU (the fullest)"),
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
    lines += [_sized(say(name), size) for name, size in rows]
    heads = f"{padded(say('says GB'), 9, '>')} {padded(say('bill GB'), 10, '>')}   {say('where it misleads')}"
    lines += ["", say(_verdict(spec, s, context)), "", padded(say("Rule of thumb"), _RULE_WIDTH) + heads]
    for rule in s.rules:
        figures = f"{rule.says / _GB:9,.1f} {rule.bill / _GB:10,.1f}"
        misleads = abs(rule.says / rule.bill - 1.0) > _HOLDS
        lines.append(f"{padded(say(rule.name), _RULE_WIDTH)}{figures}   {say(_ratio(rule.says / rule.bill))}")
        lines += [f"    {say(rule.note)}"] if rule.note and misleads else []
    return lines


def _part_row(*heads: str) -> str:
    """The heads of the table of parts."""
    name, layers, parameters, bits, size = heads
    figures = f"{padded(layers, 6, '>')}{padded(parameters, 15, '>')}{padded(bits, 7, '>')}{padded(size, 11, '>')}"
    return f"{padded(name, 52)}{figures}"


def _sized(name: str, size: float) -> str:
    return f"  {padded(name, 78)}{size / _GB:10.2f}"


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
