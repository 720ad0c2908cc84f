"""What the pricing room answers: a way to get one node, priced to the cent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from optimizer.catalog.types import Gpu, Offer, Price
from optimizer.ledger import CostLine
from optimizer.vocabulary import Link, Tier


class Origin(StrEnum):
    """Where an option comes from: decides which of the user's rules concern it."""

    CATALOG = "catalog"
    QUOTE = "quote"  # the user's own quote (`offers`)
    OWNED = "owned"  # the user's own hardware (`hardware.owned`)


@dataclass(frozen=True, slots=True)
class NodeType:
    """Offers grouped by what matters for performance."""

    gpu: Gpu
    gpus_per_node: int
    link: Link
    fabric_gbps: float  # between nodes; 0 = not stated, so nothing spans nodes

    @property
    def key(self) -> tuple[str, int, str, float]:
        """Content key, stable across runs and orders."""
        return (self.gpu.id, self.gpus_per_node, str(self.link), self.fabric_gbps)


@dataclass(frozen=True, slots=True)
class NodeOption:
    """One offer in one tier: what one node of it costs per month, line by line."""

    node_type: NodeType
    offer: Offer
    price: Price | None  # None for owned hardware
    tier: Tier
    commitment_months: int
    lines: tuple[CostLine, ...]  # of one node
    monthly_cents: int  # sum of ``lines``
    power_kw: float  # GPUs at TDP + non-GPU power, without PUE
    max_nodes: int | None  # stock or owned count
    origin: Origin = Origin.CATALOG

    @property
    def key(self) -> tuple[str, str]:
        """Content key: offer id and tier."""
        return (self.offer.id, str(self.tier))
