"""From the solver's choice to a plan that leaves nothing to compute: nodes, groups, predictions, ledger, context.

The replica that a printed group stands for.

How close a plan runs to the limits over all of it: money, GPUs, nodes, power, quotas, stocks.

Nothing is shown that the solver-free check does not confirm.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.catalog.checkpoints import checkpoint_for
from optimizer.errors import VerificationError
from optimizer.performance import memory_bill
from optimizer.plan.key import plan_key
from optimizer.plan.types import Binding, Elsewhere, Group, MemoryGib, NodeLine, Plan, PlanPeriod, Prediction
from optimizer.planning.periods import busiest_period, payment_notes, periods_of_plans
from optimizer.planning.pool_expectation import expected_of_pools, pool_notes
from optimizer.planning.predict import Expectation, GroupLoad, expect, joint
from optimizer.planning.price_notes import price_notes
from optimizer.planning.remainder import asked_of, remainder_of
from optimizer.planning.sequences import sequences_of
from optimizer.pricing import (
    Origin,
    cost_lines,
    counterparts,
    excluded_costs,
    expected_volume,
    last_day,
    long_run,
    market_remark,
    option_rules,
    owed,
    recoverable_tax_cents,
    total_cents,
    unit_costs,
)
from optimizer.problem import parts_of
from optimizer.units import CENTS_PER_UNIT

if TYPE_CHECKING:
    from optimizer.fleet.types import FleetSolution, GroupChoice, NodeChoice
    from optimizer.performance.types import MemoryBill, ReplicaSpec
    from optimizer.plan.types import Group, Plan
    from optimizer.planning.inputs import Inputs
    from optimizer.pricing import NodeOption
    from optimizer.problem import Problem


TIE = 0.03
"""A smaller gap in cost says less than the error of any price or prediction (design section 7)."""

_GIB = 2.0**30
_ELSEWHERE = 3
"""Other providers named per plan."""


def assemble(inputs: Inputs, solutions: Sequence[FleetSolution], options: Sequence[NodeOption]) -> tuple[Plan, ...]:
    """Build the plan of every solution."""
    maximize = inputs.problem.objective == "maximize_load"
    asked = [
        GroupLoad(group, solution.load_factor if maximize else 1.0)
        for solution in solutions
        for group in solution.groups
        if not solution.has_pools
    ]
    expected = iter(expect(inputs, asked))
    used = [bought.option for solution in solutions for bought in solution.nodes]
    other = counterparts(used, options, option_rules(inputs.problem, inputs.catalog))
    plans = [
        _plan(
            inputs,
            solution,
            (options, other),
            [expected_of_pools(inputs, solution)] if solution.has_pools else [next(expected) for _ in solution.groups],
            periods,
        )
        for solution, periods in zip(solutions, periods_of_plans(inputs, solutions), strict=True)
    ]
    return _with_ties(plans, inputs.problem.objective)


def _plan(
    inputs: Inputs,
    solution: FleetSolution,
    market: tuple[Sequence[NodeOption], Mapping[tuple[str, str], NodeOption]],
    expectations: Sequence[Expectation],
    periods: tuple[PlanPeriod, ...],
) -> Plan:
    options, other = market
    problem = inputs.problem
    groups = tuple(_group(inputs, chosen, solution.nodes) for chosen in solution.groups)
    nodes = tuple(_nodes(solution))
    pairs = [(bought.option, bought.count) for bought in solution.nodes]
    running = {bought.option.key: bought.running for bought in solution.nodes} if periods else None
    cents = total_cents(pairs, problem, running)
    joined = joint(expectations)
    predicted = tuple(expectation.prediction for expectation in joined)
    promised = [binding for expectation in joined for binding in expectation.bindings]
    limited = limits(problem, cents, solution)
    bindings = sorted([*promised, *limited], key=lambda b: (b.slack, b.promise))
    sought = solution.load_factor if problem.objective == "maximize_load" else None
    volume = expected_volume(problem, _made(problem, predicted), sought)
    return Plan(
        rank=solution.rank,
        proven=solution.proven,
        key=plan_key(groups, nodes, problem.ranking.distinct_by),
        monthly_cents=cents,
        currency=problem.payment.currency,
        gpus=solution.gpus,
        load_factor=solution.load_factor,
        grade=max(prediction.grade for prediction in predicted),
        nodes=nodes,
        groups=groups,
        predicted=predicted,
        binding=tuple(bindings),
        cost_lines=cost_lines(pairs, problem, {bought.option.key: bought.spare for bought in solution.nodes}, running),
        excludes=excluded_costs([option for option, _ in pairs], problem),
        spare_node_cents=_one_spare(solution),
        notes=tuple(_notes(inputs, solution, options, [reason for p in predicted for reason in p.grade_reasons])),
        unit_costs=unit_costs(cents, volume),
        long_run=long_run(pairs, other, volume, problem, inputs.catalog, running),
        also=() if periods else tuple(_elsewhere(inputs, solution, options)),
        periods=periods,
        owed=owed(pairs, problem, inputs.catalog),
        recoverable_tax_cents=recoverable_tax_cents(pairs, problem, inputs.catalog, running),
        remainder=remainder_of(inputs, solution, None, asked_of(inputs, replayed=False)),
        without_pools_cents=solution.without_pools_cents,
    )


def _with_ties(plans: Sequence[Plan], objective: str) -> tuple[Plan, ...]:
    """Mark each plan whose cost is within 3 % of an earlier one's as a tie with it, where cost is what ranks them."""
    if objective != "minimize_cost":
        return tuple(plans)
    return tuple(replace(plan, tie_with=_tied(plan, plans)) for plan in plans)


