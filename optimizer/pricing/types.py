"""What the pricing room answers: a way to get one node, priced to the cent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from optimizer.catalog.types import Gpu, Offer, Price
from optimizer.plan.costs import CostLine
from optimizer.vocabulary import Evidence, Link, Tier


class Origin(StrEnum):
    """Where an option comes from: decides which of the user's rules concern it."""

    CATALOG = "catalog"
    QUOTE = "quote"  # the user's own quote (`offers`)
    OWNED = "owned"  # the user's own hardware (`hardware.owned`)
    WANTED = "wanted"  # a node that nobody priced, as a quote for it would be: states all that rules ask of offers


@dataclass(frozen=True, slots=True)
class NodeType:
    """Offers grouped by what matters for performance."""

    gpu: Gpu
    gpus_per_node: int
    link: Link
    fabric_gbps: float  # between nodes; 0 = not stated, so nothing spans nodes
    host_gib: float = 0.0  # of its memory for the KV cache of each card; 0 = none may lie there, or none is stated
    key: tuple[str, int, str, float, float] = field(init=False, compare=False, repr=False)
    """Content key, stable across runs and orders."""

    def __post_init__(self) -> None:
        """The key is asked for so often that it is made once."""
        key = (self.gpu.id, self.gpus_per_node, str(self.link), self.fabric_gbps, self.host_gib)
        object.__setattr__(self, "key", key)


@dataclass(frozen=True, slots=True)
class PeriodPrice:
    """One node of an option that is paid by use, in one period of the day profile, a month."""

    lines: tuple[CostLine, ...]  # while it runs in the period
    start_lines: tuple[CostLine, ...]  # for starting each time the period begins; billed before it serves
    cents: int  # sum of ``lines``
    start_cents: int  # sum of ``start_lines``


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
    periods: tuple[PeriodPrice, ...] = ()  # of the day profile, where paid by use; empty: paid all month
    from_nodes: int = 1  # fewest nodes that are sold at this price
    up_to_nodes: int | None = None  # most nodes that are sold at this price; None: no end

    @property
    def key(self) -> tuple[str, str]:
        """Content key: offer id and tier, and from how many nodes on the price holds where that is not the first."""
        return option_key(self.offer.id, self.tier, self.from_nodes)

    @property
    def ordered_in_lots(self) -> bool:
        """Whether not every number of nodes is sold at this price."""
        return self.from_nodes > 1 or self.up_to_nodes is not None

    @property
    def evidence(self) -> Evidence | None:
        """What its price rests on; None: own hardware, which has no price."""
        if self.price is None:
            return None
        return Evidence.QUOTE if self.origin is Origin.QUOTE else self.price.evidence

    def cents_for(self, running: Sequence[int]) -> int:
        """Cents per month of so many nodes in each period: of the most of them, or of the hours used and the starts."""
        if not self.periods:
            return self.monthly_cents * max(running)
        prices = zip(self.periods, running, starts_of(running), strict=True)
        return sum(price.cents * count + price.start_cents * started for price, count, started in prices)


def option_key(offer_id: str, tier: Tier, from_nodes: int = 1) -> tuple[str, str]:
    """Content key of an option."""
    return (offer_id, str(tier) if from_nodes == 1 else f"{tier} from {from_nodes} nodes")


def starts_of(running: Sequence[int]) -> tuple[int, ...]:
    """Nodes that start as each period begins: what it has beyond the one before, the first following the last."""
    return tuple(max(0, count - running[index - 1]) for index, count in enumerate(running))
