"""Which server stands on which GPUs of which node: largest first, which always packs powers of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.handover.launch.server import Server
    from optimizer.plan.types import NodeLine, Plan


@dataclass(frozen=True, slots=True)
class Placed:
    """A server (or its part ``part`` of several nodes) on some GPUs of a node."""

    server: Server
    gpus: tuple[int, ...]
    part: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """``count`` nodes of one offer that look the same. No servers: kept in reserve."""

    line: NodeLine
    placed: tuple[Placed, ...]
    count: int

    @property
    def crosses_nodes(self) -> bool:
        """Whether a server here needs further nodes."""
        return any(placed.server.nodes > 1 for placed in self.placed)


@dataclass(slots=True)
class _Node:
    line: NodeLine
    placed: list[Placed] = field(default_factory=list)

    @property
    def used(self) -> int:
        return sum(len(placed.gpus) for placed in self.placed)


def layouts(
    nodes: Sequence[NodeLine], servers: Sequence[Server], running: Sequence[int] | None = None
) -> tuple[Layout, ...]:
    """Distinct nodes with how many of each; first the nodes at work, then those in reserve.

    ``running`` says how many of each server there are, where that is not all of them.
    """
    every = [_Node(line) for line in nodes for _ in range(line.count)]
    counted = zip(servers, running or [server.group.replicas for server in servers], strict=True)
    for server, number in sorted(counted, key=lambda pair: (-pair[0].gpus, pair[0].name)):
        own = [node for node in every if _fits(node.line, server)]
        for _ in range(number):
            _put(server, own)
    return _counted(every)


def busiest_layouts(plan: Plan, servers: Sequence[Server]) -> tuple[Layout, ...]:
    """The nodes of a plan; with a day profile in its busiest period, as two workloads may take turns on a node."""
    if not plan.periods:
        return layouts(plan.nodes, servers)
    busiest = max(plan.periods, key=lambda period: period.gpus)
    nodes = [replace(line, count=count) for line, count in zip(plan.nodes, busiest.nodes, strict=True)]
    return layouts(nodes, servers, busiest.replicas)


def _fits(line: NodeLine, server: Server) -> bool:
    group = server.group
    return (line.gpu, line.gpus_per_node, line.link) == (group.gpu, group.gpus_per_node, group.link)


def _put(server: Server, nodes: Sequence[_Node]) -> None:
    if server.nodes > 1:
        empty = [node for node in nodes if not node.placed][: server.nodes]
        for part, node in enumerate(empty):
            node.placed.append(Placed(server, tuple(range(node.line.gpus_per_node)), part))
        return
    node = next(node for node in nodes if node.used + server.gpus <= node.line.gpus_per_node)
    node.placed.append(Placed(server, tuple(range(node.used, node.used + server.gpus))))


def _counted(nodes: Sequence[_Node]) -> tuple[Layout, ...]:
    found: dict[tuple[object, ...], Layout] = {}
    for node in sorted(nodes, key=lambda one: not one.placed):
        key = (node.line.offer_id, node.line.tier, *((p.server.name, p.gpus, p.part) for p in node.placed))
        before = found.get(key)
        found[key] = Layout(node.line, tuple(node.placed), before.count + 1 if before else 1)
    return tuple(found.values())
