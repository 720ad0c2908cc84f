"""A prefill and a decode pool in the columns that ``optimize predict`` reads of them."""

from __future__ import annotations

from optimizer.plan.types import Group


def pool_columns(before: Group, after: Group) -> dict[str, str]:
    """What was set, in the columns that ``optimize predict`` reads of pools."""
    cells = {
        "gpu": after.gpu,
        "engine": after.engine,
        "engine_version": after.engine_version,
        "weight_quant": after.weight_quant,
        "kv_cache": after.kv_cache,
        "decode_slots": str(after.max_num_seqs * after.attention_dp * after.replicas),
    }
    for name, group in (("prefill", before), ("decode", after)):
        cells |= {
            f"{name}_gpu": group.gpu,
            f"{name}_workers": str(group.replicas),
            f"{name}_tensor_parallel": str(group.tensor_parallel),
            f"{name}_attention_dp": str(group.attention_dp),
            f"{name}_expert_parallel": str(group.expert_parallel),
        }
    return cells
