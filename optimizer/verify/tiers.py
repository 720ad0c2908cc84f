"""KV cache in the memory of hosts, checked from what the plan prints and the offers state."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.verify.case import CheckedCase, GroupCase, Mismatch
from optimizer.vocabulary import KvTiers, split_version

_SHARE, _KEPT_GIB = 0.75, 64.0
"""Of a node's memory, less what is kept for everything else that runs there."""

_SINCE = {"vllm": (0, 19), "sglang": (0, 5, 12)}
"""Engines with such an option, and the first release that has it."""


def host_tier(case: CheckedCase) -> Iterator[Mismatch]:
    """Prefixes lie in the memory of a host only where the problem allows it and the engine can, and no node is asked
    for more than three quarters of its memory less 64 GiB, whatever stands on its cards."""
    stated = case.problem.engine.kv_tiers
    for group in case.groups:
        gib, path = group.group.host_kv_gib, f"{group.path}.kv_tier"
        earns = group.lengths.earns_hits
        if gib == 0.0:
            if stated is KvTiers.HOST and earns:
                yield Mismatch("host tier", path, "host", None, "engine.kv_tiers asks for it on every replica")
            continue
        if stated is KvTiers.NONE or not earns:
            yield Mismatch("host tier", path, None, gib, "nobody asked for it, or no hits are earned")
        yield from _possible(group, path)
        of_node = gib / group.group.gpus * group.group.gpus_per_node
        for node in case.nodes:
            if node.option.node_type != group.node_type:
                continue
            known = node.line.host_memory_gib
            most = 0.0 if known is None else _SHARE * known - _KEPT_GIB
            if of_node > most:
                yield Mismatch("host tier", f"{node.path}.host_memory_gib", f"at most {most}", of_node, "GiB per node")


def _possible(group: GroupCase, path: str) -> Iterator[Mismatch]:
    """Whole contexts in one cache of one host, under an engine that has an option for it."""
    spec, first = group.spec, _SINCE.get(group.spec.engine.profile)
    release = split_version(spec.engine_version)
    for holds, why in (
        (first is not None, "an engine with such an option"),
        (not release or first is None or release >= first, "a release with such an option"),
        (spec.gpu.host_arch == "arm64" or (spec.gpu.pcie_gen >= 3 and spec.gpu.pcie_lanes > 0), "a known link"),
        (not spec.model.sliding_window and not spec.model.linear_state_bytes, "a model that keeps whole contexts"),
        (spec.attention_dp == 1, "one cache for each replica"),
        (spec.gpus <= group.node_type.gpus_per_node, "a replica inside one node"),
    ):
        if not holds:
            yield Mismatch("host tier", path, why, group.group.host_kv_gib, "cannot be kept in the memory of the host")
