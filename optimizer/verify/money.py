"""Rules about money: every figure follows from the nodes, to the cent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

from optimizer.pricing import NodeType, cost_lines, excluded_costs, load_hours, recoverable_tax_cents
from optimizer.problem import parts_of
from optimizer.units import CENTS_PER_UNIT, to_cents
from optimizer.verify.case import Case
from optimizer.verify.types import Mismatch

if TYPE_CHECKING:
    from optimizer.plan.types import PeriodService, Prediction
    from optimizer.problem import Part

_SECONDS_PER_HOUR = 3600.0


def node_lines(case: Case) -> Iterator[Mismatch]:
    """A node line repeats its offer and price, and costs nodes x price, period by period where paid by use."""
    running = case.running
    for node in case.nodes:
        line, offer, price = node.line, node.option.offer, node.option.price
        expected = {
            "provider": offer.provider,
            "instance_type": offer.instance_type,
            "region": offer.region,
            "gpu": offer.gpu,
            "gpus_per_node": offer.gpus_per_node,
            "link": offer.link,
            "commitment_months": node.option.commitment_months,
            "monthly_cents": node.option.cents_for(running[node.option.key] if running else (line.count,)),
            "price_date": price.date if price else None,
            "price_source": price.source if price else line.price_source,
            "original_currency": price.currency if price else "",
            "tier": node.option.tier,
        }
        for name, value in expected.items():
            found = getattr(line, name)
            if found != value:
                yield Mismatch("node lines", f"{node.path}.{name}", value, found, "differs from the offer")


def ledger(case: Case) -> Iterator[Mismatch]:
    """The cost lines are those of the nodes, each quantity x unit price, and add up to the total."""
    plan = case.plan
    spares = {node.option.key: node.line.spare for node in case.nodes}
    bought = [(node.option, node.line.count) for node in case.nodes]
    expected = cost_lines(bought, case.problem, spares, case.running)
    for index, (ours, printed) in enumerate(zip_longest(expected, plan.cost_lines)):
        if ours != printed:
            yield Mismatch("ledger", f"cost_lines[{index}]", ours, printed, "a cost line")
    total = sum(line.monthly_cents for line in plan.cost_lines)
    if plan.monthly_cents != total:
        yield Mismatch("ledger", "monthly_cost", total, plan.monthly_cents, "the sum of the cost lines")
    tax = recoverable_tax_cents(bought, case.problem, case.catalog, case.running)
    if plan.recoverable_tax_cents != tax:
        yield Mismatch("ledger", "recoverable_tax", tax, plan.recoverable_tax_cents, "cents of tax that comes back")
    if plan.currency != case.problem.payment.currency:
        yield Mismatch("ledger", "currency", case.problem.payment.currency, plan.currency, "the currency asked for")


def rounding(case: Case) -> Iterator[Mismatch]:
    """Each printed cost line is its quantity x unit price, up to half a cent for each node it was rounded for."""
    nodes = max((node.line.count for node in case.nodes), default=1)
    for index, line in enumerate(case.plan.cost_lines):
        exact = line.quantity * line.unit_price * CENTS_PER_UNIT
        if abs(line.monthly_cents - exact) > 0.5 * nodes + 1e-9 * abs(exact):
            yield Mismatch("rounding", f"cost_lines[{index}]", exact, line.monthly_cents, f"cents of {line.name}")


def spare_cost(case: Case) -> Iterator[Mismatch]:
    """What one spare node more would cost: a node of each node type in use, priced like one the plan has."""
    prices: dict[NodeType, list[int]] = defaultdict(list)
    for node in case.nodes:
        prices[node.option.node_type].append(node.option.monthly_cents)
    low = max(min(of_type) for of_type in prices.values())
    high = sum(max(of_type) for of_type in prices.values())
    if not low <= case.plan.spare_node_cents <= high:
        found = case.plan.spare_node_cents
        yield Mismatch("spare cost", "spare_node_costs", f"{low}..{high}", found, "cents for one spare node")


def made_in_a_month(case: Case) -> Iterator[tuple[Part, float, float]]:
    """Requests and output tokens in a month of each workload or class that is served; with a day profile by period.

    At the arrivals that the problem states; without them, and where the most load is sought, at those of the plan.
    """
    sought = case.problem.objective == "maximize_load"
    for part in parts_of(case.problem):
        workload = part.workload
        served: list[tuple[Prediction | PeriodService, float, float]] = [
            (one, load_hours(workload, case.problem), 1.0) for one in case.plan.predicted if one.workload == part.name
        ]
        if case.plan.periods and workload.traffic.batch is None:
            served = [
                (one, period.hours_per_month, factor)
                for period, factor in zip(case.plan.periods, part.load.factors, strict=True)
                for one in period.services
                if one.workload == part.name
            ]
        for one, hours, factor in served:
            predicted = one.requests_per_second
            rate = predicted if sought else part.load.requests_per_second * factor or predicted
            each = one.output_tokens_per_second / predicted if predicted else 0.0
            yield part, rate * hours * _SECONDS_PER_HOUR, rate * each * hours * _SECONDS_PER_HOUR


def per_million_tokens(case: Case) -> Iterator[Mismatch]:
    """Cost per million output tokens: the bill over the tokens of the stated load in the hours that it runs."""
    printed = case.plan.cost_per_million_output_tokens
    tokens = sum(tokens for _, _, tokens in made_in_a_month(case))
    if printed is None or tokens <= 0:
        return
    expected = case.plan.monthly_cents / CENTS_PER_UNIT / (tokens / 1e6)
    if abs(printed - expected) > 1e-6 * expected:
        path = "cost_per_million_output_tokens"
        yield Mismatch("per million tokens", path, expected, printed, "bill over the tokens of a month")


def budget(case: Case) -> Iterator[Mismatch]:
    """``budget.monthly``: the whole bill, plan-level lines included."""
    limit = case.problem.budget.monthly
    if limit is not None and case.plan.monthly_cents > to_cents(limit):
        yield Mismatch("budget", "budget.monthly", to_cents(limit), case.plan.monthly_cents, "over the budget (cents)")


def excludes(case: Case) -> Iterator[Mismatch]:
    """The plan says what its bill leaves out."""
    expected = excluded_costs([node.option for node in case.nodes], case.problem)
    if not set(expected) <= set(case.plan.excludes):
        yield Mismatch("excludes", "excludes", expected, case.plan.excludes, "costs left out and not said")
