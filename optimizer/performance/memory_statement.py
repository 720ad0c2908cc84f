"""The memory bill of a replica line by line, beside the rules of thumb people use: what ``optimize memory`` prints."""

from __future__ import annotations

from dataclasses import dataclass, replace

from optimizer.catalog.types import ENCODER, Attention, Model, StoredPart
from optimizer.demand import Lengths
from optimizer.performance.architecture import is_latent, moe_layers
from optimizer.performance.compatibility import legal_tp
from optimizer.performance.formats import BITS
from optimizer.performance.memory import memory_bill, memory_table, stored_parts, weight_parts
from optimizer.performance.types import MemoryBill, ReplicaSpec

ONE_OUTPUT_TOKEN = 1.0


@dataclass(frozen=True, slots=True)
class WeightPart:
    """Some of the weights: how many layers of it, parameters in all, stored bits, bytes in all."""

    name: str
    layers: int
    params: float
    bits: float
    size: float


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of thumb: what it says, what the bill says, in bytes, and where it misleads."""

    name: str
    says: float
    bill: float
    note: str


@dataclass(frozen=True, slots=True)
class Statement:
    """Everything the command prints. Bytes of the whole replica unless the name says per GPU."""

    parts: tuple[WeightPart, ...]
    weights: float
    kv_per_token: float
    kv_per_user: float
    kv_total: float
    bill: MemoryBill
    kv_per_gpu: float
    total_per_gpu: float
    fits: bool
    most_users: int
    smallest_tp: int | None
    rules: tuple[Rule, ...]


def statement(spec: ReplicaSpec, context: int, users: int) -> Statement:
    """The memory bill of ``users`` requests of ``context`` tokens each."""
    model = spec.model
    whole = replace(spec, tensor_parallel=1, pipeline_parallel=1)
    per_user = float(memory_table([whole]).kv.sequence(float(context))[0])
    bill, held = _on_gpus(spec, context)
    parts = weight_lines(model, spec.weight_quant)
    weights = sum(part.size for part in parts)
    total = bill.weights + bill.activations + bill.overhead + users * held
    most = max(int(bill.kv_budget / held), 0) if held > 0 else 0
    return Statement(
        parts=parts,
        weights=weights,
        kv_per_token=per_user / context,
        kv_per_user=per_user,
        kv_total=per_user * users,
        bill=bill,
        kv_per_gpu=users * held,
        total_per_gpu=total,
        fits=total <= bill.usable,
        most_users=most,
        smallest_tp=_smallest_tp(spec, context, users),
        rules=rules_of_thumb(spec, weights, per_user, context, users),
    )


def weight_lines(model: Model, weight_quant: str) -> tuple[WeightPart, ...]:
    """Weights by kind of layer. Without a published checkpoint attention of latent and hybrid models is not told apart
    from what surrounds it."""
    stored = stored_parts(model, weight_quant)
    if stored:
        return tuple(WeightPart(_stored_name(model, p), p.layers, p.params, p.bits, p.bytes) for p in stored)
    sizes = weight_parts(model, weight_quant)
    bits = BITS[weight_quant]
    rest = model.total_params - model.embed_params - model.head_params - model.routed_expert_params
    rest_bits = 8.0 * sizes.rest / rest if rest else bits
    attention = 0.0 if _opaque(model) else _attention_params(model)
    lines = [
        WeightPart("input embedding", 1, model.embed_params, 16.0, sizes.embedding),
        WeightPart("attention", model.num_layers, attention, rest_bits, attention * rest_bits / 8.0),
        WeightPart(
            f"{model.num_experts} routed experts ({model.experts_per_token} used per token)",
            moe_layers(model),
            model.routed_expert_params,
            bits,
            sizes.experts,
        ),
        WeightPart(
            _rest_name(model), model.num_layers, rest - attention, rest_bits, (rest - attention) * rest_bits / 8.0
        ),
        WeightPart("output head", 1, model.head_params, 16.0, sizes.head),
        WeightPart(ENCODER, 1, sizes.encoder / 2.0, 16.0, sizes.encoder),
    ]
    wider = WeightPart("what the published checkpoint holds beyond that", 0, 0.0, 0.0, sizes.wider)
    return tuple(line for line in (*lines, wider) if line.params > 0 or line.size > 0)


def _stored_name(model: Model, part: StoredPart) -> str:
    if part.name != "routed experts":
        return f"{part.name} ({part.format})"
    used = f"{model.experts_per_token} of {model.num_experts} used per token"
    return f"{part.name}, {used} ({part.format})"


def rules_of_thumb(spec: ReplicaSpec, weights: float, per_user: float, context: int, users: int) -> tuple[Rule, ...]:
    """Rules found in sizing guides, and where each misleads."""
    model, kv = spec.model, per_user * users
    plain = model.total_params * _nominal_bits(spec.weight_quant) / 8.0
    every_head = 4.0 * model.num_layers * model.num_attention_heads * model.head_dim * context * users
    wide = spec.weight_quant == "bf16"
    forgets = "forgets the scales, and that embedding and head stay at 16 bit"
    nominal = "1 byte per parameter" if _nominal_bits(spec.weight_quant) == 8.0 else "half a byte per parameter"
    return (
        Rule("2 bytes per parameter", 2.0 * model.total_params, weights, "" if wide else "right at 16 bit only"),
        *(() if wide else (Rule(nominal, plain, weights, forgets),)),
        Rule(
            "1.2 x weights + KV + 4 GB", 1.2 * plain + kv + 4e9, weights + kv + spec.gpus * _fixed(spec),
            "its margin grows with the weights, the true overhead with the number of GPUs",
        ),
        Rule("KV 100-150 MB per token", 125e6 * context * users, kv, "nearer to the KV of some hundred tokens"),
        Rule(
            "KV = 4 bytes x layers x heads x head size", every_head, kv,
            "counts every attention head; grouped or latent attention keeps far fewer",
        ),
    )  # fmt: skip


def _on_gpus(spec: ReplicaSpec, context: int) -> tuple[MemoryBill, float]:
    bill = memory_bill(spec, Lengths(max(context - ONE_OUTPUT_TOKEN, 1.0), ONE_OUTPUT_TOKEN, context))
    return bill, float(memory_table([spec]).kv.sequence(float(context))[0])


def _fixed(spec: ReplicaSpec) -> float:
    bill, _ = _on_gpus(spec, 1)
    return bill.activations + bill.overhead


def _smallest_tp(spec: ReplicaSpec, context: int, users: int) -> int | None:
    for degree in sorted(legal_tp(spec.model, spec.weight_quant)):
        bill, held = _on_gpus(replace(spec, tensor_parallel=degree, pipeline_parallel=1), context)
        if users * held <= bill.kv_budget:
            return degree
    return None


def _attention_params(model: Model) -> float:
    """Query, key, value and output projections of all layers."""
    heads = 2 * model.num_attention_heads + 2 * model.num_kv_heads
    return float(model.num_layers * model.hidden_size * heads * model.head_dim)


def _opaque(model: Model) -> bool:
    return is_latent(model) or model.attention is Attention.HYBRID


def _rest_name(model: Model) -> str:
    if _opaque(model):
        return "attention, dense and shared layers, router" if model.is_moe else "attention and MLP"
    return "dense and shared layers, router, norms" if model.is_moe else "MLP and norms"


def _nominal_bits(weight_quant: str) -> float:
    return {"bf16": 16.0, "fp8": 8.0, "int8": 8.0}.get(weight_quant, 4.0)
