"""The ledger: every money figure is a line. The only shape in which cost travels between rooms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CostLine:
    """One line of the ledger: name, quantity, unit, unit price, and its integer cents per month."""

    name: str
    quantity: float
    unit: str
    unit_price: float
    monthly_cents: int
