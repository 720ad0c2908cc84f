"""What the page shows, as plain values for the template."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.handover.page.chart_list import Chart, Table, charts_of, replay_of
from optimizer.handover.safe_text import bash_command, plain
from optimizer.handover.shortlist.plain_forms import hardware, kept, kept_head, setup, sources
from optimizer.negotiate.page_curves import Picture
from optimizer.report.api import api_sentence
from optimizer.report.bill import unit_rows, units
from optimizer.report.confirm import bench_words, tests_in
from optimizer.report.periods import replayed_name, replayed_unit
from optimizer.report.plans import rule_words
from optimizer.report.quotes import node_of, price_of, terms_of, verdict_of
from optimizer.report.screen_facts import asked, held_up, sentence
from optimizer.report.screen_no_plan import blocked, refused
from optimizer.report.screen_table import decisions
from optimizer.report.screen_words import NBSP, PIPE
from optimizer.report.serve_commands import serve_words
from optimizer.report.words import count, limit, money, percent, price, promise_of, tier_name, two_digits, yaml_scalar
from optimizer.vocabulary import Evidence

if TYPE_CHECKING:
    from optimizer.handover.page.charts import Say
    from optimizer.plan.types import NodeLine, Outcome, Plan, Replay, ReplayedPromise
    from optimizer.report.screen_words import Fact


@dataclass(frozen=True)
class View:
    """Everything on the page; text is plain, drawings are our own SVG."""

    title: str
    answer: str
    asked: tuple[tuple[str, str], ...]
    rests_on: tuple[tuple[str, str], ...]
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
        asked=_facts(asked(outcome, workloads=len(outcome.asked)), say),
        rests_on=_facts(held_up(outcome, decisions(outcome)) if best else blocked(outcome, PIPE, say)[1], say),
        warnings=tuple(plain(say(one)) for one in outcome.warnings),
        question=_question(outcome, say),
        ranking=_ranking(outcome, say),
        notes=tuple(plain(say(note)) for note in _notes(outcome)),
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
        return plain(say(refused(outcome)))
    return plain("".join(map(say, sentence(outcome))))


_ELSEWHERE = ("quotes", "", "warning", "API", "not in")
"""Facts of the first screen that have a place of their own on the page."""


def _facts(facts: Iterable[Fact], say: Say) -> tuple[tuple[str, str], ...]:
    """The facts of the first screen, uncut: the page and the terminal say the same."""
    told = (one for one in facts if one.label not in _ELSEWHERE)
    return tuple((say(one.label), plain(say(one.text).replace(NBSP, " "))) for one in told)


def _notes(outcome: Outcome) -> list[str]:
    """Every note of the ranked plans once; its place is its number."""
    return list(dict.fromkeys(note for plan in outcome.plans for note in plan.notes))


def _indicative(plan: Plan, say: Say) -> str:
    return f" ({say('indicative price')})" if plan.price_evidence is Evidence.INDICATIVE else ""


def _question(outcome: Outcome, say: Say) -> Table:
    loads = {load.workload: load for load in outcome.loads}
    rows = []
    for one in outcome.asked:
        load = loads.get(one.workload)
        promises = ", ".join(
            f"{plain(promise_of(p.metric, p.percentile, p.length_class))} {limit(p.limit_s)}" for p in one.promises
        )
        known = (load.requests_per_second, load.inflight) if load else ()
        figures = [count(value) if math.isfinite(value) else "" for value in known] or ["", ""]
        tokens = f"{one.input_tokens:,.0f} / {one.output_tokens:,.0f}"
        rows.append((plain(one.workload), plain(one.model), promises or say("none"), tokens, *figures))
    head = ("workload", "model", "promises", "tokens in / out", "requests/s", "in flight")
    return Table(tuple(map(say, head)), tuple(rows), 3)


def _ranking(outcome: Outcome, say: Say) -> Table:
    head = ("rank", "hardware", "setup", "from", kept_head(outcome), "grade", "notes", "headroom", "per month")
    numbers = {note: number for number, note in enumerate(_notes(outcome), 1)}
    rows = [
        (
            f"#{plan.rank}" + (f" ({say('tie with')} #{plan.tie_with})" if plan.tie_with else ""),
            hardware(plan),
            plain(say(setup(plan))),
            plain(say(sources(plan))),
            "; ".join(kept(plan)) or say("none"),
            plan.grade,
            ", ".join(str(numbers[note]) for note in dict.fromkeys(plan.notes)),
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
            say(price_of(one)),
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
            rows.append((plain(say(rule_words(step.rule))), plain(say(step.note)), f"{step.remaining:,}", cheapest))
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
    rows = [(say("problem"), plain(f"{Path(outcome.problem_path).name}, sha256 {outcome.problem_sha256}"), "")]
    rows.append((say("performance model"), outcome.proof.performance_model, ""))
    seen = dict.fromkeys(
        (plain(node.offer_id), plain(_source(node, say)), node.price_date or "")
        for p in outcome.plans
        for node in p.nodes
    )
    return Table((say("what"), say("source"), say("date")), (*rows, *seen))
