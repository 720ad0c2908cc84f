"""A deployment plan and the outcomes of a search: frozen, complete, nothing left to compute for a report."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.ledger import NOTHING_OWED, CostLine, LongRun, Owed
from optimizer.plan.asked import Asked, LoadFloor, WorkloadLoad
from optimizer.plan.expected import Capacity, KeptPromise, Prediction
from optimizer.plan.hardware import Group, MemoryGib, NodeLine
from optimizer.plan.kinds import SingleKind
from optimizer.plan.periods import AskedPeriod, PeriodService, PlanPeriod
from optimizer.plan.quotes import QuoteVerdict
from optimizer.plan.replayed import Footage, LatencyMs, Replay, ReplayedPromise
from optimizer.vocabulary import Tier

__all__ = [
    "Asked",
    "AskedPeriod",
    "Binding",
    "Capacity",
    "Elsewhere",
    "Feasible",
    "Footage",
    "FunnelStep",
    "Group",
    "Infeasible",
    "KeptPromise",
    "LatencyMs",
    "LoadFloor",
    "MemoryGib",
    "NodeLine",
    "Optimal",
    "Outcome",
    "PeriodService",
    "Plan",
    "PlanKey",
    "PlanPeriod",
    "Prediction",
    "Proof",
    "QuoteVerdict",
    "Rejection",
    "Relaxation",
    "Replay",
    "ReplayedPromise",
    "SingleKind",
    "Stress",
    "Target",
    "Unknown",
    "Unpriced",
    "WorkloadLoad",
]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Replicas that the closed form proposed and the replay refused, with the smallest repair.

    ``replicas_needed``: how many of the same replicas keep every promise (None: no number tried does, or the load is
    what is sought); ``repaired_cents``: what the ranked plan with them costs, where it made the ranking.
    """

    rank: int  # of the first plan with them, in the ranking that was replayed
    round: int  # counts from 1: the ranking that was replayed
    monthly_cents: int  # of that plan
    group: Group
    missed: tuple[ReplayedPromise, ...]
    replicas_needed: int | None
    repaired_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """A promise or limit and how close the plan runs to it. ``value`` carries the error margin."""

    promise: str  # YAML path
    workload: str | None  # of a promise to the requests of one length class ``workload/class``
    value: float
    limit: float
    unit: str
    slack: float  # share of the limit left, 0 = exactly on it
    length_class: str = ""  # whose requests the promise is about
    of: str = ""  # of a quota or stock: whose


@dataclass(frozen=True, slots=True, order=True)
class PlanKey:
    """What makes two plans 'the same' for a ranking: sorted content, never an index."""

    parts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The cheapest way to run the same configuration at another provider."""

    provider: str
    tier: Tier
    monthly_cents: int


@dataclass(frozen=True, slots=True)
class Stress:
    """A what-if: whether the plan still holds, and what a plan that does would cost (None: not solved).

    ``reached_s`` of ``limit_s``: the latency that the what-if leads to, where it is about one. Of other prices: whether
    the plan is still the best. ``load_factor``: what the plan that does carries, where the load is the objective.
    """

    what: str
    holds: bool
    monthly_cents: int | None
    reached_s: float | None = None
    limit_s: float | None = None
    of_prices: bool = False
    load_factor: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One ranked deployment. With a day profile the numbers of replicas, nodes and GPUs are the largest of any period,
    and predictions are those of the busiest."""

    rank: int
    proven: bool
    key: PlanKey
    monthly_cents: int
    currency: str
    gpus: int
    load_factor: float
    grade: str
    nodes: tuple[NodeLine, ...]
    groups: tuple[Group, ...]
    predicted: tuple[Prediction, ...]
    binding: tuple[Binding, ...]
    cost_lines: tuple[CostLine, ...]
    excludes: tuple[str, ...]
    spare_node_cents: int
    tie_with: int | None = None
    notes: tuple[str, ...] = ()
    cost_per_million_output_tokens: float | None = None  # at the stated load, all the hours that it runs
    also: tuple[Elsewhere, ...] = ()  # cheapest first
    stress: tuple[Stress, ...] = ()
    long_run: LongRun | None = None  # totals over years, rent or buy, against an API
    simulated: tuple[Replay, ...] = ()  # in the order of ``groups``; empty where plans were not replayed
    periods: tuple[PlanPeriod, ...] = ()  # of the day profile; empty where the load never changes
    owed: Owed = NOTHING_OWED  # commitments and purchases
    recoverable_tax_cents: int = 0  # a month, in no total: ``payment.tax_recoverable``


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """Candidates left after one rule, and the cheapest that the rule removed."""

    rule: str
    remaining: int
    cheapest_removed_cents: int | None
    note: str = ""  # what would bring the removed ones back (a measurement, an edit)


@dataclass(frozen=True, slots=True)
class Relaxation:
    """An edit of the problem file that makes an infeasible problem feasible, re-solved and priced."""

    change: str  # YAML path
    before: object
    after: object
    monthly_cents: int
    also: tuple[tuple[str, object, object], ...] = ()  # further edits (path, before, after) that must go with it


@dataclass(frozen=True, slots=True)
class Proof:
    """What the arithmetic verdict rests on."""

    objective: str
    value: float | None
    bound: float | None
    unit: str
    gap: float | None
    candidates_enumerated: int
    candidates_feasible: int
    candidates_screened: int
    replay_rejected: int
    prices_from: str | None
    prices_to: str | None
    performance_model: str


@dataclass(frozen=True, slots=True)
class Target:
    """The price below which a GPU of a provider would win."""

    gpu: str
    provider: str
    wins_below_per_gpu_hour: float


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Nodes that would hold workloads, were there a price for them that may be ranked under the buyer's rules."""

    gpu: str
    gpus_per_node: int
    nodes: int  # that are needed
    workloads: tuple[str, ...]  # that they would serve
    ask_below_cents: int | None  # per node and month: what wins below it; None: any price is better than no plan


@dataclass(frozen=True, slots=True)
class Outcome:
    """Base of the four outcomes; ``plans`` is empty unless the problem was solved."""

    problem_name: str
    problem_path: str
    problem_sha256: str
    loads: tuple[WorkloadLoad, ...]
    warnings: tuple[str, ...]
    proof: Proof
    funnel: tuple[FunnelStep, ...]
    plans: tuple[Plan, ...]
    relaxations: tuple[Relaxation, ...]
    asked: tuple[Asked, ...] = ()
    rules: tuple[str, ...] = ()  # user rules that differ from the defaults, as "path: value"
    currency: str = "USD"
    confidence: float = 0.9
    distinct_by: tuple[str, ...] = ()
    mixes: bool = False  # several configurations may share a workload
    targets: tuple[Target, ...] = ()
    rejected: tuple[Rejection, ...] = ()  # by replay, in the order they were found
    unpriced: tuple[Unpriced, ...] = ()  # the fewest GPUs first
    single_kinds: tuple[SingleKind, ...] = ()  # where the first plan puts length classes on several kinds of GPU
    quotes: tuple[QuoteVerdict, ...] = ()  # of every entry of ``offers:``, in its order


@dataclass(frozen=True, slots=True)
class Optimal(Outcome):
    """Every printed plan is proven: objective equals bound."""


@dataclass(frozen=True, slots=True)
class Feasible(Outcome):
    """Plans found, at least one not proven within the limit."""


@dataclass(frozen=True, slots=True)
class Infeasible(Outcome):
    """Proven: nothing enumerated keeps every promise."""


@dataclass(frozen=True, slots=True)
class Unknown(Outcome):
    """The search ended without a plan and without a proof."""