def _tied(plan: Plan, plans: Sequence[Plan]) -> int | None:
    near = (p.rank for p in plans if p.rank < plan.rank and _close(plan.monthly_cents, p.monthly_cents))
    return next(near, None)


def _close(cents: int, reference: int) -> bool:
    return abs(cents - reference) < TIE * reference


def _group(inputs: Inputs, chosen: GroupChoice, nodes: Sequence[NodeChoice]) -> Group:
    candidate, spec = chosen.candidate, chosen.candidate.spec
    part = inputs.parts[candidate.workload]
    at = [bought.option for bought in nodes if bought.option.node_type.key == candidate.node_type.key]
    launched = replace(spec, max_num_seqs=sequences_of(inputs, chosen))
    published = (spec.model.id, spec.weight_quant) in inputs.catalog.checkpoints
    weights = checkpoint_for(inputs.catalog, spec.model.id, spec.weight_quant, spec.engine.profile, spec.gpu.vendor)
    return Group(
        workload=part.name,
        share=chosen.share,
        model=spec.model.id,
        gpu=spec.gpu.id,
        gpus_per_node=candidate.node_type.gpus_per_node,
        link=candidate.node_type.link,
        offer_id=at[0].offer.id,
        weight_quant=spec.weight_quant,
        kv_cache=spec.kv_cache,
        checkpoint="published" if published else "quantize_yourself",
        tensor_parallel=spec.tensor_parallel,
        pipeline_parallel=spec.pipeline_parallel,
        attention_dp=spec.attention_dp,
        expert_parallel=spec.expert_parallel,
        replicas=chosen.replicas,
        interconnect="nvlink" if candidate.ranks_over_nodes else candidate.interconnect,
        gpu_memory_utilization=spec.gpu_memory_utilization,
        max_num_seqs=launched.max_num_seqs,
        max_num_batched_tokens=spec.max_num_batched_tokens,
        max_model_len=spec.max_model_len,
        crosses_nodes=spec.crosses_nodes,
        memory=_memory(memory_bill(launched, part.lengths)),
        engine=spec.engine.id,
        recovery=candidate.recovery,
        length_class=part.length_class,
        class_share=part.share,
        engine_version=spec.engine_version,
        published_as=weights.checkpoint if weights else "",
        needs_engine=weights.min_version if weights else "",
        role=candidate.role,
        drafts=candidate.drafts,
        host_kv_gib=spec.host_kv_gib,
    )


