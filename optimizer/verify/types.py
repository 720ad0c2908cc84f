"""What verification answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One promise of a plan that its recomputation does not confirm."""

    rule: str
    path: str  # of the plan (``groups[0].memory``) or of the problem file (``hardware.limits.max_gpus``)
    expected: object
    found: object
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.path}: {self.message} (expected {self.expected}, found {self.found})"
