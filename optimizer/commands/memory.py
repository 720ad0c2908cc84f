"""``optimize memory MODEL``: the memory bill of one replica, layer by layer, beside the usual rules of thumb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.errors import UsageError

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog, Model
    from optimizer.performance.statement import Statement
    from optimizer.performance.types import ReplicaSpec

_GB = 1e9
_RULE_WIDTH = 42
_MOST_USERS = 10**9
_HOLDS = 0.03


@click.command(name="memory")
@click.argument("model")
@click.option("--gpu", required=True, help="Card, an id of `optimize catalog gpus`.")
@click.option("--context", type=click.IntRange(min=2), required=True, help="Tokens of one request, input and output.")
@click.option(
    "--users", type=click.IntRange(min=1, max=_MOST_USERS), default=1, show_default=True, help="Requests held at once."
)
@click.option("--quant", help="bf16, fp8, int8, int4, nvfp4 or mxfp4; default: as published.")
@click.option("--kv", "kv_cache", type=click.Choice(["auto", "fp8"]), default="auto", show_default=True)
@click.option("--tp", type=click.IntRange(min=1), default=1, show_default=True, help="Tensor-parallel degree.")
@click.option("--pp", type=click.IntRange(min=1), default=1, show_default=True, help="Pipeline-parallel degree.")
@click.option("--engine", default="vllm", show_default=True, help="Serving engine, for its memory defaults.")
@click.option(
    "--catalogs", type=click.Path(path_type=Path), metavar="DIR", help="Catalogs that override the packaged ones."
)
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    model: str,
    gpu: str,
    context: int,
    users: int,
    quant: str | None,
    kv_cache: str,
    tp: int,
    pp: int,
    engine: str,
    catalogs: Path | None,
    style: str,
) -> None:
    """Print what MODEL (a catalog id or a Hugging Face config.json) needs on a GPU, and what fits."""
    from optimizer.catalog import load_catalog
    from optimizer.performance.statement import statement

    catalog = load_catalog(catalogs)
    spec = _spec(catalog, _model(catalog, model), gpu, engine, quant, kv_cache, (tp, pp), context)
    result = statement(spec, context, users)
    if style == "json":
        click.echo(json.dumps(_as_json(spec, result, context, users), indent=2))
    else:
        click.echo("\n".join(_as_text(spec, result, context, users)))


def _model(catalog: Catalog, name: str) -> Model:
    from optimizer.catalog import model_from_config
    from optimizer.documents.paths import is_file

    if name not in catalog.models and is_file(Path(name)):
        return model_from_config(Path(name))
    _known(name, catalog.models, "model")
    return catalog.models[name]


def _known(name: str, among: object, kind: str) -> None:
    from collections.abc import Mapping
    from difflib import get_close_matches

    assert isinstance(among, Mapping)
    if name not in among:
        close = get_close_matches(name, among, n=1, cutoff=0.4)
        raise UsageError(f"unknown {kind} {name!r}" + (f"; did you mean {close[0]}?" if close else ""))


def _spec(
    catalog: Catalog,
    model: Model,
    gpu: str,
    engine: str,
    quant: str | None,
    kv_cache: str,
    sizes: tuple[int, int],
    context: int,
) -> ReplicaSpec:
    """The replica asked about; what its card, engine or model cannot do is refused with the reason."""
    from optimizer.performance.gates import kv_cache_gates, native_quant, pp_refusal, tp_refusal, weight_quant_gates
    from optimizer.performance.types import ReplicaSpec

    _known(gpu, catalog.gpus, "GPU")
    _known(engine, catalog.engines, "engine")
    card, server, chosen = catalog.gpus[gpu], catalog.engines[engine], quant or native_quant(model)
    gates = weight_quant_gates(card, model, server)
    if chosen not in (gate.value for gate in gates):
        raise UsageError(f"unknown weight format {chosen!r}; known: {', '.join(gate.value for gate in gates)}")
    if context > model.context_limit:
        raise UsageError(f"{model.id} stops at {model.context_limit:,} tokens of context; {context:,} were asked for")
    reasons = [gate.reason for gate in gates if gate.value == chosen]
    reasons += [gate.reason for gate in kv_cache_gates(card, server) if gate.value == kv_cache]
    reasons += [tp_refusal(model, chosen, sizes[0]), pp_refusal(model, sizes[1])]
    if any(reasons):
        raise UsageError("\n".join(dict.fromkeys(reason for reason in reasons if reason)))
    return ReplicaSpec(
        gpu=card,
        model=model,
        engine=server,
        weight_quant=chosen,
        kv_cache=kv_cache,
        tensor_parallel=sizes[0],
        pipeline_parallel=sizes[1],
        link=card.link,
        gpu_memory_utilization=server.gpu_memory_utilization,
        max_num_seqs=server.max_num_seqs_on(card),
        max_num_batched_tokens=server.max_num_batched_tokens_on(card),
        max_model_len=context,
    )


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
    share = f"{spec.gpu_memory_utilization:.0%} of {spec.gpu.memory_mib:,} MiB"
    rows = (
        ("weights", bill.weights),
        ("KV cache", s.kv_per_gpu),
        (f"activations ({spec.max_num_batched_tokens:,} tokens a step)", bill.activations),
        ("context, graphs, communication buffers", bill.overhead),
        ("needed", s.total_per_gpu),
        (f"usable: {share}, {spec.engine.display_name} default", bill.usable),
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
        return f"Fits. {name} holds {s.most_users:,} requests of {context:,} tokens; plan with nine tenths of that."
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
