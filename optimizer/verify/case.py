"""A plan joined to the problem and the catalog it claims to answer: every name resolved, nothing judged yet.

What verification answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.performance import memory_bill
from optimizer.performance.compatibility import KV_CACHES, QUANTS
from optimizer.performance.drafting import drafted_by
from optimizer.performance.starting import settled
from optimizer.performance.types import ReplicaSpec
from optimizer.pricing import NodeOption, NodeType, OptionRules, node_options, option_key, option_rules
from optimizer.problem import parts_of, periods_of
from optimizer.units import SHARE_UNITS
from optimizer.vocabulary import Role

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.demand import Lengths, Load, Slo
    from optimizer.performance import Parameters
    from optimizer.performance.types import MemoryBill
    from optimizer.plan.types import Group, NodeLine, Plan
    from optimizer.problem import Part, Problem, Workload


MAXIMIZE_LOAD = "maximize_load"
"""The objective under which a plan carries its load factor times the planned load."""

_COUNTS = (
    "replicas",
    "share",
    "tensor_parallel",
    "pipeline_parallel",
    "attention_dp",
    "expert_parallel",
    "max_num_seqs",
    "max_num_batched_tokens",
    "max_model_len",
)


@dataclass(frozen=True, slots=True)
class GroupCase:
    """One group with what it refers to."""

    path: str
    group: Group
    part: Part  # what it serves: a workload, or a length class of one
    node_type: NodeType
    spec: ReplicaSpec
    bill: MemoryBill
    load: Load  # of all of the part; under maximize_load times the plan's factor

    @property
    def name(self) -> str:
        """Of the workload, or of the length class served apart."""
        return self.part.name

    @property
    def workload(self) -> Workload:
        """The workload that it serves, all or a class of it."""
        return self.part.workload

    @property
    def lengths(self) -> Lengths:
        """Of the requests that it serves."""
        return self.part.lengths

    @property
    def slo(self) -> Slo:
        """Promises to the requests that it serves."""
        return self.part.slo

    @property
    def share(self) -> float:
        """The part of that load that one replica of the group carries."""
        return self.group.share / SHARE_UNITS / self.group.replicas


@dataclass(frozen=True, slots=True)
class NodeCase:
    """One node line with the option it refers to."""

    path: str
    line: NodeLine
    option: NodeOption


@dataclass(frozen=True, slots=True)
class CheckedCase:
    """Everything a rule may look at."""

    problem: Problem
    catalog: Catalog
    params: Parameters
    plan: Plan
    rules: OptionRules
    nodes: tuple[NodeCase, ...]
    groups: tuple[GroupCase, ...]
    period: int | None = None  # of the day profile, where it is that period alone; else the largest numbers of any

    @property
    def serving(self) -> tuple[GroupCase, ...]:
        """Groups whose replicas do all of a request; pools are judged together (``verify.pools``)."""
        return tuple(group for group in self.groups if group.group.role is Role.SERVE)

    @property
    def running(self) -> dict[tuple[str, str], tuple[int, ...]] | None:
        """Nodes of each option in each period of the day profile; None without one."""
        if not self.plan.periods:
            return None
        counts = zip(*(period.nodes for period in self.plan.periods), strict=True)
        return {node.option.key: of_node for node, of_node in zip(self.nodes, counts, strict=True)}

    def in_period(self, index: int) -> CheckedCase:
        """What runs in one period of the day profile, under its load."""
        period = self.plan.periods[index]
        nodes = tuple(
            replace(node, line=replace(node.line, count=count, spare=min(node.line.spare, count)))
            for node, count in zip(self.nodes, period.nodes, strict=True)
            if count
        )
        groups = tuple(
            replace(group, group=replace(group.group, replicas=replicas), load=group.load.in_period(index))
            for group, replicas in zip(self.groups, period.replicas, strict=True)
            if replicas
        )
        return replace(self, nodes=nodes, groups=groups, period=index)


def references(problem: Problem, catalog: Catalog, plan: Plan) -> Iterator[Mismatch]:
    """Names in a plan that lead nowhere; where there is one, nothing else can be checked."""
    options = _options(problem, catalog, plan)
    workloads = {part.name for part in parts_of(problem)}
    models = {catalog.models[workload.model].id for workload in problem.workloads}
    for index, line in enumerate(plan.nodes):
        if option_key(line.offer_id, line.tier, line.from_nodes) not in options:
            found = f"{line.offer_id} ({line.tier})"
            yield Mismatch("references", f"nodes[{index}].offer_id", "a priced offer", found, "no such offer and tier")
    for index, group in enumerate(plan.groups):
        path = f"groups[{index}]"
        joins: tuple[tuple[str, str, Collection[str]], ...] = (
            ("workload", group.workload, workloads),
            ("model", group.model, models),
            ("gpu", group.gpu, catalog.gpus),
            ("engine", group.engine, catalog.engines),
            ("offer_id", group.offer_id, {line.offer_id for line in plan.nodes}),
            ("weight_quant", group.weight_quant, QUANTS),
            ("kv_cache", group.kv_cache, KV_CACHES),
        )
        for name, found, known in joins:
            if found not in known:
                yield Mismatch("references", f"{path}.{name}", "a known name", found, f"no such {name}")
        yield from _counts(group, catalog, path)
    asked = len(periods_of(problem))
    if len(plan.periods) != asked:
        yield Mismatch("references", "periods", asked, len(plan.periods), "periods of the day profile")
        return
    shape = (len(plan.groups), len(plan.nodes))
    for index, period in enumerate(plan.periods):
        if (sizes := (len(period.replicas), len(period.nodes))) != shape:
            yield Mismatch("references", f"periods[{index}]", shape, sizes, "a number for each group and node line")
    for name in ("nodes", "groups"):
        if not getattr(plan, name):
            yield Mismatch("references", name, "at least one", 0, "an empty plan")


def _counts(group: Group, catalog: Catalog, path: str) -> Iterator[Mismatch]:
    """Numbers without which nothing can be computed; a dense model has no experts to share."""
    for name in _COUNTS:
        if getattr(group, name) < 1:
            yield Mismatch("references", f"{path}.{name}", "at least 1", getattr(group, name), "an empty group")
    dense = group.model in catalog.models and not catalog.models[group.model].num_experts
    for name in ("attention_dp", "expert_parallel"):
        if dense and getattr(group, name) > 1:
            yield Mismatch("references", f"{path}.{name}", 1, getattr(group, name), "of mixtures of experts only")


def case_of(problem: Problem, catalog: Catalog, params: Parameters, plan: Plan) -> CheckedCase:
    """Join a plan whose references hold."""
    options = _options(problem, catalog, plan)
    nodes = tuple(
        NodeCase(f"nodes[{index}]", line, options[option_key(line.offer_id, line.tier, line.from_nodes)])
        for index, line in enumerate(plan.nodes)
    )
    types = {node.line.offer_id: node.option.node_type for node in nodes}
    groups = tuple(
        _group_case(problem, catalog, plan, index, types[group.offer_id]) for index, group in enumerate(plan.groups)
    )
    return CheckedCase(problem, catalog, params, plan, option_rules(problem, catalog), nodes, groups)


def spec_of(group: Group, catalog: Catalog, workload: Workload, node_type: NodeType, version: str) -> ReplicaSpec:
    """The replica that a group describes, on the node it says it sits in."""
    return ReplicaSpec(
        gpu=catalog.gpus[group.gpu],
        model=catalog.models[workload.model],
        engine=catalog.engines[group.engine],
        weight_quant=group.weight_quant,
        kv_cache=group.kv_cache,
        tensor_parallel=group.tensor_parallel,
        pipeline_parallel=group.pipeline_parallel,
        link=node_type.link,
        gpu_memory_utilization=group.gpu_memory_utilization,
        max_num_seqs=group.max_num_seqs,
        max_num_batched_tokens=group.max_num_batched_tokens,
        max_model_len=group.max_model_len,
        attention_dp=group.attention_dp,
        expert_parallel=group.expert_parallel,
        engine_version=version,
        crosses_nodes=group.crosses_nodes,
        speculation=drafted_by(catalog.models[workload.model], group.drafts),
        host_kv_gib=group.host_kv_gib,
    )


def _options(problem: Problem, catalog: Catalog, plan: Plan) -> dict[tuple[str, str], NodeOption]:
    wanted = {line.offer_id for line in plan.nodes}
    return {option.key: option for option in node_options(problem, catalog, only=wanted)}


def _group_case(problem: Problem, catalog: Catalog, plan: Plan, index: int, node_type: NodeType) -> GroupCase:
    group = plan.groups[index]
    part = next(part for part in parts_of(problem) if part.name == group.workload)
    spec = spec_of(group, catalog, part.workload, node_type, problem.engine.version or "")
    load = part.load
    if problem.objective == MAXIMIZE_LOAD:
        load = load.times(plan.load_factor)
    bill, path = memory_bill(spec, part.lengths), f"groups[{index}]"
    if problem.engine.max_num_seqs is None:  # what its hardware carries, whatever the flag it is launched with
        most = spec.engine.max_num_seqs_on(spec.gpu, spec.engine_version)
        (spec,) = settled([replace(spec, max_num_seqs=most)])
    return GroupCase(path, group, part, node_type, spec, bill, load)


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
