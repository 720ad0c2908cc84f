"""Speculative decoding: drafted tokens that one step of the model verifies together.

A step of k drafted tokens works on ``1 + k`` tokens of every sequence but reads the cache once, and is preceded by k
passes of what drafts: the model's own prediction layer (MTP), an EAGLE-3 head, or a small model. Each drafted token is
accepted with chance a if those before it were, so a step yields ``1 + a + ... + a^k`` tokens (Leviathan, Kalman,
Matias, "Fast inference from transformers via speculative decoding", 2023, equation 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from optimizer.catalog.types import Attention, Model

MTP, EAGLE3, DRAFT = "mtp", "eagle3", "draft"
METHODS = (MTP, EAGLE3, DRAFT)

EAGLE3_VOCABULARY = 32_000
"""Tokens that an EAGLE-3 head can draft: published heads keep the 32,000 most frequent (SpecForge, d2t tables)."""


@dataclass(frozen=True, slots=True)
class Speculation:
    """How a replica drafts."""

    method: str  # mtp, eagle3 or draft
    tokens: int  # drafted in a step
    acceptance: float  # chance that a drafted token is accepted, those before it being so
    draft: Model  # what drafts, as a model of its own

    @property
    def tokens_per_step(self) -> float:
        """Tokens that a sequence gets out of a step, on average."""
        return tokens_per_step(self.acceptance, self.tokens)

    @property
    def content(self) -> tuple[str, int, float, str]:
        """What tells two of one model apart: the draft follows from method and model, a small model has an id."""
        return self.method, self.tokens, self.acceptance, self.draft.id

    @property
    def law(self) -> tuple[float, float]:
        """Tokens out of a step: their mean, and variance over squared mean."""
        mean = self.tokens_per_step
        return mean, token_variance(self.acceptance, self.tokens) / mean**2


def token_variance(acceptance: float, tokens: int) -> float:
    """Variance of the tokens out of a step: i + 1 of them with chance a^i (1 - a), all k + 1 with a^k."""
    chances = [acceptance**i * (1.0 - acceptance) for i in range(tokens)] + [acceptance**tokens]
    mean = tokens_per_step(acceptance, tokens)
    return sum(chance * (i + 1.0 - mean) ** 2 for i, chance in enumerate(chances))


def tokens_per_step(acceptance: float, tokens: int) -> float:
    """1 + a + ... + a^k."""
    return sum(acceptance**i for i in range(tokens + 1))


def acceptance_of(length: float, tokens: int) -> float:
    """The chance behind a published acceptance length (tokens out of a step): the inverse of ``tokens_per_step``."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if tokens_per_step(middle, tokens) < length else (low, middle)
    return 0.5 * (low + high)


def mtp_layer(model: Model) -> Model:
    """The prediction layer of a model as a model of one layer: like its other layers, with a projection of two hidden
    states into one. Embedding and head are the model's own.
    """
    ends = model.embed_params + model.head_params
    routing = max(model.num_layers - model.first_dense_layers, 1)
    attending = max(model.full_attention_layers + model.sliding_layers, 1)
    routed = model.routed_expert_params / routing
    rest = (model.total_params - ends - model.routed_expert_params) / model.num_layers
    own = rest + 2.0 * model.hidden_size**2
    return replace(
        _one_layer(model),
        total_params=ends + routed + own,
        active_params=ends + routed * model.experts_per_token / max(model.num_experts, 1) + own,
        routed_expert_params=routed,
        kv_bytes_full_16bit=(model.kv_bytes_full_16bit + model.kv_bytes_sliding_16bit) / attending,
        index_bytes_per_token=model.index_bytes_per_token / attending,
    )


def eagle3_head(model: Model) -> Model:
    """An EAGLE-3 head for a model: one dense layer that attends with the model's heads to its own cache, fed by hidden
    states of three layers and the last token, with a small output head of its own (Li et al., "EAGLE-3", 2025).
    """
    hidden, width = float(model.hidden_size), float(model.num_attention_heads * model.head_dim)
    kv_heads = max(min(model.num_kv_heads, 8), 1)
    intermediate = max(model.intermediate_size, 2 * model.hidden_size)
    attention = 2.0 * hidden * (width + 2.0 * kv_heads * model.head_dim) + width * hidden
    own = 3.0 * hidden * hidden + attention + 3.0 * hidden * intermediate
    head = float(EAGLE3_VOCABULARY) * hidden
    return replace(
        _one_layer(model),
        total_params=head + own,
        active_params=head + own,
        embed_params=0.0,
        head_params=head,
        routed_expert_params=0.0,
        num_experts=0,
        experts_per_token=0,
        shared_experts=0,
        attention=Attention.GQA,
        kv_lora_rank=0,
        num_kv_heads=kv_heads,
        kv_bytes_full_16bit=4.0 * kv_heads * model.head_dim,
        index_bytes_per_token=0.0,
        native_dtype="bf16",
        fp8_block_legal_tp=(),
    )


def _one_layer(model: Model) -> Model:
    """The same with a single layer, which attends to everything."""
    return replace(
        model, num_layers=1, full_attention_layers=1, sliding_layers=0, linear_layers=0, first_dense_layers=0,
        sliding_window=0, kv_bytes_sliding_16bit=0.0, linear_state_bytes=0.0, published_bytes=(), stored=(), draft=(),
    )  # fmt: skip


def draft_quant(speculation: Speculation, weight_quant: str) -> str:
    """Weight format of what drafts: the layers of a checkpoint are stored as it is, 4-bit checkpoints keep them at 16
    bit (their ``ignore`` lists name them), heads and small models are published at 16 bit."""
    kept = speculation.method == MTP and weight_quant in ("fp8", "int8", "bf16")
    return weight_quant if kept else "bf16"
