"""A quote as it was read, or refused with the reason."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from optimizer.catalog.importers.phrases import Per, RentPeriod
from optimizer.vocabulary import Tier

_MONTH = 730.0
_HOURS = {RentPeriod.HOUR: 1.0, RentPeriod.DAY: 24.0, RentPeriod.MONTH: _MONTH, RentPeriod.YEAR: 12 * _MONTH}


class Unit(StrEnum):
    """What an amount is for: a closed set."""

    NODE_HOUR = "node_hour"
    GPU_HOUR = "gpu_hour"
    NODE_DAY = "node_day"
    GPU_DAY = "gpu_day"
    NODE_MONTH = "node_month"
    GPU_MONTH = "gpu_month"
    NODE_YEAR = "node_year"
    GPU_YEAR = "gpu_year"
    NODE_PURCHASE = "node_purchase"
    GPU_PURCHASE = "gpu_purchase"

    @classmethod
    def of(cls, per: Per, period: RentPeriod) -> Unit:
        """The unit of an amount for one card or node over a period."""
        return cls(f"{per}_{period}")

    @property
    def bought(self) -> bool:
        """Paid once."""
        return self in (Unit.NODE_PURCHASE, Unit.GPU_PURCHASE)

    def per_node(self, amount: float, gpus_per_node: int) -> float:
        """The amount per node: per hour of a rent (a month has 730 hours, a year twelve months), once of a purchase."""
        per, _, period = self.value.partition("_")
        whole = amount * gpus_per_node if per == Per.GPU else amount
        return whole if self.bought else whole / _HOURS[RentPeriod(period)]


class Status(StrEnum):
    """Whether a quote could be read."""

    READ = "read"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """One price of one line of a list. What could not be told is None."""

    file: str
    line: int
    provider: str | None = None  # as written
    gpu: str | None = None  # id in the catalog
    gpus_per_node: int | None = None
    amount: float | None = None  # as written, tax in it where ``tax_included``
    currency: str | None = None
    unit: Unit | None = None
    tier: Tier | None = None
    tax_percent: float | None = None
    valid_until: str | None = None  # ISO
    status: Status = Status.READ
    notes: tuple[str, ...] = ()  # of a refused one: why; else what was understood from more than one word
    ignored_columns: tuple[str, ...] = ()
    tax_included: bool = False
    known_provider: str = ""  # id in the catalog, where the name is one of its names
    quote_id: str = ""
    quote_ref: str = ""
    region: str = ""
    layout: str = ""  # of the program whose list it stands in; blank: somebody's own
    instance_type: str = ""
    host_memory_gib: float | None = None
    provider_class: str = ""
    country: str = ""  # two letters
    certificates: tuple[str, ...] = ()
    min_nodes: int | None = None
    nvlink: bool | None = None
    stock: int | None = None
    lead_time_weeks: float | None = None
    kept: tuple[tuple[str, str], ...] = ()  # header and cell of what the offer has no place for

    @property
    def reason(self) -> str:
        """Why it was refused, or what was understood."""
        return "; ".join(self.notes)

    def refused(self, *reasons: str) -> QuoteLine:
        """The same line, not read, for these reasons."""
        return replace(self, status=Status.REFUSED, notes=reasons)

    @property
    def net_per_node(self) -> float:
        """Of a line that was read: its price before tax, per node and hour, or per node once."""
        assert self.unit is not None and self.amount is not None and self.gpus_per_node is not None
        net = self.amount / (1 + (self.tax_percent or 0.0) / 100) if self.tax_included else self.amount
        return self.unit.per_node(net, self.gpus_per_node)

    def json(self) -> dict[str, Any]:
        """What ``optimize quotes --format json`` gives."""
        return {
            "file": self.file,
            "line": self.line,
            "provider": self.provider,
            "gpu": self.gpu,
            "gpus_per_node": self.gpus_per_node,
            "amount": self.amount,
            "currency": self.currency,
            "unit": None if self.unit is None else str(self.unit),
            "tier": None if self.tier is None else str(self.tier),
            "tax_percent": self.tax_percent,
            "valid_until": self.valid_until,
            "status": str(self.status),
            "reason": self.reason,
            "ignored_columns": list(self.ignored_columns),
        }
