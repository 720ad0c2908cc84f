"""What the search chose, in the terms of candidates and options: the raw material of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.candidates.types import Candidate
from optimizer.pricing.types import NodeOption


@dataclass(frozen=True, slots=True)
class ChosenReplicas:
    """Identical replicas of one candidate and the share (of 2520) of its workload they serve."""

    candidate: Candidate
    replicas: int
    share: int


@dataclass(frozen=True, slots=True)
class ChosenNodes:
    """Nodes of one option; ``spare`` of the ``count`` are kept in reserve."""

    option: NodeOption
    count: int
    spare: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One solution of the fleet model."""

    rank: int
    proven: bool
    replicas: tuple[ChosenReplicas, ...]
    nodes: tuple[ChosenNodes, ...]
    load_factor: float
