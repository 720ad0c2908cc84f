"""Handmade plans on a small market: real cards, models and parameters, invented offers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pytest

from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.checkpoints import checkpoint_for
from optimizer.catalog.types import Catalog, Offer, Price
from optimizer.demand import Load, Metric, part_name
from optimizer.performance import (
    Parameters,
    band,
    band_source,
    behaviours,
    error_factor,
    grade_of,
    is_upper_bound,
    load_parameters,
    memory_bill,
    recovery,
)
from optimizer.performance.types import Behaviour, Percentiles, ReplicaSpec
from optimizer.plan.key import plan_key
from optimizer.plan.types import (
    Binding,
    CacheHits,
    Capacity,
    Group,
    KeptPromise,
    LatencyMs,
    MemoryGib,
    NodeLine,
    Plan,
    Prediction,
)
from optimizer.pricing import (
    NodeOption,
    cost_lines,
    counterparts,
    excluded_costs,
    expected_volume,
    long_run,
    node_options,
    option_key,
    option_rules,
    owed,
    unit_costs,
)
from optimizer.problem import Part, lengths_of, load_of, parts_of
from optimizer.problem.schema import Problem
from optimizer.verify import verify_plan
from optimizer.vocabulary import NVLINK_CLASS, Link, ProviderClass, Tier

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
DAY = "2026-07-01"
GIB = 2.0**30


def _offer(name: str, gpus: int, amount: float, **changes: Any) -> Offer:
    price = Price(Tier.ON_DEMAND, amount, "USD", DAY, "price page", True, "")
    base = Offer(
        id=name,
        provider="acme",
        provider_class=ProviderClass.NEOCLOUD,
        country="US",
        instance_type=name,
        gpu="h100_sxm_80",
        gpus_per_node=gpus,
        link=Link.NVSWITCH if gpus > 1 else Link.PCIE,
        region="us-1",
        prices=(price,),
    )
    return replace(base, **changes)


OFFERS = (
    _offer("acme-4x", 4, 10.0, stock=6),
    _offer("acme-2x-fabric", 2, 6.0, network_gbps=400.0),
    _offer("acme-2x-other", 2, 7.0, network_gbps=400.0),
    _offer("acme-1x", 1, 3.0),
    _offer("acme-4x-pcie", 4, 8.0, gpu="l40s_48", link=Link.PCIE),
    _offer("acme-4x-pairs", 4, 8.0, gpu="a100_pcie_80", link=Link.NVLINK_PAIR),
    _offer("beta-4x", 4, 11.0, provider="beta"),
    _offer("old-4x", 4, 9.0, prices=(Price(Tier.ON_DEMAND, 9.0, "USD", "2025-01-01", "page", True, ""),)),
)

CHAT = {
    "name": "chat",
    "model": MODEL,
    "traffic": {"requests_per_second": 2.0, "concurrency": 16.0},
    "tokens": {"input": 1000.0, "output": 200.0, "context_max": 4096},
    "slo": {"ttft_ms": {"p95": 2000.0}, "tpot_ms": 100.0},
}


@dataclass(frozen=True)
class Has:
    """A group of a handmade plan."""

    offer: str = "acme-4x"
    replicas: int = 2
    tp: int = 1
    pp: int = 1
    quant: str = "bf16"
    kv: str = "auto"
    workload: str = "chat"
    share: int = 2520
    host_gib: float = 0.0


@dataclass(frozen=True)
class Gets:
    """A node line of a handmade plan."""

    offer: str = "acme-4x"
    count: int = 1
    spare: int = 0
    tier: Tier = Tier.ON_DEMAND
    from_nodes: int = 1


@dataclass(frozen=True)
class World:
    """A catalog, its parameters, and what tests do with them."""

    catalog: Catalog
    params: Parameters

    def problem(self, **sections: Any) -> Problem:
        """A problem; keys of a workload, such as ``slo`` and ``traffic``, change its only one."""
        changes: dict[str, Any] = {
            key: sections.pop(key)
            for key in ("slo", "traffic", "tokens", "sessions", "quality", "model")
            if key in sections
        }
        workloads = sections.pop("workloads", ({**CHAT, **changes},))
        payment = {"tiers": ("on_demand",), "as_of": DAY, **sections.pop("payment", {})}
        document = {"path": "p.yaml", "sha256": "0", "workloads": workloads, "payment": payment, **sections}
        return Problem.model_validate(document)

    def plan(
        self,
        problem: Problem,
        groups: Iterable[Has] = (Has(),),
        nodes: Iterable[Gets] = (Gets(),),
        load_factor: float = 1.0,
    ) -> Plan:
        """A plan with every printed figure worked out from the groups and nodes."""
        groups, nodes = tuple(groups), tuple(nodes)
        options = {option.key: option for option in node_options(problem, self.catalog)}
        bought = [(options[option_key(node.offer, node.tier, node.from_nodes)], node) for node in nodes]
        pairs = [(option, node.count) for option, node in bought]
        parts = [self._group(problem, has, dict(_first(bought))[has.offer]) for has in groups]
        lines = tuple(_node_lines(bought, parts))
        factor = load_factor if problem.objective == "maximize_load" else 1.0
        told = _by_workload([(*self._told(problem, group, spec, factor), group.share / 2520) for group, spec in parts])
        printed = tuple(group for group, _ in parts)
        bill = cost_lines(pairs, problem, {option.key: node.spare for option, node in bought})
        others = counterparts([option for option, _ in pairs], options.values(), option_rules(problem, self.catalog))
        cents = sum(line.monthly_cents for line in bill)
        made: dict[str, float] = defaultdict(float)
        for one, _ in told:
            made[_part(problem, one.workload).workload.name] += one.requests_per_second
        volume = expected_volume(problem, made, load_factor if problem.objective == "maximize_load" else None)
        return Plan(
            rank=1,
            proven=True,
            key=plan_key(printed, lines, problem.ranking.distinct_by),
            monthly_cents=cents,
            currency=problem.payment.currency,
            gpus=sum(line.count * line.gpus_per_node for line in lines),
            load_factor=load_factor,
            grade=max(prediction.grade for prediction, _ in told),
            nodes=lines,
            groups=printed,
            predicted=tuple(prediction for prediction, _ in told),
            binding=tuple(binding for _, bindings in told for binding in bindings),
            cost_lines=bill,
            excludes=excluded_costs([option for option, _ in pairs], problem),
            spare_node_cents=max(option.monthly_cents for option, _ in pairs),
            unit_costs=unit_costs(cents, volume),
            long_run=long_run(pairs, others, volume, problem, self.catalog),
            owed=owed(pairs, problem, self.catalog),
        )

    def broken(self, problem: Problem, plan: Plan) -> set[str]:
        """Names of the rules that a plan breaks."""
        return {found.rule for found in verify_plan(problem, self.catalog, self.params, plan)}

    def margin(self, problem: Problem, plan: Plan, metric: Metric, *, held: bool, percentile: float = 95) -> float:
        """Milliseconds of the first group's promise at the planned load, margin included."""
        spec, workload = self.spec(problem, plan.groups[0]), problem.workloads[0]
        load, lengths = load_of(workload, problem), lengths_of(workload)
        poisson, inflight, _ = self._loads(load, lengths, spec, plan.groups[0].replicas)
        behaviour = inflight if held else poisson
        assert behaviour is not None
        grade = grade_of(spec, self.params)[0]
        value: float = getattr(behaviour, metric).at(percentile)
        return value * 1e3 * error_factor(metric, grade, problem.margins.confidence, band_source(spec, self.params))

    def spec(self, problem: Problem, group: Group) -> ReplicaSpec:
        """The replica of a group."""
        engine = self.catalog.engines[problem.engine.name]
        return ReplicaSpec(
            gpu=self.catalog.gpus[group.gpu],
            model=self.catalog.models[group.model],
            engine=engine,
            weight_quant=group.weight_quant,
            kv_cache=group.kv_cache,
            tensor_parallel=group.tensor_parallel,
            pipeline_parallel=group.pipeline_parallel,
            link=group.link,
            gpu_memory_utilization=group.gpu_memory_utilization,
            max_num_seqs=group.max_num_seqs,
            max_num_batched_tokens=group.max_num_batched_tokens,
            max_model_len=group.max_model_len,
            crosses_nodes=group.crosses_nodes,
            host_kv_gib=group.host_kv_gib,
        )

    def _group(self, problem: Problem, has: Has, option: NodeOption) -> tuple[Group, ReplicaSpec]:
        part = _part(problem, has.workload)
        workload = part.workload
        engine, gpu = self.catalog.engines[problem.engine.name], option.node_type.gpu
        stated, gpus = problem.engine, has.tp * has.pp
        domain = 2 if option.node_type.link is Link.NVLINK_PAIR else option.node_type.gpus_per_node
        joined = "nvlink" if option.node_type.link in NVLINK_CLASS and gpus <= domain else "pcie"
        weights = checkpoint_for(self.catalog, workload.model, has.quant, engine.profile, gpu.vendor)
        group = Group(
            workload=has.workload,
            share=has.share,
            model=workload.model,
            gpu=gpu.id,
            gpus_per_node=option.node_type.gpus_per_node,
            link=option.node_type.link,
            offer_id=has.offer,
            weight_quant=has.quant,
            kv_cache=has.kv,
            checkpoint="published" if (workload.model, has.quant) in self.catalog.checkpoints else "quantize_yourself",
            tensor_parallel=has.tp,
            pipeline_parallel=has.pp,
            replicas=has.replicas,
            interconnect="none" if gpus == 1 else joined,
            gpu_memory_utilization=stated.gpu_memory_utilization or engine.gpu_memory_utilization,
            max_num_seqs=stated.max_num_seqs or engine.max_num_seqs_on(gpu),
            max_num_batched_tokens=stated.max_num_batched_tokens or engine.max_num_batched_tokens_on(gpu),
            max_model_len=part.lengths.context_max,
            crosses_nodes=gpus > option.node_type.gpus_per_node,
            memory=MemoryGib(0, 0, 0, 0, 0, 0),
            engine=engine.id,
            recovery=recovery(self.catalog, self.catalog.models[workload.model], has.quant, has.kv),
            length_class=part.length_class,
            class_share=part.share,
            engine_version=stated.version or "",
            published_as=weights.checkpoint if weights else "",
            needs_engine=weights.min_version if weights else "",
            host_kv_gib=has.host_gib,
        )
        spec = self.spec(problem, group)
        bill = memory_bill(spec, part.lengths)
        sizes = (bill.weights, bill.kv_budget, bill.activations, bill.overhead, bill.usable, bill.usable)
        return replace(group, memory=MemoryGib(*(size / GIB for size in sizes))), spec

    def _told(
        self, problem: Problem, group: Group, spec: ReplicaSpec, factor: float
    ) -> tuple[Prediction, list[Binding]]:
        part = _part(problem, group.workload)
        load, lengths = part.load, part.lengths
        load = load.times(factor * group.share / 2520)
        under = [found for found in self._loads(load, lengths, spec, group.replicas) if found]
        fuller = max(under, key=lambda behaviour: behaviour.inflight)
        grade, reasons = grade_of(spec, self.params)
        intervals = [
            (getattr(fuller, m).mean * 1e3 * spread.low, getattr(fuller, m).mean * 1e3 * spread.high)
            for m in (Metric.TTFT, Metric.TPOT)
            for spread in [band(m, grade, band_source(spec, self.params))]
        ]
        kept, bindings = [], []
        for promise in part.slo.promises:
            seen = [found.seen_by(promise.length_class) for found in under]
            estimate = max(getattr(found, promise.metric).at(promise.percentile) for found in seen)
            spread = band(promise.metric, grade, band_source(spec, self.params))
            low, high = estimate * spread.low, estimate * spread.high
            kept.append(
                KeptPromise(
                    promise.metric,
                    promise.percentile,
                    estimate,
                    low,
                    high,
                    promise.limit_s,
                    promise.path,
                    promise.length_class,
                )
            )
            margin = error_factor(promise.metric, grade, problem.margins.confidence, band_source(spec, self.params))
            value = estimate * margin * 1e3
            limit = promise.limit_s * 1e3
            about = (part_name(part.name, promise.length_class), part.length_class or promise.length_class)
            bindings.append(Binding(promise.path, about[0], value, limit, "ms", 1 - value / limit, about[1]))
        rate = load.requests_per_second or fuller.requests_per_second * group.replicas
        inflight = load.inflight or fuller.inflight * group.replicas
        prediction = Prediction(
            workload=part.name,
            ttft_ms=_latency(fuller.ttft, 1e3),
            tpot_ms=_latency(fuller.tpot, 1e3),
            e2e_s=_latency(fuller.e2e, 1.0),
            concurrency=fuller.inflight * group.replicas,
            output_tokens_per_second=fuller.output_tokens_per_second * group.replicas,
            requests_per_second=fuller.requests_per_second * group.replicas,
            capacity=Capacity(inflight, rate * lengths.output_mean, rate, load.users or None),
            ttft_interval_ms=intervals[0],
            tpot_interval_ms=intervals[1],
            grade=str(grade),
            upper_bound=is_upper_bound(spec.model),
            grade_reasons=reasons,
            promises=tuple(kept),
            length_class=part.length_class,
            prefix=CacheHits(lengths.shared_prefix, fuller.prefix_hit_rate, None, fuller.host_hit_rate)
            if lengths.shared_prefix
            else None,
        )
        return prediction, bindings

    def _loads(self, load: Load, lengths: Any, spec: ReplicaSpec, replicas: int) -> tuple[Behaviour | None, ...]:
        rate, held = load.requests_per_second / replicas, float(math.ceil(load.inflight / replicas - 1e-9))
        poisson = behaviours([spec], lengths, self.params, rates=[rate])[0] if rate else None
        inflight = behaviours([spec], lengths, self.params, inflights=[held])[0] if held else None
        users, think_s = load.users / replicas, load.think_s
        people = behaviours([spec], lengths, self.params, users=[users], think_s=think_s)[0] if users else None
        return poisson, inflight, people