def _one_spare(solution: FleetSolution) -> int:
    """A node more of every node type in use, so that any one node may go: the cheapest option in use of each."""
    by_type = _by_type(solution).values()
    return sum(min(nodes.option.monthly_cents for nodes in bought) for bought in by_type)


def _memory(bill: MemoryBill) -> MemoryGib:
    """The KV cache takes what weights, activations and overhead leave of the usable memory."""
    return MemoryGib(
        weights=bill.weights / _GIB,
        kv_cache=bill.kv_budget / _GIB,
        activations=bill.activations / _GIB,
        overhead=bill.overhead / _GIB,
        total=bill.usable / _GIB,
        usable=bill.usable / _GIB,
    )


def _nodes(solution: FleetSolution) -> Iterator[NodeLine]:
    """One line per option. Idle GPUs: those of the node type that hold no replica, shown on its first line; with a day
    profile in the busiest period."""
    peak = busiest_period(solution)
    for node_type, bought in _by_type(solution).items():
        used = sum(
            (c.running[peak] if c.running else c.replicas) * c.candidate.spec.gpus
            for c in solution.groups
            if c.candidate.node_type.key == node_type
        )
        for nodes in bought:
            option = nodes.option
            gpus = (nodes.running[peak] if nodes.running else nodes.count) * option.offer.gpus_per_node
            taken = min(used, gpus)
            used -= taken
            yield NodeLine(
                offer_id=option.offer.id,
                provider=option.offer.provider,
                instance_type=option.offer.instance_type,
                region=option.offer.region,
                gpu=option.offer.gpu,
                gpus_per_node=option.offer.gpus_per_node,
                link=option.offer.link,
                count=nodes.count,
                idle_gpus=gpus - taken,
                spare=nodes.spare,
                tier=option.tier,
                commitment_months=option.commitment_months,
                monthly_cents=nodes.cents,
                price_date=option.price.date if option.price else None,
                price_source=option.price.source if option.price else "your own",
                original_currency=option.price.currency if option.price else "",
                evidence=option.evidence,
                ranks_until=last_day(option),
                stock_note=option.price.stock_note if option.price else "",
                price_remarks=option.price.remarks if option.price else "",
                host_memory_gib=option.offer.host_memory_gib,
                network_gbps=option.offer.network_gbps,
                from_nodes=option.from_nodes,
                spare_cents=option.cents_for([min(nodes.spare, n) for n in nodes.running or (nodes.count,)]),
            )


def _by_type(solution: FleetSolution) -> dict[tuple[str, int, str, float, float], list[NodeChoice]]:
    found: dict[tuple[str, int, str, float, float], list[NodeChoice]] = {}
    for nodes in solution.nodes:
        found.setdefault(nodes.option.node_type.key, []).append(nodes)
    return found


def _made(problem: Problem, predicted: Sequence[Prediction]) -> dict[str, float]:
    """Requests per second that a plan makes of the planned load, by workload, classes served apart together."""
    made: dict[str, float] = defaultdict(float)
    names = {part.name: part.workload.name for part in parts_of(problem)}
    for one in predicted:
        made[names[one.workload]] += one.requests_per_second
    return made


