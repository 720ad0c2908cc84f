"""What the page shows, as plain values for the template."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.handover.page.chart_list import Chart, Table, charts_of, replay_of
from optimizer.handover.safe_text import bash_command, plain
from optimizer.handover.shortlist.plain_forms import hardware, kept, setup, sources
from optimizer.negotiate.page_curves import Picture
from optimizer.report import status_of
from optimizer.report.api import api_sentence
from optimizer.report.bill import unit_rows, units
from optimizer.report.confirm import bench_words, tests_in
from optimizer.report.periods import replayed_name, replayed_unit
from optimizer.report.quotes import node_of, price_of, terms_of, verdict_of
from optimizer.report.serve_commands import serve_words
from optimizer.report.words import count, limit, money, percent, price, promise_of, tier_name, two_digits, yaml_scalar
from optimizer.vocabulary import Evidence

if TYPE_CHECKING:
    from optimizer.handover.page.charts import Say
    from optimizer.plan.types import NodeLine, Outcome, Plan, Replay, ReplayedPromise


@dataclass(frozen=True)
class View:
    """Everything on the page; text is plain, drawings are our own SVG."""

    title: str
    answer: str
    verdicts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    question: Table
    ranking: Table
    notes: tuple[str, ...]
    charts: tuple[Chart, ...]
    periods: Table
    cost: Table
    excludes: str
    api: str
    quotes: Table
    replayed: Table
    replay_charts: tuple[Chart, ...]
    funnel: Table
    ways_out: Table
    provenance: Table
    commands: tuple[str, ...]


def view_of(outcome: Outcome, picture: Picture | None, say: Say) -> View:
    """Collect the page."""
    best = outcome.plans[0] if outcome.plans else None
    return View(
        title=plain(outcome.problem_name),
        answer=_answer(outcome, say),
        verdicts=_verdicts(outcome, say),
        warnings=tuple(plain(say(one)) for one in outcome.warnings),
        question=_question(outcome, say),
        ranking=_ranking(outcome, say),
        notes=tuple(dict.fromkeys(plain(say(note)) for plan in outcome.plans for note in plan.notes)),
        charts=charts_of(outcome, picture or Picture((), (), ()), say) if best else (),
        periods=_periods(best, say) if best else Table((), ()),
        cost=_cost(best, say) if best else Table((), ()),
        excludes=", ".join(plain(say(one)) for one in best.excludes) if best else "",
        api=plain(say(api_sentence(best))) if best else "",
        quotes=_quotes(outcome, say),
        replayed=_replayed(best.simulated if best else (), say),
        replay_charts=replay_of(outcome, say),
        funnel=_funnel(outcome, say),
        ways_out=_ways_out(outcome, say),
        provenance=_provenance(outcome, say),
        commands=tuple(_commands(best, outcome)) if best else (),
    )


def _answer(outcome: Outcome, say: Say) -> str:
    if not outcome.plans:
        return (
            say("No deployment keeps every promise.") if status_of(outcome) == "infeasible" else say("No answer yet.")
        )
    best = outcome.plans[0]
    text = f"{hardware(best)}, {setup(best)}: {money(best.monthly_cents, best.currency)} {say('a month')}"
    return plain(f"{text}{_indicative(best, say)}, {say('grade')} {best.grade}.")


def _indicative(plan: Plan, say: Say) -> str:
    return f" ({say('indicative price')})" if plan.price_evidence is Evidence.INDICATIVE else ""


def _verdicts(outcome: Outcome, say: Say) -> tuple[tuple[str, str], ...]:
    proof = outcome.proof
    prices = f"{proof.prices_from} - {proof.prices_to}" if proof.prices_from else say("your own prices and hardware")
    gap = "" if proof.gap is None else f", {say('gap')} {percent(proof.gap)}"
    arithmetic = (
        f"{say(status_of(outcome))}{gap}; {proof.candidates_enumerated:,} {say('configurations enumerated')}, "
        f"{proof.candidates_feasible:,} {say('feasible')}; {say('prices from')} {prices}; "
        f"{say('performance model')} {proof.performance_model}"
    )
    if not outcome.plans:
        return ((say("arithmetic"), arithmetic),)
    reasons = "; ".join(dict.fromkeys(plain(say(r)) for p in outcome.plans[0].predicted for r in p.grade_reasons))
    physics = f"{say('grade')} {outcome.plans[0].grade}" + (f": {reasons}" if reasons else "")
    return ((say("arithmetic"), arithmetic), (say("physics"), f"{physics}. {say('Confirm with the commands below.')}"))


def _question(outcome: Outcome, say: Say) -> Table:
    loads = {load.workload: load for load in outcome.loads}
    rows = []
    for asked in outcome.asked:
        load = loads.get(asked.workload)
        promises = ", ".join(
            f"{plain(promise_of(p.metric, p.percentile, p.length_class))} {limit(p.limit_s)}" for p in asked.promises
        )
        figures = (count(load.requests_per_second), count(load.inflight)) if load else ("", "")
        tokens = f"{asked.input_tokens:,.0f} / {asked.output_tokens:,.0f}"
        rows.append((plain(asked.workload), plain(asked.model), promises or say("none"), tokens, *figures))
    head = ("workload", "model", "promises", "tokens in / out", "requests/s", "in flight")
    return Table(tuple(map(say, head)), tuple(rows), 3)


def _ranking(outcome: Outcome, say: Say) -> Table:
    head = ("rank", "hardware", "setup", "from", "promises (estimate of limit)", "grade", "headroom", "per month")
    rows = [
        (
            f"#{plan.rank}" + (f" ({say('tie with')} #{plan.tie_with})" if plan.tie_with else ""),
            hardware(plan),
            plain(setup(plan)),
            plain(sources(plan)),
            "; ".join(kept(plan)) or say("none"),
            plan.grade,
            f"+{percent(plan.load_factor - 1)}",
            money(plan.monthly_cents, plan.currency) + _indicative(plan, say),
        )
        for plan in outcome.plans
    ]
    return Table(tuple(map(say, head)), tuple(rows), 2)


def _periods(plan: Plan, say: Say) -> Table:
    """What runs in each period of the day profile; empty without one."""
    head = ("period", "hours", "workload", "load", "replicas", "nodes", "GPUs", "TTFT p95", "paid by use")
    rows = []
    for period in plan.periods:
        nodes = ", ".join(
            f"{count}x {say(tier_name(line.tier, line.commitment_months))}"
            for line, count in zip(plan.nodes, period.nodes, strict=True)
            if count
        )
        for service in period.services:
            ours = zip(plan.groups, period.replicas, strict=True)
            replicas = sum(count for group, count in ours if group.workload == service.workload)
            ttft = "" if service.ttft_p95_ms is None else f"{two_digits(service.ttft_p95_ms)} ms"
            rows.append(
                (plain(period.name), f"{period.hours_per_month:,.4g}", plain(service.workload), f"x {service.factor:g}",
                 f"{replicas:,}", nodes, f"{period.gpus:,}", ttft, money(period.monthly_cents, plan.currency))
            )  # fmt: skip
    return Table(tuple(map(say, head)), tuple(rows), 3)


def _cost(plan: Plan, say: Say) -> Table:
    rows = [
        (plain(say(line.name)), f"{line.quantity:,.6g} {units(line)}", price(line.unit_price, plan.currency),
         money(line.monthly_cents, plan.currency))
        for line in plan.cost_lines
    ]  # fmt: skip
    rows.append((say("total"), "", "", money(plan.monthly_cents, plan.currency)))
    for label, volume, cost in unit_rows(plan.unit_costs, plan.currency) if plan.unit_costs else []:
        expected = "" if volume is None else f"{count(volume)} {say('million expected a month')}"
        rows.append((say(label), expected, cost, ""))
    return Table((say("line"), say("quantity"), say("unit price"), say("per month")), tuple(rows), 3)


def _replayed(replays: Sequence[Replay], say: Say) -> Table:
    rows = tuple(
        (
            plain(one.workload),
            plain(replayed_name(promise)),
            *(_amount(promise, value) for value in (promise.predicted_s, promise.simulated_s)),
            _ratio(promise.simulated_s, promise.predicted_s),
            _amount(promise, promise.with_margin_s),
            _amount(promise, promise.limit_s),
        )
        for one in replays
        for promise in one.promises
    )
    head = ("workload", "latency", "predicted", "simulated", "simulated / predicted", "with margin", "promised limit")
    return Table(tuple(map(say, head)), rows, 5)


def _amount(promise: ReplayedPromise, seconds: float) -> str:
    factor, unit = replayed_unit(promise, seconds)
    return f"{count(seconds * factor)} {unit}"


def _ratio(value: float, base: float) -> str:
    return f"{value / base:.2f}" if base > 0 and math.isfinite(value / base) else ""


def _quotes(outcome: Outcome, say: Say) -> Table:
    """Every quote of the problem file with its verdict."""
    rows = [
        (
            plain(one.provider),
            plain(node_of(one)),
            price_of(one),
            say(terms_of(one)),
            plain(say(verdict_of(one, outcome))),
        )
        for one in outcome.quotes
    ]
    head = ("provider", "node", "price", "payment", "verdict")
    return Table(tuple(map(say, head)), tuple(rows)) if rows else Table((), ())


def _funnel(outcome: Outcome, say: Say) -> Table:
    rows, before = [], None
    for step in outcome.funnel:
        if step.remaining != before:
            cents = step.cheapest_removed_cents
            cheapest = "" if cents is None else money(cents, outcome.currency)
            rows.append((say(step.rule), plain(say(step.note)), f"{step.remaining:,}", cheapest))
        before = step.remaining
    return Table((say("rule"), say("what would bring it back"), say("left"), say("cheapest removed")), tuple(rows), 2)


def _ways_out(outcome: Outcome, say: Say) -> Table:
    rows = []
    for way in outcome.relaxations:
        edits = [(way.change, way.before, way.after), *way.also]
        change = "; ".join(f"{path}: {yaml_scalar(before)} -> {yaml_scalar(after)}" for path, before, after in edits)
        rows.append((plain(change), money(way.monthly_cents, outcome.currency)))
    return Table((say("edit that makes it possible"), say("per month")), tuple(rows), 1)


def _commands(plan: Plan, outcome: Outcome) -> Iterator[str]:
    """Server and client of every group, quoted for a shell."""
    for group, experiment in tests_in(plan, outcome.asked):
        serve = serve_words(group)
        if serve:
            yield bash_command(serve)
        yield bash_command([*bench_words(group, experiment), "--seed", "1"])


def _source(node: NodeLine, say: Say) -> str:
    """Where a price comes from, how far it may be relied on and until when it may be ranked."""
    kinds: dict[Evidence | None, str] = {
        Evidence.LIST: say("list price"),
        Evidence.INDICATIVE: say("indicative price"),
    }
    kind = kinds.get(node.evidence)
    until = f"{say('may rank until')} {node.ranks_until}" if node.ranks_until else ""
    return "; ".join(part for part in (node.price_source, kind, until) if part)


def _provenance(outcome: Outcome, say: Say) -> Table:
    rows = [(say("problem"), plain(f"{outcome.problem_path}, sha256 {outcome.problem_sha256}"), "")]
    rows.append((say("performance model"), outcome.proof.performance_model, ""))
    seen = dict.fromkeys(
        (plain(node.offer_id), plain(_source(node, say)), node.price_date or "")
        for p in outcome.plans
        for node in p.nodes
    )
    return Table((say("what"), say("source"), say("date")), (*rows, *seen))