def _mean_of(prediction: Prediction, share: float) -> Prediction:
    """The part of the means that a group contributes."""
    low, high = prediction.ttft_interval_ms
    slow, slowest = prediction.tpot_interval_ms
    return replace(
        prediction,
        ttft_ms=replace(prediction.ttft_ms, mean=prediction.ttft_ms.mean * share),
        tpot_ms=replace(prediction.tpot_ms, mean=prediction.tpot_ms.mean * share),
        e2e_s=replace(prediction.e2e_s, mean=prediction.e2e_s.mean * share),
        ttft_interval_ms=(low * share, high * share),
        tpot_interval_ms=(slow * share, slowest * share),
    )


def _sum_of_ends(one: tuple[float, float], two: tuple[float, float]) -> tuple[float, float]:
    return one[0] + two[0], one[1] + two[1]


def _added(one: LatencyMs, two: LatencyMs) -> LatencyMs:
    """Means add up, percentiles are those of the slower group."""
    return LatencyMs(
        one.mean + two.mean, *(max(getattr(one, p), getattr(two, p)) for p in ("p50", "p90", "p95", "p99"))
    )


def _by_workload(told: Sequence[tuple[Prediction, list[Binding], float]]) -> list[tuple[Prediction, list[Binding]]]:
    """One prediction per workload: rates add up, means are weighed, percentiles are those of the slower group."""
    merged: dict[str, tuple[Prediction, list[Binding]]] = {}
    for of_group, bindings, share in told:
        prediction = _mean_of(of_group, share)
        if prediction.workload not in merged:
            merged[prediction.workload] = (prediction, bindings)
            continue
        other, other_bindings = merged[prediction.workload]
        both = Capacity(
            prediction.capacity.concurrency + other.capacity.concurrency,
            prediction.capacity.output_tokens_per_second + other.capacity.output_tokens_per_second,
            prediction.capacity.requests_per_second + other.capacity.requests_per_second,
        )
        promises = tuple(
            max(pair, key=lambda p: p.estimate_s) for pair in zip(prediction.promises, other.promises, strict=True)
        )
        reasons = tuple(dict.fromkeys((*other.grade_reasons, *prediction.grade_reasons)))
        grade = max(prediction.grade, other.grade)
        total = replace(
            other,
            ttft_ms=_added(other.ttft_ms, prediction.ttft_ms),
            tpot_ms=_added(other.tpot_ms, prediction.tpot_ms),
            e2e_s=_added(other.e2e_s, prediction.e2e_s),
            concurrency=other.concurrency + prediction.concurrency,
            output_tokens_per_second=other.output_tokens_per_second + prediction.output_tokens_per_second,
            requests_per_second=other.requests_per_second + prediction.requests_per_second,
            ttft_interval_ms=_sum_of_ends(other.ttft_interval_ms, prediction.ttft_interval_ms),
            tpot_interval_ms=_sum_of_ends(other.tpot_interval_ms, prediction.tpot_interval_ms),
            capacity=both,
            promises=promises,
            grade=grade,
            grade_reasons=reasons,
        )
        worse = [max(pair, key=lambda b: b.value) for pair in zip(bindings, other_bindings, strict=True)]
        merged[prediction.workload] = (total, worse)
    return list(merged.values())