def _elsewhere(inputs: Inputs, solution: FleetSolution, options: Sequence[NodeOption]) -> Iterator[Elsewhere]:
    """The same nodes at other providers, cheapest first; only where the whole plan is on one kind of node."""
    problem, by_type = inputs.problem, _by_type(solution)
    if len(by_type) != 1:
        return
    allowed = option_rules(problem, inputs.catalog)
    (node_type, bought), here = next(iter(by_type.items())), {n.option.offer.provider for n in solution.nodes}
    count = sum(nodes.count for nodes in bought)
    cheapest: dict[str, NodeOption] = {}
    for option in options:
        provider = option.offer.provider
        if option.node_type.key != node_type or provider in here or allowed.forbidden_by(option):
            continue
        most = [end for end in (option.max_nodes, option.up_to_nodes) if end is not None]
        if not option.from_nodes <= count <= min(most, default=count):
            continue
        best = cheapest.get(provider)
        if best is None or (option.monthly_cents, option.key) < (best.monthly_cents, best.key):
            cheapest[provider] = option
    ranked = sorted(cheapest.items(), key=lambda item: (item[1].monthly_cents, item[0]))
    for provider, option in ranked[:_ELSEWHERE]:
        yield Elsewhere(provider, option.tier, total_cents([(option, count)], problem))


def _notes(
    inputs: Inputs, solution: FleetSolution, options: Sequence[NodeOption], reasons: Sequence[str]
) -> Iterator[str]:
    yield from dict.fromkeys(reasons)
    parts = inputs.parts
    apart = (parts[group.candidate.workload] for group in solution.groups)
    for name in dict.fromkeys(part.workload.name for part in apart if part.length_class):
        yield (
            f"{name} is served class by class: the router has to send each request to the servers of its class, by the"
            " length of its input or by the application that it comes from"
        )
    if solution.has_pools:
        yield from pool_notes(solution)
    yield from payment_notes(inputs.problem, solution)
    yield from price_notes(inputs, solution, options)
    market = inputs.problem.hardware.market
    for gpu in sorted({bought.option.offer.gpu for bought in solution.nodes}) if market else []:
        remark = market_remark(inputs.catalog, gpu, str(market))
        if remark:
            yield remark


def spec_of(inputs: Inputs, group: Group) -> ReplicaSpec:
    """The replica of a printed group, as it is predicted and replayed.

    A ``max_num_seqs`` that was decided has room for the planned load and bounds only what is beyond it: what the
    hardware carries there is told with the largest that starts.
    """
    from optimizer.performance.drafting import drafted_by
    from optimizer.performance.starting import settled
    from optimizer.performance.types import ReplicaSpec

    catalog = inputs.catalog
    launched = ReplicaSpec(
        gpu=catalog.gpus[group.gpu],
        model=catalog.models[group.model],
        engine=catalog.engines[group.engine],
        weight_quant=group.weight_quant,
        kv_cache=group.kv_cache,
        tensor_parallel=group.tensor_parallel,
        pipeline_parallel=group.pipeline_parallel,
        link=group.link,
        gpu_memory_utilization=group.gpu_memory_utilization,
        max_num_seqs=group.max_num_seqs,
        max_num_batched_tokens=group.max_num_batched_tokens,
        max_model_len=group.max_model_len,
        attention_dp=group.attention_dp,
        expert_parallel=group.expert_parallel,
        engine_version=inputs.problem.engine.version or "",
        crosses_nodes=group.crosses_nodes,
        speculation=drafted_by(catalog.models[group.model], group.drafts),
        host_kv_gib=group.host_kv_gib,
    )
    if inputs.problem.engine.max_num_seqs is not None:
        return launched
    most = launched.engine.max_num_seqs_on(launched.gpu, launched.engine_version)
    return settled([replace(launched, max_num_seqs=most)])[0]


def limits(problem: Problem, cents: int, solution: FleetSolution) -> Iterator[Binding]:
    """Every limit that the problem states on the whole plan, in the plan's busiest period."""
    stated, bought = problem.hardware.limits, solution.nodes
    kinds = len({nodes.option.offer.gpu for nodes in bought})
    rows = (
        ("budget.monthly", cents / CENTS_PER_UNIT, problem.budget.monthly, problem.payment.currency),
        ("hardware.limits.max_gpus", float(solution.gpus), stated.max_gpus, "GPUs"),
        ("hardware.limits.max_nodes", _most(solution, lambda _: 1.0), stated.max_nodes, "nodes"),
        ("hardware.limits.max_power_kw", _most(solution, lambda n: n.option.power_kw), stated.max_power_kw, "kW"),
        ("hardware.limits.max_gpu_kinds", float(kinds), stated.max_gpu_kinds, "kinds of GPU"),
    )
    for path, value, limit, unit in rows:
        if limit is not None:
            yield Binding(path, None, value, float(limit), unit, 1.0 - value / limit)
    yield from _share(stated.max_share_per_provider, bought)
    yield from _quotas(problem, solution)
    yield from _stocks(solution)


