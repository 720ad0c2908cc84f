"""Rules about money: every figure follows from the nodes, to the cent.

Rules about what a plan costs beyond one month: recomputed month by month, not by the formulas of pricing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from math import isclose
from typing import TYPE_CHECKING

from optimizer.demand import Metric
from optimizer.pricing import (
    NodeOption,
    NodeType,
    cost_lines,
    excluded_costs,
    last_day,
    node_options,
    recoverable_tax_cents,
)
from optimizer.pricing.long_run import MOST_MONTHS, UNTIL_TERM, YEARS, purchase_cents
from optimizer.problem import lengths_of, parts_of, session_lengths_of, sessions_of, slo_of
from optimizer.units import CENTS_PER_UNIT, to_cents
from optimizer.verify.case import MAXIMIZE_LOAD, CheckedCase, Mismatch
from optimizer.verify.sessions import mean_wait
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.problem import Workload


_SECONDS_PER_HOUR = 3600.0
_HOURS = 730.0
"""A mean month around the clock."""
_PART_TIME = 672.0
"""A payment for fewer hours than the shortest month has is for part of the day."""


def node_lines(case: CheckedCase) -> Iterator[Mismatch]:
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
            "spare_cents": node.option.cents_for(
                [min(line.spare, n) for n in (running[node.option.key] if running else (line.count,))]
            ),
            "price_date": price.date if price else None,
            "price_source": price.source if price else line.price_source,
            "original_currency": price.currency if price else "",
            "tier": node.option.tier,
            "evidence": node.option.evidence,
            "ranks_until": last_day(node.option),
            "stock_note": price.stock_note if price else "",
            "price_remarks": price.remarks if price else "",
            "host_memory_gib": offer.host_memory_gib,
            "network_gbps": offer.network_gbps,
        }
        for name, value in expected.items():
            found = getattr(line, name)
            if found != value:
                yield Mismatch("node lines", f"{node.path}.{name}", value, found, "differs from the offer")


def ledger(case: CheckedCase) -> Iterator[Mismatch]:
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


def rounding(case: CheckedCase) -> Iterator[Mismatch]:
    """Each printed cost line is its quantity x unit price, up to half a cent for each node it was rounded for."""
    nodes = max((node.line.count for node in case.nodes), default=1)
    for index, line in enumerate(case.plan.cost_lines):
        exact = line.quantity * line.unit_price * CENTS_PER_UNIT
        if abs(line.monthly_cents - exact) > 0.5 * nodes + 1e-9 * abs(exact):
            yield Mismatch("rounding", f"cost_lines[{index}]", exact, line.monthly_cents, f"cents of {line.name}")


def spare_cost(case: CheckedCase) -> Iterator[Mismatch]:
    """What one spare node more would cost: a node of each node type in use, priced like one the plan has."""
    prices: dict[NodeType, list[int]] = defaultdict(list)
    for node in case.nodes:
        prices[node.option.node_type].append(node.option.monthly_cents)
    low = max(min(of_type) for of_type in prices.values())
    high = sum(max(of_type) for of_type in prices.values())
    if not low <= case.plan.spare_node_cents <= high:
        found = case.plan.spare_node_cents
        yield Mismatch("spare cost", "spare_node_costs", f"{low}..{high}", found, "cents for one spare node")


def expected_requests(case: CheckedCase) -> dict[str, float]:
    """Requests of each workload in a month, at its stated load: peak factor and headroom left out.

    Batch work: requests x runs. Else hours x factor of each period, or hours x mean load, times the requests a second
    that are stated, or promised to people or requests in flight where the limits bound the response; where nothing
    does, those that the plan makes of its planned load over what it was planned for.
    """
    problem, plan = case.problem, case.plan
    sought = plan.load_factor if problem.objective == MAXIMIZE_LOAD else None
    found: dict[str, float] = {}
    for workload in problem.workloads:
        traffic, payment = workload.traffic, problem.payment
        if traffic.batch is not None:
            found[workload.name] = traffic.batch.requests * traffic.batch.runs_per_month * (sought or 1)
            continue
        month = payment.hours_per_month if payment.hours_per_month < _PART_TIME else _HOURS
        hours, busiest = month * payment.mean_load, 1.0
        if plan.periods:
            profile = traffic.profile or ()
            factors = [one.factor for one in profile] or [1.0] * len(plan.periods)
            hours = sum(p.hours_per_month * factor for p, factor in zip(plan.periods, factors, strict=True))
            busiest = max(factors)
        arriving, promised = _arriving(workload), _promised(workload)
        rate = max(arriving, promised)
        if sought is not None:
            rate = rate * sought if arriving else 0.0
        if not rate:
            parts = {part.name for part in parts_of(problem) if part.workload.name == workload.name}
            made = sum(one.requests_per_second for one in plan.predicted if one.workload in parts)
            rate = made / (traffic.peak_factor * (1 + problem.margins.load_headroom) * busiest)
        found[workload.name] = rate * hours * _SECONDS_PER_HOUR
    return found


def _arriving(workload: Workload) -> float:
    """Requests a second that the file states, whatever a plan does: the largest of its figures."""
    traffic = workload.traffic
    users = traffic.users
    hourly = users.active * (users.requests_per_user_per_hour or 0.0) / _SECONDS_PER_HOUR if users else 0.0
    tokens = (traffic.output_tokens_per_second or 0.0) / lengths_of(workload).output_mean
    means = sessions_of(workload)
    turns = (traffic.sessions_per_second or 0.0) * (means.turns if means else 0.0)
    return max(traffic.requests_per_second or 0.0, hourly, tokens, turns)


def _promised(workload: Workload) -> float:
    """Requests a second that people or requests in flight make where every answer takes as long as promised."""
    traffic, lengths, response = workload.traffic, lengths_of(workload), 0.0
    mix = [(one.name, one.share, one.lengths.output_mean) for one in lengths.classes] or [("", 1, lengths.output_mean)]
    for name, share, output in mix:
        limits: dict[Metric, tuple[float, float]] = {}
        for promise in slo_of(workload).promises:
            if promise.length_class in ("", name):
                known = limits.get(promise.metric, (0.0, 0.0))
                limits[promise.metric] = max(known, (promise.percentile, -promise.limit_s))
        seconds = {metric: -limit for metric, (_, limit) in limits.items()}
        answers = [seconds[Metric.E2E]] if Metric.E2E in seconds else []
        if Metric.TPOT in seconds:
            answers.append(seconds.get(Metric.TTFT, 0.0) + (output - 1) * seconds[Metric.TPOT])
        if not answers:
            return 0.0
        response += share * min(answers)
    users = traffic.users
    if workload.sessions is not None:
        people = users.active if users is not None else traffic.concurrent_sessions or 0.0
        return people / (mean_wait(session_lengths_of(workload.sessions).gaps) + response)
    if users is not None and users.think_time_s is not None:
        return users.active / (users.think_time_s + response)
    alone = users is None and not _arriving(workload) and response > 0
    return (traffic.concurrency or 0.0) / response if alone else 0.0


def unit_costs(case: CheckedCase) -> Iterator[Mismatch]:
    """Tokens, requests and users of a month are those expected at the stated load, and the bill is spread over them."""
    printed, requests = case.plan.unit_costs, expected_requests(case)
    if printed is None:
        yield Mismatch("unit costs", "unit_costs", "unit costs", None, "nothing printed")
        return
    lengths = {workload.name: lengths_of(workload) for workload in case.problem.workloads}
    users = [workload.traffic.users for workload in case.problem.workloads]
    people = None if None in users else sum(one.active for one in users if one is not None)
    if people is not None and case.problem.objective == MAXIMIZE_LOAD:
        people *= case.plan.load_factor
    made = sum(count * lengths[name].output_mean for name, count in requests.items())
    read = sum(count * lengths[name].input_mean for name, count in requests.items())
    asked = sum(requests.values())
    bill = case.plan.monthly_cents / CENTS_PER_UNIT
    expected = {
        "expected_output_tokens_per_month": made,
        "expected_input_tokens_per_month": read,
        "expected_requests_per_month": asked,
        "per_million_output_tokens": bill / made * 1e6 if made else None,
        "per_million_input_tokens": bill / read * 1e6 if read else None,
        "per_request": bill / asked if asked else None,
        "per_user_month": bill / people if people else None,
    }
    for name, value in expected.items():
        found = getattr(printed, name)
        if (value is None) != (found is None) or not isclose(value or 0.0, found or 0.0, rel_tol=1e-6):
            yield Mismatch("unit costs", f"unit_costs.{name}", value, found, "over the expected volume of a month")


def budget(case: CheckedCase) -> Iterator[Mismatch]:
    """``budget.monthly``: the whole bill, plan-level lines included."""
    limit = case.problem.budget.monthly
    if limit is not None and case.plan.monthly_cents > to_cents(limit):
        yield Mismatch("budget", "budget.monthly", to_cents(limit), case.plan.monthly_cents, "over the budget (cents)")


def excludes(case: CheckedCase) -> Iterator[Mismatch]:
    """The plan says what its bill leaves out."""
    expected = excluded_costs([node.option for node in case.nodes], case.problem)
    if not set(expected) <= set(case.plan.excludes):
        yield Mismatch("excludes", "excludes", expected, case.plan.excludes, "costs left out and not said")


_NEAR = 1e-6


def totals(case: CheckedCase) -> Iterator[Mismatch]:
    """The bill of every month added up; what writes a purchase off ends with its term."""
    run = case.plan.long_run
    if run is None:
        return
    if tuple(years for years, _ in run.totals) != YEARS:
        yield Mismatch("totals", "long_run.totals", YEARS, run.totals, "years that are summed")
    ends = [line for line in case.plan.cost_lines if _written_off(line.name)]
    for years, printed in run.totals:
        expected = 0
        for month in range(12 * years):
            over = month >= case.problem.ownership.term_months
            expected += case.plan.monthly_cents - (sum(line.monthly_cents for line in ends) if over else 0)
        if expected != printed:
            yield Mismatch("totals", f"long_run.totals[{years}]", expected, printed, "cents over the years")


def _written_off(name: str) -> bool:
    kind, _, payment = name.removeprefix("spare node, ").partition(":")
    return kind in UNTIL_TERM and payment.endswith(f"({Tier.PURCHASE})")


def rent_or_buy(case: CheckedCase) -> Iterator[Mismatch]:
    """Amounts of the nodes bought and rented, and the month in which a loan over the price would be paid back."""
    compared = case.plan.long_run.rent_or_buy if case.plan.long_run else None
    if compared is None:
        return
    ids = {offer for offer, _ in (*compared.bought, *compared.rented)}
    known = {option.key: option for option in node_options(case.problem, case.catalog, only=ids)}
    lines = [(known.get(b), known.get(r)) for b, r in zip(compared.bought, compared.rented, strict=False)]
    if len(lines) != len(case.nodes) or not all(b and r and _match(b, r) for b, r in lines):
        yield Mismatch("rent or buy", "long_run.rent_or_buy", "the plan's nodes", compared, "other nodes")
        return
    price = rent = running = 0
    for node, (bought, rented) in zip(case.nodes, lines, strict=True):
        assert bought is not None
        assert rented is not None
        if node.option.key not in (bought.key, rented.key):
            yield Mismatch("rent or buy", "long_run.rent_or_buy", node.option.key, bought.key, "not of the plan")
        count = node.line.count
        price += count * purchase_cents(bought, case.problem, case.catalog)
        rent += node.line.monthly_cents if rented.key == node.option.key else count * rented.monthly_cents
        running += count * sum(line.monthly_cents for line in bought.lines if line.name not in UNTIL_TERM)
    expected = (price, running, rent, _paid_back(price, rent - running, case.problem.ownership.cost_of_capital / 12))
    printed = (compared.price_cents, compared.running_cents, compared.rent_cents, compared.months)
    if expected != printed:
        yield Mismatch("rent or buy", "long_run.rent_or_buy", expected, printed, "price, running, rent, months")


def _match(bought: NodeOption, rented: NodeOption) -> bool:
    sides = bought.tier is Tier.PURCHASE and rented.tier not in (Tier.PURCHASE, Tier.OWNED)
    return sides and bought.node_type.key == rented.node_type.key


def _paid_back(price: float, saved: float, rate: float) -> int | None:
    """Months until the savings have paid a debt of the price with its interest."""
    debt = price
    for month in range(1, MOST_MONTHS + 1):
        debt = debt * (1 + rate) - saved
        if debt <= _NEAR * price:
            return month
    return None


def per_token(case: CheckedCase) -> Iterator[Mismatch]:
    """The share of the load that runs on average."""
    plan, problem, run = case.plan, case.problem, case.plan.long_run
    if run is None:
        return
    mean = 1.0 if plan.periods else problem.payment.mean_load
    if run.mean_load != mean:
        yield Mismatch("per token", "payment.mean_load", mean, run.mean_load, "share of the load")
