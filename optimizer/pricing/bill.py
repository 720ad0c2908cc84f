"""The bill of a whole plan: the nodes' lines times their number, and the lines of the plan as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from optimizer.plan.costs import CostLine
from optimizer.pricing.terms import spot_uplift
from optimizer.pricing.types import NodeOption, starts_of
from optimizer.units import to_cents
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.problem import Problem

Running = Mapping[tuple[str, str], Sequence[int]]
"""Nodes of each option, by its key, in each period of the day profile."""


def plan_lines(problem: Problem) -> tuple[CostLine, ...]:
    """Lines that a plan carries whatever nodes it has: extras and staff, as stated, without further tax."""
    extras, staff = problem.payment.extras_monthly, problem.ownership.staff_monthly
    lines = (
        CostLine("extras", 1, "month", extras, to_cents(extras)),
        CostLine("staff", 1, "month", staff, to_cents(staff)),
    )
    return tuple(line for line in lines if line.monthly_cents)


def cost_lines(
    nodes: Iterable[tuple[NodeOption, int]],
    problem: Problem,
    spares: Mapping[tuple[str, str], int] | None = None,
    running: Running | None = None,
) -> tuple[CostLine, ...]:
    """The ledger of a plan: every line of every option times its nodes, then the plan's own lines.

    ``spares`` counts the nodes of each option, by its key, that stand in reserve: they get lines of their own.
    ``running`` says how many nodes of each option run in each period of the day profile, where there is one.

    Cents are multiplied as integers: nothing is rounded a second time, so the total is nodes x price to the cent.
    """
    lines: list[CostLine] = []
    for option, count in sorted(nodes, key=lambda pair: pair[0].key):
        spare = min(count, (spares or {}).get(option.key, 0))
        if option.periods and running is not None:
            lines += _over_periods(option, running[option.key], spare, problem)
            continue
        lines += _times(option, option.lines, count - spare, "")
        lines += _times(option, option.lines, spare, "spare node, ")
    return (*lines, *plan_lines(problem))


def _over_periods(option: NodeOption, running: Sequence[int], spare: int, problem: Problem) -> list[CostLine]:
    """Of nodes paid by use: the hours of each period, and what is billed for starting as it begins."""
    from optimizer.problem import periods_of

    lines: list[CostLine] = []
    for period, price, count, started in zip(
        periods_of(problem), option.periods, running, starts_of(running), strict=True
    ):
        reserve = min(spare, count)
        lines += _times(option, price.lines, count - reserve, "", f", {period.name}")
        lines += _times(option, price.lines, reserve, "spare node, ", f", {period.name}")
        lines += _times(option, price.start_lines, started, "", f" while starting, {period.name}")
    return lines


def _times(option: NodeOption, lines: Sequence[CostLine], count: int, kind: str, when: str = "") -> list[CostLine]:
    if not count:
        return []
    return [
        CostLine(
            f"{kind}{line.name}{when}: {option.offer.id} ({option.tier})",
            line.quantity * count,
            line.unit,
            line.unit_price,
            line.monthly_cents * count,
        )
        for line in lines
    ]


def total_cents(nodes: Iterable[tuple[NodeOption, int]], problem: Problem, running: Running | None = None) -> int:
    """Cents per month of a plan."""
    of_nodes = sum(
        option.monthly_cents * count if running is None else option.cents_for(running[option.key])
        for option, count in nodes
    )
    return of_nodes + sum(line.monthly_cents for line in plan_lines(problem))


def recoverable_tax_cents(
    nodes: Iterable[tuple[NodeOption, int]], problem: Problem, catalog: Catalog, running: Running | None = None
) -> int:
    """Cents of tax per month that ``payment.tax_recoverable`` leaves out: what the same nodes cost with it, less what
    they cost."""
    from optimizer.pricing.options import node_options

    if not problem.payment.tax_recoverable:
        return 0
    pairs = list(nodes)
    payment = problem.payment.model_copy(update={"tax_recoverable": False})
    taxed = problem.model_copy(update={"payment": payment})
    dearer = {option.key: option for option in node_options(taxed, catalog, [option.offer.id for option, _ in pairs])}
    with_tax = total_cents([(dearer[option.key], count) for option, count in pairs], taxed, running)
    return with_tax - total_cents(pairs, problem, running)


def excluded_costs(options: Sequence[NodeOption], problem: Problem) -> tuple[str, ...]:
    """What the bill of a plan on these options leaves out, in the words of a reader."""
    tiers = {option.tier for option in options}
    left_out = ["storage", "network egress", "load balancer"]
    if not problem.ownership.staff_monthly:
        left_out.append("staff")
    if problem.payment.tax_recoverable:
        left_out.append("tax (recoverable)")
    elif not problem.payment.tax_percent and any(option.offer.tax_percent is None for option in options):
        left_out.append("tax")
    if Tier.SPOT in tiers and spot_uplift(problem) is None:
        left_out.append("interruptions of spot nodes")
    if Tier.PURCHASE in tiers:
        left_out.append("network between bought servers")
    if Tier.OWNED in tiers and any(entry.monthly_cost is None for entry in problem.hardware.owned):
        left_out.append("the price once paid for owned hardware")
    return tuple(left_out)
