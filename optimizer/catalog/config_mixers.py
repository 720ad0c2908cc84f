"""Layers that attend to no tokens: their weights, and the state that each keeps per sequence.

States are kept as vLLM keeps them: the recurrent part in 32 bits, the window of the convolution in 16.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from optimizer.catalog.dimensions import DecoderShape
from optimizer.catalog.families import Mixing
from optimizer.catalog.huggingface_json import Config
from optimizer.catalog.module import Module, ModulePart

BYTES_16BIT, BYTES_FP32 = 2, 4


@dataclass(frozen=True, slots=True)
class _Mamba2:
    """Widths of a Mamba-2 layer."""

    inner: int
    heads: int
    groups: int
    state: int
    kernel: int

    @property
    def convolved(self) -> int:
        """Channels of the convolution."""
        return self.inner + 2 * self.groups * self.state


def mixer_modules(c: Config, shape: DecoderShape) -> Iterator[Module]:
    """Weights of one layer without attention."""
    yield from _MODULES[c.family.mixing](c, shape)


def state_bytes(c: Config, shape: DecoderShape) -> int:
    """Bytes that one such layer keeps per sequence, whatever its length."""
    return _STATES[c.family.mixing](c, shape)


def _none(c: Config, shape: DecoderShape) -> Iterator[Module]:
    return iter(())


def _no_state(c: Config, shape: DecoderShape) -> int:
    return 0


def _mixer(name: str, params: int, *, linear: bool = True) -> Module:
    return Module(name, ModulePart.MIXER if linear else ModulePart.NORMS, params, linear)


def _delta_net(c: Config, shape: DecoderShape) -> Iterator[Module]:
    """Gated delta net: query, key, value, gate and output projections, two scalars per head, a convolution."""
    keys = c.integer("linear_num_key_heads") * c.integer("linear_key_head_dim")
    heads = c.integer("linear_num_value_heads")
    values = heads * c.integer("linear_value_head_dim")
    yield _mixer("linear_attn.in_proj_qkv", shape.hidden * (2 * keys + values))
    yield _mixer("linear_attn.in_proj_z", shape.hidden * values)
    yield _mixer("linear_attn.in_proj_ba", shape.hidden * 2 * heads)
    yield _mixer("linear_attn.out_proj", shape.hidden * values)
    convolution = c.integer("linear_conv_kernel_dim", 4) * (2 * keys + values)
    yield _mixer("linear_attn.conv1d", convolution + 2 * heads, linear=False)


def _delta_net_state(c: Config, shape: DecoderShape) -> int:
    key, value = c.integer("linear_key_head_dim"), c.integer("linear_value_head_dim")
    heads = c.integer("linear_num_value_heads")
    channels = 2 * c.integer("linear_num_key_heads") * key + heads * value
    window = channels * (c.integer("linear_conv_kernel_dim", 4) - 1)
    return heads * key * value * BYTES_FP32 + window * BYTES_16BIT


def _kimi(c: Config) -> tuple[int, int, int]:
    """Heads, width of a head and convolution kernel of Kimi delta attention."""
    section: Mapping[str, object] = c.section("linear_attn_config")
    found = [section.get(key) for key in ("num_heads", "head_dim", "short_conv_kernel_size")]
    if not all(isinstance(value, int) and value > 0 for value in found):
        c.error("linear_attn_config", "linear_attn_config needs num_heads, head_dim and short_conv_kernel_size")
        return 1, 1, 1
    heads, width, kernel = (value for value in found if isinstance(value, int))
    return heads, width, kernel


def _kimi_delta(c: Config, shape: DecoderShape) -> Iterator[Module]:
    heads, width, kernel = _kimi(c)
    inner, hidden = heads * width, shape.hidden
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        yield _mixer(f"self_attn.{name}", hidden * inner)
    yield _mixer("self_attn.f_b_proj", hidden * width + width * inner)
    full = c.section("linear_attn_config").get("use_full_rank_gate") is True
    yield _mixer("self_attn.g_b_proj", hidden * inner if full else hidden * width + width * inner)
    yield _mixer("self_attn.b_proj", hidden * heads)
    yield _mixer("self_attn.conv1d", 3 * inner * kernel + inner + heads, linear=False)


def _kimi_delta_state(c: Config, shape: DecoderShape) -> int:
    heads, width, kernel = _kimi(c)
    return heads * width * width * BYTES_FP32 + 3 * heads * width * (kernel - 1) * BYTES_16BIT


def _mamba(c: Config, shape: DecoderShape) -> Iterator[Module]:
    """Selective state space of the first form, as Jamba has it."""
    inner, state = c.integer("mamba_expand", 2) * shape.hidden, c.integer("mamba_d_state", 16)
    rank = -(-shape.hidden // 16) if c.get("mamba_dt_rank") in (None, "auto") else c.integer("mamba_dt_rank")
    yield _mixer("mamba.in_proj", 2 * shape.hidden * inner)
    yield _mixer("mamba.x_proj", inner * (rank + 2 * state))
    yield _mixer("mamba.dt_proj", rank * inner)
    yield _mixer("mamba.out_proj", shape.hidden * inner)
    yield _mixer("mamba.conv1d", inner * (c.integer("mamba_d_conv", 4) + 3 + state), linear=False)


def _mamba_state(c: Config, shape: DecoderShape) -> int:
    inner, state = c.integer("mamba_expand", 2) * shape.hidden, c.integer("mamba_d_state", 16)
    return inner * state * BYTES_FP32 + inner * (c.integer("mamba_d_conv", 4) - 1) * BYTES_16BIT


def _mamba2_widths(c: Config, shape: DecoderShape) -> _Mamba2:
    """Nemotron-H and the others write the same widths under different names."""
    nemotron = c.get("mamba_num_heads") is not None
    heads = c.integer("mamba_num_heads" if nemotron else "mamba_n_heads")
    expand = c.integer("expand" if nemotron else "mamba_expand", 2)
    stated = c.get("mamba_head_dim" if nemotron else "mamba_d_head")
    width = stated if isinstance(stated, int) and stated > 0 else expand * shape.hidden // heads
    inner = heads * width
    if not nemotron:
        inner = c.integer("mamba_d_ssm", inner)
    return _Mamba2(
        inner,
        heads,
        c.integer("n_groups" if nemotron else "mamba_n_groups", 1),
        c.integer("ssm_state_size" if nemotron else "mamba_d_state", 128),
        c.integer("conv_kernel" if nemotron else "mamba_d_conv", 4),
    )


def _mamba2(c: Config, shape: DecoderShape) -> Iterator[Module]:
    """State space of the second form: one input projection for gate, values, groups and steps."""
    w = _mamba2_widths(c, shape)
    yield _mixer("mamba.in_proj", shape.hidden * (w.inner + w.convolved + w.heads))
    yield _mixer("mamba.out_proj", w.inner * shape.hidden)
    yield _mixer("mamba.conv1d", w.convolved * (w.kernel + 1) + 3 * w.heads + w.inner, linear=False)


def _mamba2_state(c: Config, shape: DecoderShape) -> int:
    w = _mamba2_widths(c, shape)
    return w.inner * w.state * BYTES_FP32 + w.convolved * (w.kernel - 1) * BYTES_16BIT


def _lightning(c: Config, shape: DecoderShape) -> Iterator[Module]:
    """Linear attention of MiniMax-Text-01: query, key, value, output gate and output."""
    inner = shape.heads * shape.head_dim
    for name, params in (("qkv_proj", 3), ("output_gate", 1), ("out_proj", 1)):
        yield _mixer(f"self_attn.{name}", params * shape.hidden * inner)


def _lightning_state(c: Config, shape: DecoderShape) -> int:
    return shape.heads * shape.head_dim**2 * BYTES_FP32


def _convolution(c: Config, shape: DecoderShape) -> Iterator[Module]:
    """Gated short convolution of LFM2."""
    width = c.integer("conv_dim", shape.hidden)
    yield _mixer("conv.in_proj", 3 * shape.hidden * width)
    yield _mixer("conv.out_proj", shape.hidden * width)
    yield _mixer("conv.conv", width * c.integer("conv_L_cache", 3), linear=False)


def _convolution_state(c: Config, shape: DecoderShape) -> int:
    return c.integer("conv_dim", shape.hidden) * (c.integer("conv_L_cache", 3) - 1) * BYTES_16BIT


_MODULES = {
    Mixing.NONE: _none,
    Mixing.DELTA_NET: _delta_net,
    Mixing.KIMI_DELTA: _kimi_delta,
    Mixing.MAMBA: _mamba,
    Mixing.MAMBA2: _mamba2,
    Mixing.LIGHTNING: _lightning,
    Mixing.CONVOLUTION: _convolution,
}
_STATES = {
    Mixing.NONE: _no_state,
    Mixing.DELTA_NET: _delta_net_state,
    Mixing.KIMI_DELTA: _kimi_delta_state,
    Mixing.MAMBA: _mamba_state,
    Mixing.MAMBA2: _mamba2_state,
    Mixing.LIGHTNING: _lightning_state,
    Mixing.CONVOLUTION: _convolution_state,
}
