"""From the solver's choice to a plan that leaves nothing to compute: nodes, groups, predictions, ledger, context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.decide.joint import joint
from optimizer.decide.limits import limits
from optimizer.decide.periods import busiest_period, payment_notes, periods_of_plans, requests_a_month, token_hours
from optimizer.decide.predict import Asked, Expectation, expect
from optimizer.plan.key import plan_key
from optimizer.plan.types import Elsewhere, Group, MemoryGib, NodeLine, Plan, PlanPeriod
from optimizer.pricing import (
    cost_lines,
    counterparts,
    excluded_costs,
    long_run,
    market_remark,
    option_rules,
    owed,
    recoverable_tax_cents,
    total_cents,
)
from optimizer.problem import parts_of
from optimizer.units import CENTS_PER_UNIT

if TYPE_CHECKING:
    from optimizer.decide.inputs import Inputs
    from optimizer.fleet.types import FleetSolution, GroupChoice, NodeChoice
    from optimizer.performance.types import MemoryBill
    from optimizer.pricing import NodeOption

TIE = 0.03
"""A smaller gap in cost says less than the error of any price or prediction (design section 7)."""

_GIB = 2.0**30
_ELSEWHERE = 3
"""Other providers named per plan."""
_SECONDS_PER_HOUR = 3600.0


def assemble(inputs: Inputs, solutions: Sequence[FleetSolution], options: Sequence[NodeOption]) -> tuple[Plan, ...]:
    """Build the plan of every solution."""
    maximize = inputs.problem.objective == "maximize_load"
    asked = [
        Asked(group, solution.load_factor if maximize else 1.0) for solution in solutions for group in solution.groups
    ]
    expected = iter(expect(inputs, asked))
    used = [bought.option for solution in solutions for bought in solution.nodes]
    other = counterparts(used, options, option_rules(inputs.problem, inputs.catalog))
    plans = [
        _plan(inputs, solution, (options, other), [next(expected) for _ in solution.groups], periods)
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
    per_million = _per_million(cents, token_hours(problem, predicted, periods))
    requests = requests_a_month(problem, predicted, periods)
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
        notes=tuple(_notes(inputs, solution, [reason for p in predicted for reason in p.grade_reasons])),
        cost_per_million_output_tokens=per_million,
        long_run=long_run(pairs, other, requests, per_million, problem, inputs.catalog, running),
        also=() if periods else tuple(_elsewhere(inputs, solution, options)),
        periods=periods,
        owed=owed(pairs, problem, inputs.catalog),
        recoverable_tax_cents=recoverable_tax_cents(pairs, problem, inputs.catalog, running),
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
    part = parts_of(inputs.problem)[candidate.workload]
    at = [bought.option for bought in nodes if bought.option.node_type.key == candidate.node_type.key]
    published = (spec.model.id, spec.weight_quant) in inputs.catalog.checkpoints
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
        replicas=chosen.replicas,
        interconnect=candidate.interconnect,
        gpu_memory_utilization=spec.gpu_memory_utilization,
        max_num_seqs=spec.max_num_seqs,
        max_num_batched_tokens=spec.max_num_batched_tokens,
        max_model_len=spec.max_model_len,
        crosses_nodes=spec.crosses_nodes,
        memory=_memory(candidate.bill),
        engine=spec.engine.id,
        recovery=candidate.recovery,
        length_class=part.length_class,
        class_share=part.share,
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
                from_nodes=option.from_nodes,
            )


def _by_type(solution: FleetSolution) -> dict[tuple[str, int, str, float], list[NodeChoice]]:
    found: dict[tuple[str, int, str, float], list[NodeChoice]] = {}
    for nodes in solution.nodes:
        found.setdefault(nodes.option.node_type.key, []).append(nodes)
    return found


def _per_million(cents: int, token_hours: float) -> float | None:
    """Currency per million output tokens: the bill over tokens/s x the hours a month in which the load runs."""
    millions = token_hours * _SECONDS_PER_HOUR / 1e6
    return cents / CENTS_PER_UNIT / millions if millions > 0 else None


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


def _notes(inputs: Inputs, solution: FleetSolution, reasons: Sequence[str]) -> Iterator[str]:
    yield from dict.fromkeys(reasons)
    parts = parts_of(inputs.problem)
    apart = (parts[group.candidate.workload] for group in solution.groups)
    for name in dict.fromkeys(part.workload.name for part in apart if part.length_class):
        yield (
            f"{name} is served class by class: the router has to send each request to the servers of its class, by the"
            " length of its input or by the application that it comes from"
        )
    yield from payment_notes(inputs.problem, solution)
    market = inputs.problem.hardware.market
    for gpu in sorted({bought.option.offer.gpu for bought in solution.nodes}) if market else []:
        remark = market_remark(inputs.catalog, gpu, str(market))
        if remark:
            yield remark