def _share(limit: float | None, bought: Sequence[NodeChoice]) -> Iterator[Binding]:
    """The largest share of the money for nodes that one provider gets while they run; own hardware is no provider."""
    if limit is None:
        return
    paid: dict[str, int] = {}
    total = 0
    for nodes in bought:
        option, counts = nodes.option, nodes.running or (nodes.count,)
        cents = option.monthly_cents * nodes.count
        if option.periods:
            cents = sum(price.cents * count for price, count in zip(option.periods, counts, strict=True))
        total += cents
        if option.origin is not Origin.OWNED:
            paid[option.offer.provider] = paid.get(option.offer.provider, 0) + cents
    if not paid or not total:
        return
    value, path = max(paid.values()) / total, "hardware.limits.max_share_per_provider"
    yield Binding(path, None, value, limit, "of the money", 1.0 - value / limit)


def _quotas(problem: Problem, solution: FleetSolution) -> Iterator[Binding]:
    """Each quota that lets anything through."""
    for number, quota in enumerate(problem.hardware.quota):

        def counted(nodes: NodeChoice, provider: str | None = quota.provider, gpu: str | None = quota.gpu) -> float:
            offer = nodes.option.offer
            concerned = provider in (None, offer.provider) and gpu in (None, offer.gpu)
            return float(offer.gpus_per_node) if concerned else 0.0

        value, path = _most(solution, counted), f"hardware.quota.{number}.max_gpus"
        if quota.max_gpus:
            of = ", ".join(part for part in (quota.provider, quota.gpu) if part)
            yield Binding(path, None, value, float(quota.max_gpus), "GPUs", 1.0 - value / quota.max_gpus, of=of)


def _stocks(solution: FleetSolution) -> Iterator[Binding]:
    """Nodes of each offer in use of which there are only so many. Own nodes are left out: one server of one is always
    used up, which says nothing about what binds."""
    bought = [nodes.option for nodes in solution.nodes if nodes.option.origin is not Origin.OWNED]
    stocks = {option.offer.id: option.max_nodes for option in bought if option.max_nodes}
    for offer_id, most in sorted(stocks.items()):
        value = _most(solution, lambda nodes, one=offer_id: float(nodes.option.offer.id == one))  # type: ignore[misc]
        yield Binding(f"offers.{offer_id}.stock", None, value, float(most), "nodes", 1.0 - value / most, of=offer_id)


def _most(solution: FleetSolution, of_node: Callable[[NodeChoice], float]) -> float:
    """The most of something that the nodes of any period have."""
    counts = zip(*(nodes.running or (nodes.count,) for nodes in solution.nodes), strict=True)
    totals = [sum(of_node(n) * c for n, c in zip(solution.nodes, of_period, strict=True)) for of_period in counts]
    return float(max(totals))


def confirm(inputs: Inputs, plans: Sequence[Plan]) -> None:
    """Recompute every promise of every plan; raise ``VerificationError`` with all that differs."""
    from optimizer.verify import verify_plans, verify_ranking

    checked = verify_plans(inputs.problem, inputs.catalog, inputs.params, plans)
    found = [
        f"plan {plan.rank}: {mismatch}"
        for plan, mismatches in zip(plans, checked, strict=True)
        for mismatch in mismatches
    ]
    found += [str(mismatch) for mismatch in verify_ranking(inputs.problem, plans)]
    if found:
        raise VerificationError("the independent check does not confirm the answer:\n" + "\n".join(found))
