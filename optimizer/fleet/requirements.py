"""The user's rules about configurations and limits, read once from the problem into plain values.

The fleet model states each of them as a row; the funnel counts with the same values. Python never drops a candidate
because of them.

Objectives that minimise a latency, and what operating points must state for them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.demand import Load, Metric, Period, Promise, Slo
from optimizer.pricing.rules import OptionRules, RuleName
from optimizer.pricing.types import NodeOption, Origin
from optimizer.units import floor_guarded, to_cents
from optimizer.vocabulary import Survive

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.catalog.types import Catalog
    from optimizer.problem import Part, Problem


CARD_RULES = frozenset({RuleName.GPUS, RuleName.LICENCE, RuleName.NVLINK})
"""Rules of pricing about cards and links: the model states them on the decision literals of a workload."""

OFFER_RULES = tuple(rule for rule in RuleName if rule not in CARD_RULES)
"""Rules of pricing about offers: the model states them on numbers of nodes."""


SHARE_PARTS = 1000
"""The share of one provider is counted in thousandths."""


@dataclass(frozen=True, slots=True)
class CardQuota:
    """At most ``max_gpus`` of one card at one provider; None stands for every one."""

    provider: str | None
    gpu: str | None
    max_gpus: int

    def concerns(self, option: NodeOption) -> bool:
        """Whether nodes of the option count."""
        return self.provider in (None, option.offer.provider) and self.gpu in (None, option.node_type.gpu.id)


@dataclass(frozen=True, slots=True)
class WorkloadRules:
    """What is asked of one workload, or of one length class that may be served apart."""

    name: str
    load: Load
    slo: Slo
    quants: frozenset[str] | None  # None: all
    min_recovery: float
    whole: int | None = None  # of a class: index of its whole workload
    workload: str = ""  # of a class: the workload's name
    classes: tuple[str, ...] = ()  # of a whole workload: the length classes that it is a mix of

    @property
    def path(self) -> str:
        """YAML path of the workload."""
        return f"workloads.{self.workload or self.name}"


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """Limits over the whole plan; None = none."""

    gpus: int | None = None
    nodes: int | None = None
    power_w: int | None = None
    gpu_kinds: int | None = None
    budget_cents: int | None = None
    quotas: tuple[CardQuota, ...] = ()
    provider_share: int | None = None  # of the cost of all nodes that one provider may get, in thousandths


@dataclass(frozen=True, slots=True)
class UserRules:
    """All rules of a problem that the fleet model states as rows."""

    workloads: tuple[WorkloadRules, ...]  # each followed by the length classes it may be split into
    options: OptionRules
    nvlink: str  # any, required, forbidden
    kv_caches: frozenset[str]
    tensor_parallel: frozenset[int]
    pipeline_parallel: frozenset[int]
    limits: PlanLimits
    fixed_cents: int  # lines that every plan carries: extras, staff
    spare_nodes: int
    named_gpus: frozenset[str]  # cards the user names: in gpus, owned or quotes
    objective: str
    distinct_by: tuple[str, ...]
    top: int
    configurations: int = 1  # most that may share one workload
    periods: tuple[Period, ...] = ()  # of the day profile; empty: the load never changes
    min_grade: str | None = None  # the least grade of a prediction; None: any
    attention_dp: frozenset[int] | None = None  # attention ranks of a mixture's replica; None: any number
    expert_parallel: str = "any"  # any, off, required
    survive: Survive = Survive.NONE  # what may be gone with every promise still kept
    pools_required: bool = False  # a prefill and a decode pool, never replicas that do both

    def reserve(self, candidate: Candidate) -> int:
        """Nodes that a plan has at least beyond those that hold the replicas asked for: spare ones, and what may go."""
        gone = 0 if self.survive is Survive.NONE else candidate.nodes_per_replica or 1
        return self.spare_nodes + gone

    def classes_of(self, workload: int) -> tuple[int, ...]:
        """The length classes that may be served apart instead of a workload."""
        return tuple(index for index, asked in enumerate(self.workloads) if asked.whole == workload)

    def ways_to_serve(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """For each workload of the problem, the sets of parts that serve all of it: whole, or class by class."""
        wholes = [index for index, asked in enumerate(self.workloads) if asked.whole is None]
        apart = {index: self.classes_of(index) for index in wholes}
        return tuple(((index,), apart[index]) if apart[index] else ((index,),) for index in wholes)

    @property
    def mixed(self) -> bool:
        """Whether several configurations may share a workload."""
        return self.configurations > 1

    def gpu_allowed(self, gpu: str) -> bool:
        """``hardware.gpus``: a list of cards, or all but some."""
        allowed = self.options.gpus
        return gpu not in self.options.excluded_gpus and (allowed is None or gpu in allowed)

    def licence_allowed(self, candidate: Candidate) -> bool:
        """``hardware.datacenter_licensed_only``: GeForce cards only where named in ``gpus``."""
        gpu = candidate.node_type.gpu
        named = self.options.gpus is not None and gpu.id in self.options.gpus
        return gpu.datacenter_licensed or not self.options.licensed_only or named

    def quant_allowed(self, workload: int, quant: str) -> bool:
        """``engine.weight_quant``; null allows all."""
        allowed = self.workloads[workload].quants
        return allowed is None or quant in allowed

    def grade_allowed(self, grade: str) -> bool:
        """``ranking.min_grade``: grades are letters, A the best."""
        return self.min_grade is None or str(grade) <= self.min_grade

    def ranks_allowed(self, candidate: Candidate) -> bool:
        """``engine.attention_dp``: of mixtures; null allows all."""
        allowed = self.attention_dp
        return allowed is None or not candidate.spec.model.is_moe or candidate.spec.attention_dp in allowed

    def experts_allowed(self, experts: str) -> bool:
        """``engine.expert_parallel``: off keeps them from being dealt, node from being dealt over several nodes,
        required from being cut."""
        forbidden = {"off": ("dealt", "dealt over nodes"), "node": ("dealt over nodes",), "required": ("cut",)}
        return experts not in forbidden.get(self.expert_parallel, ())

    def is_flagged(self, candidate: Candidate) -> bool:
        """TP >= 4 over PCIe on a card the user did not name: never rank 1, never cheaper than rank 1."""
        return candidate.has_unmeasured_topology and candidate.node_type.gpu.id not in self.named_gpus

    def forbidden_by(self, option: NodeOption) -> tuple[RuleName, ...]:
        """Rules about offers that forbid an option."""
        found = self.options.forbidden_by(option)
        return tuple(rule for rule in found if rule not in CARD_RULES) if found else found

    def knowing(self, others: UserRules) -> UserRules:
        """The rules with what others found out about options, where they ask the same of those."""
        return replace(self, options=others.options) if self.options == others.options else self


def user_rules(problem: Problem, catalog: Catalog, options: Collection[NodeOption]) -> UserRules:
    """Read the rules of a problem."""
    from optimizer.pricing import option_rules, plan_lines
    from optimizer.problem import parts_of, periods_of

    hardware, engine = problem.hardware, problem.engine
    of_options = option_rules(problem, catalog)
    named = {option.node_type.gpu.id for option in options if option.origin is not Origin.CATALOG}
    return UserRules(
        workloads=tuple(_workload_rules(part, problem, catalog) for part in parts_of(problem)),
        options=of_options,
        nvlink=str(hardware.nvlink),
        kv_caches=frozenset(engine.kv_cache),
        tensor_parallel=frozenset(engine.tensor_parallel),
        pipeline_parallel=frozenset(engine.pipeline_parallel),
        limits=_limits(problem),
        attention_dp=None if engine.attention_dp is None else frozenset(engine.attention_dp),
        expert_parallel=str(engine.expert_parallel),
        pools_required=engine.disaggregation == "required",
        fixed_cents=sum(line.monthly_cents for line in plan_lines(problem)),
        spare_nodes=problem.margins.spare_nodes,
        named_gpus=frozenset(named | set(of_options.gpus or ())),
        objective=str(problem.objective),
        distinct_by=tuple(sorted({str(name) for name in problem.ranking.distinct_by})),
        top=problem.ranking.top,
        configurations=problem.ranking.max_configurations_per_workload,
        periods=periods_of(problem),
        min_grade=problem.ranking.min_grade,
        survive=problem.margins.survive,
    )


def _workload_rules(part: Part, problem: Problem, catalog: Catalog) -> WorkloadRules:
    from optimizer.performance.compatibility import native_quant

    stated = problem.engine.weight_quant
    native = native_quant(catalog.models[part.workload.model])
    return WorkloadRules(
        name=part.name,
        load=part.load,
        slo=part.slo,
        quants=None if stated is None else frozenset(native if quant == "native" else quant for quant in stated),
        min_recovery=part.workload.quality.min_recovery,
        whole=part.whole,
        workload=part.workload.name,
        classes=tuple(one.name for one in part.lengths.classes),
    )


def _limits(problem: Problem) -> PlanLimits:
    stated = problem.hardware.limits
    budget, share = problem.budget.monthly, stated.max_share_per_provider
    return PlanLimits(
        gpus=stated.max_gpus,
        nodes=stated.max_nodes,
        power_w=None if stated.max_power_kw is None else floor_guarded(stated.max_power_kw * 1000),
        gpu_kinds=stated.max_gpu_kinds,
        budget_cents=None if budget is None else to_cents(budget),
        provider_share=None if share is None else floor_guarded(share * SHARE_PARTS),
        quotas=tuple(CardQuota(entry.provider, entry.gpu, entry.max_gpus) for entry in problem.hardware.quota),
    )


UNLIMITED_S = 1e6
"""Limit of a latency that is minimised without having been promised: no replica is this slow and still stable."""


LATENCY_OBJECTIVES = {"minimize_ttft": Metric.TTFT, "minimize_tpot": Metric.TPOT}
"""Objectives that minimise a latency, and which."""


def objective_promises(asked: WorkloadRules, objective: str, percentile: float) -> tuple[Slo, tuple[int, ...]]:
    """Promises whose latencies operating points must state, and the indices of those whose largest is minimised.

    It is the highest percentile stated of the metric, of a mix of length classes for each class; a metric without a
    promise gets one that always holds.
    """
    metric = LATENCY_OBJECTIVES.get(objective)
    if metric is None:
        return asked.slo, ()
    promises, found = list(asked.slo.promises), list[int]()
    for length_class in asked.classes or ("",):
        stated = [i for i, p in enumerate(promises) if (p.metric, p.length_class) == (metric, length_class)]
        if not stated:
            stated = [len(promises)]
            promises.append(Promise(metric, percentile, UNLIMITED_S, "objective", length_class))
        found.append(max(stated, key=lambda index: (promises[index].percentile, -index)))
    return Slo(tuple(promises)), tuple(found)
