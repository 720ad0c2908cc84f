"""What one kind of GPU alone would cost, beside a plan that puts length classes on several."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SingleKind:
    """The best plan on one kind of GPU alone; None: it cannot serve the problem alone."""

    gpu: str
    monthly_cents: int | None
    gpus: int
