"""How close a plan runs to the limits over all of it: money, GPUs, nodes, power, quotas, stocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from optimizer.plan.types import Binding
from optimizer.pricing import Origin
from optimizer.units import CENTS_PER_UNIT

if TYPE_CHECKING:
    from optimizer.fleet.types import FleetSolution, NodeChoice
    from optimizer.problem import Problem


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
