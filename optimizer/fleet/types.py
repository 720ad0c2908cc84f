"""What the fleet model answers: frozen values, no solver objects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from optimizer.candidates.types import Candidate
from optimizer.demand import Load
from optimizer.performance.types import OperatingPoint
from optimizer.plan.types import PlanKey, Replay
from optimizer.pricing.types import NodeOption
from optimizer.progress import NO_LIMIT, Clock
from optimizer.units import SHARE_UNITS
from optimizer.vocabulary import Role


class FleetStatus(StrEnum):
    """How a search ended."""

    PROVEN = "proven"  # every plan listed is the best that is left
    FEASIBLE = "feasible"  # plans found, at least one not proven within the limit
    INFEASIBLE = "infeasible"  # proven: no plan keeps every rule
    UNKNOWN = "unknown"  # no plan and no proof within the limit


@dataclass(frozen=True, slots=True)
class Standing:
    """Replicas of a group at one place."""

    provider: str
    region: str  # empty: not stated
    replicas: int


@dataclass(frozen=True, slots=True)
class GroupChoice:
    """Replicas of one candidate at one operating point, serving their share of its workload."""

    candidate: Candidate
    point: int  # index into candidate.points
    replicas: int
    kept: tuple[int, ...] = ()  # indices of all its points that keep every promise
    share: int = SHARE_UNITS  # of 2520
    running: tuple[int, ...] = ()  # replicas in each period of the day profile; ``replicas`` is the most of them
    lost: int = field(default=0, compare=False)  # that are gone with whatever the plan survives
    places: tuple[Standing, ...] = field(default=(), compare=False)  # where its replicas stand, if a site may be gone

    @property
    def left(self) -> int:
        """Replicas that still run when what the plan survives is gone."""
        return max(self.replicas - self.lost, 0)

    @property
    def operating_point(self) -> OperatingPoint:
        """The operating point they run inside."""
        return self.candidate.points[self.point]

    def factor(self, point: OperatingPoint, load: Load) -> float:
        """How many times their share of the load the replicas carry at a point, in the tightest period; those that are
        left, where something may be gone."""
        if self.running:
            parts = [(count, load.in_period(index)) for index, count in enumerate(self.running) if load.factors[index]]
            return min(replace(self, replicas=count, running=()).factor(point, there) for count, there in parts)
        pairs = zip(point.carries, load.floors, strict=True)
        part = self.share / SHARE_UNITS
        return min(capacity * self.left / (asked * part) for capacity, asked in pairs if asked > 0)

    def roomiest(self, load: Load) -> OperatingPoint:
        """The point that carries most of a load with every promise kept; under a latency objective the chosen one
        may carry less."""
        points = [self.candidate.points[index] for index in sorted({self.point, *self.kept})]
        return max(points, key=lambda point: self.factor(point, load))


@dataclass(frozen=True, slots=True)
class NodeChoice:
    """Nodes of one option."""

    option: NodeOption
    count: int
    spare: int  # of ``count``, kept in reserve
    running: tuple[int, ...] = ()  # nodes in each period of the day profile; ``count`` is the most of them

    @property
    def cents(self) -> int:
        """Cents per month of all of them."""
        return self.option.cents_for(self.running or (self.count,))


@dataclass(frozen=True, slots=True)
class FleetSolution:
    """One ranked plan."""

    rank: int
    key: PlanKey
    groups: tuple[GroupChoice, ...]  # in the order of the workloads, and of the length classes served apart
    nodes: tuple[NodeChoice, ...]  # sorted by option key
    monthly_cents: int  # fixed lines included
    gpus: int  # of all nodes, idle and spare ones included; in the busiest period
    objective: int  # in the unit of the result
    bound: int  # what the solver proved about it
    proven: bool
    load_factor: float  # largest f, in thousandths rounded down, that the replicas carry
    pooled: Replay | None = None  # of a prefill and a decode pool, as replayed: what its requests see
    without_pools_cents: int | None = None  # the cheapest plan of replicas that do both phases; None: none, not asked

    @property
    def has_pools(self) -> bool:
        """Whether a prefill pool and a decode pool serve the workload."""
        return any(group.candidate.role is not Role.SERVE for group in self.groups)


@dataclass(frozen=True, slots=True)
class FleetResult:
    """The ranked plans of a problem."""

    status: FleetStatus
    solutions: tuple[FleetSolution, ...]
    objective: str
    unit: str  # cents per month, thousandths of the load, microseconds, GPUs
    enumerated: int
    feasible: int
    screened: int  # left out because their cheapest nodes alone cost more than the last plan listed
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SolveSettings:
    """How to search. ``screens=False`` switches off every screening and dominance step: same answer, more work."""

    screens: bool = True
    max_deterministic_time: float = 60.0  # per solve, in the solver's own units, so that a limit never depends on load
    random_seed: int = 1
    clock: Clock = NO_LIMIT  # over the whole search, in seconds
    large_from: int | None = None  # slots above which the search for large problems is used; None: its own default
    must_use: str = ""  # id of an offer that every plan has a node of; empty: none
    first_level: bool = False  # only the objective itself: of plans that tie on it, any one
    at_most: int | None = None  # cents a month beyond which nobody wants to know; dearer plans may be found or not


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of the problem file that could make it feasible; ``also`` lists changes that must go with it."""

    path: str  # as ``--set`` takes it
    before: object
    after: object
    also: tuple[Edit, ...] = ()