def _part(problem: Problem, name: str) -> Part:
    return next(part for part in parts_of(problem) if part.name == name)


def _first(bought: Sequence[tuple[NodeOption, Gets]]) -> Iterable[tuple[str, NodeOption]]:
    return ((node.offer, option) for option, node in bought)


def _latency(values: Percentiles, scale: float) -> LatencyMs:
    return LatencyMs(*(value * scale for value in (values.mean, values.p50, values.p90, values.p95, values.p99)))


def _node_lines(
    bought: Sequence[tuple[NodeOption, Gets]], parts: Sequence[tuple[Group, ReplicaSpec]]
) -> Iterable[NodeLine]:
    types = {node.offer: option.node_type for option, node in bought}
    used = {
        node_type: sum(group.replicas * spec.gpus for group, spec in parts if types[group.offer_id] == node_type)
        for node_type in types.values()
    }
    for option, node in bought:
        gpus = node.count * option.offer.gpus_per_node
        taken = min(used[option.node_type], gpus)
        used[option.node_type] -= taken
        yield NodeLine(
            offer_id=option.offer.id,
            provider=option.offer.provider,
            instance_type=option.offer.instance_type,
            region=option.offer.region,
            gpu=option.offer.gpu,
            gpus_per_node=option.offer.gpus_per_node,
            link=option.offer.link,
            count=node.count,
            idle_gpus=gpus - taken,
            spare=node.spare,
            tier=option.tier,
            commitment_months=option.commitment_months,
            monthly_cents=option.monthly_cents * node.count,
            price_date=option.price.date if option.price else None,
            price_source=option.price.source if option.price else "your own",
            original_currency=option.price.currency if option.price else "",
            evidence=option.evidence,
            ranks_until=_last_day(option),
            stock_note=option.price.stock_note if option.price else "",
            price_remarks=option.price.remarks if option.price else "",
            host_memory_gib=option.offer.host_memory_gib,
            network_gbps=option.offer.network_gbps,
            from_nodes=option.from_nodes,
            spare_cents=option.monthly_cents * node.spare,
        )


def _last_day(option):
    """180 days from the date of a catalog price; a quote's own last day."""
    if str(option.origin) == "quote":
        return option.offer.valid_until
    dated = option.price.date if option.price else None
    return None if dated is None else str(date.fromisoformat(dated) + timedelta(days=180))


@pytest.fixture(scope="session")
def world() -> World:
    catalog = load_catalog()
    offers = {offer.id: offer for offer in OFFERS}
    small = replace(catalog, offers=offers, newest_price_date=DAY)
    return World(small, load_parameters(default_root()))


@pytest.fixture
def has() -> type[Has]:
    return Has


@pytest.fixture
def gets() -> type[Gets]:
    return Gets
