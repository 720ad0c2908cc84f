"""A deployment plan and the outcomes of a search: frozen, complete, nothing left to compute for a report.

The question as it was understood, for the head of every report.

What one kind of GPU alone would cost, beside a plan that puts length classes on several.

What wins under a stricter view of prices: at list prices alone, where stock notes are believed, after expiry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optimizer.demand import LengthShare, Promise, SessionMeans
from optimizer.plan.costs import NOTHING_OWED, CostLine, LongRun, Owed, UnitCosts
from optimizer.plan.deployment import (
    AskedPeriod,
    CacheHits,
    Capacity,
    Group,
    KeptPromise,
    MemoryGib,
    NodeLine,
    PeriodService,
    PlanPeriod,
    Prediction,
)
from optimizer.plan.experiment import Experiment, Stated
from optimizer.plan.quotes import QuoteVerdict
from optimizer.plan.replayed import (
    Footage,
    LatencyMs,
    Minimality,
    Remainder,
    Replay,
    ReplayedPromise,
    StandsAt,
)
from optimizer.vocabulary import RANKABLE_EVIDENCE, Evidence, Role, Survive, Tier

if TYPE_CHECKING:
    from pandas import DataFrame

    from optimizer.plan.plots import OutcomePlots


@dataclass(frozen=True, slots=True)
class SingleKind:
    """The best plan on one kind of GPU alone; None: it cannot serve the problem alone."""

    gpu: str
    monthly_cents: int | None
    gpus: int


@dataclass(frozen=True, slots=True)
class WorkloadLoad:
    """The planned load of one workload as the report echoes it (Little's law fills in what was not stated)."""

    workload: str
    requests_per_second: float
    output_tokens_per_second: float
    inflight: float  # not a number: not stated, and no plan whose latencies would tell
    decided_by: str
    length_class: str = ""  # the class of a workload that this is the load of
    users: float | None = None  # of a closed population, whose rate and number in flight are those of the best plan
    think_s: float | None = None
    sessions: SessionMeans | None = None  # whose turns these are


@dataclass(frozen=True, slots=True)
class Figures:
    """A load in figures; None: not stated, so each plan has its own."""

    requests_per_second: float | None
    output_tokens_per_second: float | None
    inflight: float | None
    users: float | None


@dataclass(frozen=True, slots=True)
class Demand:
    """The load of a workload in three words: as the file states it; at the peak, ``peak_factor`` and the busiest period
    of a day profile included; and as planned for, ``margins.load_headroom`` on top."""

    workload: str
    stated: Figures
    peak: Figures
    planned: Figures
    peak_by: float  # what the peak is times the stated load
    headroom: float  # what is planned beyond the peak, as a share


@dataclass(frozen=True, slots=True)
class LoadFloor:
    """One traffic figure of the problem file and the load it alone would ask for."""

    path: str  # YAML path
    stated: float  # as written in the file
    requests_per_second: float | None
    inflight: float | None
    wins: bool  # whether it is the floor that counts


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for one workload, as the report echoes it."""

    workload: str
    model: str
    input_tokens: float
    input_p95: float | None
    output_tokens: float
    output_p95: float | None
    context_max: int
    promises: tuple[Promise, ...]
    min_recovery: float | None
    floors: tuple[LoadFloor, ...]
    stated: Stated  # what a test of it has to know
    hours_per_month: float | None  # batch work: the hours used; None = around the clock
    load_hours: float = 730.0  # hours a month in which the load runs and its tokens are made
    periods: tuple[AskedPeriod, ...] = ()  # of the day profile
    min_replicas: int = 0
    length_class: str = ""  # asked of one length class that may be served apart
    class_share: float = 1.0  # of the workload's requests that are of the class
    classes: tuple[LengthShare, ...] = ()  # of a mix


__all__ = [
    "NOT_COUNTED",
    "Asked",
    "AskedPeriod",
    "Binding",
    "CacheHits",
    "Capacity",
    "Demand",
    "Elsewhere",
    "Feasible",
    "Figures",
    "Footage",
    "FunnelStep",
    "Group",
    "Infeasible",
    "KeptPromise",
    "LatencyMs",
    "LoadFloor",
    "MemoryGib",
    "Minimality",
    "NodeLine",
    "Optimal",
    "OtherWinner",
    "OtherWinners",
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
    "Remainder",
    "Replay",
    "ReplayEffort",
    "ReplayedPromise",
    "Seal",
    "SingleKind",
    "StandsAt",
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
    unit_costs: UnitCosts | None = None
    also: tuple[Elsewhere, ...] = ()  # cheapest first
    stress: tuple[Stress, ...] = ()
    long_run: LongRun | None = None  # totals over years, rent or buy, against an API
    simulated: tuple[Replay, ...] = ()  # in the order of ``groups``; empty where plans were not replayed
    minimality: tuple[Minimality, ...] = ()  # likewise
    remainder: tuple[Remainder, ...] = ()  # likewise, or where the problem asks that something may be gone
    periods: tuple[PlanPeriod, ...] = ()  # of the day profile; empty where the load never changes
    owed: Owed = NOTHING_OWED  # commitments and purchases
    experiments: tuple[Experiment, ...] = ()  # in the order of ``groups``; empty where plans were not replayed
    recoverable_tax_cents: int = 0  # a month, in no total: ``payment.tax_recoverable``
    without_pools_cents: int | None = None  # of a plan with pools: the cheapest without; None: there is none, not asked

    @property
    def has_pools(self) -> bool:
        """Whether a prefill pool and a decode pool serve the workload."""
        return any(group.role is not Role.SERVE for group in self.groups)

    @property
    def price_evidence(self) -> Evidence | None:
        """The weakest class among its nodes; None: own hardware alone."""
        found = [node.evidence for node in self.nodes if node.evidence is not None]
        return max(found, key=RANKABLE_EVIDENCE.index, default=None)

    @property
    def expires(self) -> str | None:
        """The last day on which every price of it may be ranked; None: no price of it has such a day."""
        return min((node.ranks_until for node in self.nodes if node.ranks_until is not None), default=None)

    @property
    def without_a_node(self) -> bool | None:
        """Whether every promise is kept with any one node gone and nothing started again, as replayed; None: not
        known."""
        told = [one for one in self.remainder if one.gone is Survive.NODE]
        return all(one.holds for one in told) if self.simulated and len(told) == len(self.groups) else None

    @property
    def stock_notes(self) -> tuple[str, ...]:
        """What was seen of the stock of its nodes, where that was doubtful: provider, instance and the note."""
        return tuple(
            f"{node.provider} {node.instance_type}: {node.stock_note}" for node in self.nodes if node.stock_note
        )

    @property
    def cost_per_million_output_tokens(self) -> float | None:
        """Currency units per million output tokens of the expected volume."""
        return None if self.unit_costs is None else self.unit_costs.per_million_output_tokens


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
    left_out: tuple[tuple[str, object, int], ...] = ()  # (path, after, cents): would do too, at a price nobody means


@dataclass(frozen=True, slots=True)
class ReplayEffort:
    """Kinds of replica (workload, GPU, link, formats, sizes) that were replayed, and those that a bound alone set
    aside; None: not counted, as where plans are not replayed or only what the closed form proposes is."""

    replayed: int | None
    bounded: int | None


NOT_COUNTED = ReplayEffort(None, None)


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
    replay: ReplayEffort = NOT_COUNTED


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
class OtherWinner:
    """The cheapest plan under such a view. ``plan`` is None where nothing wins then."""

    plan: Plan | None
    rank: int | None = None  # where it is one of the ranking
    stock_notes: tuple[str, ...] = ()  # what was seen of the stock of its nodes
    in_stock: OtherWinner | None = None  # what wins without them; None: no such note, or not worked out


@dataclass(frozen=True, slots=True)
class OtherWinners:
    """How far the first plan rests on its prices. None: not worked out (no plan, no time, or a large problem)."""

    at_list: OtherWinner | None = None  # with ``payment.price_evidence: [quote, list]``
    first: OtherWinner | None = None  # the first plan itself, with its stock notes
    expires: str | None = None  # last day on which every price of the first plan may be ranked
    after_expiry: OtherWinner | None = None  # on the day after
    by_grade: tuple[tuple[str, OtherWinner], ...] = ()  # of every grade that no better one undercuts, the best first
    as_published: OtherWinner | None = None  # with every model's weights in the format they were published in
    surviving: OtherWinner | None = None  # that keeps every promise with any one node gone; None under other objectives

    def every(self) -> Iterator[OtherWinner]:
        """All of them, each followed by what wins without its doubtful stock."""
        graded = (winner for _, winner in self.by_grade)
        for first in (self.at_list, self.first, self.after_expiry, self.as_published, self.surviving, *graded):
            yield from (winner for winner in (first, first and first.in_stock) if winner is not None)


@dataclass(frozen=True, slots=True)
class Seal:
    """Fingerprints (SHA-256) of what an answer rests on: where one differs, the answer may be another."""

    problem: str  # the file, the edits of it and every file that it names
    catalogs: str  # prices, cards, models, engines; those of the user on top of the packaged ones
    calibration: str  # the performance model's parameters and kernel facts, the user's own fit on top
    code: str  # this package


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
    demand: tuple[Demand, ...] = ()
    understood: Mapping[str, object] = field(default_factory=dict)  # the problem as read, defaults included
    rules: tuple[str, ...] = ()  # user rules that differ from the defaults, as "path: value"
    currency: str = "USD"
    confidence: float = 0.9
    distinct_by: tuple[str, ...] = ()
    mixes: bool = False  # several configurations may share a workload
    targets: tuple[Target, ...] = ()
    rejected: tuple[Rejection, ...] = ()  # by replay, in the order they were found
    others: OtherWinners = field(default_factory=OtherWinners)  # what wins under a stricter view of prices
    unpriced: tuple[Unpriced, ...] = ()  # the fewest GPUs first
    single_kinds: tuple[SingleKind, ...] = ()  # where the first plan puts length classes on several kinds of GPU
    quotes: tuple[QuoteVerdict, ...] = ()  # of every entry of ``offers:``, in its order
    seal: Seal | None = None  # None: of an outcome that no problem file led to

    def to_frame(self) -> DataFrame:
        """The ranked plans as a pandas table, one row a plan; see ``plans_frame``."""
        from optimizer.plan.frames import plans_frame

        return plans_frame(self.plans)

    @property
    def plot(self) -> OutcomePlots:
        """Charts by matplotlib (the extra ``charts``): ``frontier()``, ``cost()``, ``promises()``, ``memory()``,
        ``funnel()``; each returns its axes."""
        from optimizer.plan.plots import OutcomePlots

        return OutcomePlots(self)


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


_STATUS: tuple[tuple[type[Outcome], str], ...] = (
    (Optimal, "optimal"),
    (Feasible, "feasible"),
    (Infeasible, "infeasible"),
    (Unknown, "unknown"),
)


def status_of(outcome: Outcome) -> str:
    """Give the word for an outcome's type.

    Parameters
    ----------
    outcome : Outcome
        Of ``solve``.

    Returns
    -------
    str
        ``optimal``, ``feasible``, ``infeasible`` or ``unknown``.
    """
    return next(word for kind, word in _STATUS if isinstance(outcome, kind))
