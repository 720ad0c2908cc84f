"""The whole text report (``--full``): plain on a pipe, coloured on a terminal (rich is imported there only).

The head of the text report: the question as understood, the load it means and which floor wins.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator

from optimizer.demand import Promise
from optimizer.plan.types import Asked, Demand, LoadFloor, Outcome, WorkloadLoad
from optimizer.problem import people_words, place_of, session_words
from optimizer.report.api import api_line
from optimizer.report.bill import ledger, single_kinds
from optimizer.report.layout import BLANK, WIDTH, Block, Joined, Line, Name, Passage, Say, Style, drawn
from optimizer.report.periods import asked_profile, day_profile, rejections
from optimizer.report.plans import ranked
from optimizer.report.prices import prices
from optimizer.report.quotes import your_quotes
from optimizer.report.verdicts import funnel, no_plan, targets, unpriced, verdicts
from optimizer.report.words import count, exact, limit, metric_name, percent, percentile_name

_LOOKS = {Style.HEADING: "bold", Style.STRONG: "bold cyan", Style.QUIET: "", Style.CAUTION: "yellow", Style.PLAIN: ""}


def render_text(outcome: Outcome, say: Say = str) -> str:
    """The whole report without escape codes, at most 80 columns wide wherever words allow."""
    return "\n".join(line.text for line in report_lines(outcome, say)) + "\n"


def report_lines(outcome: Outcome, say: Say = str) -> Iterator[Line]:
    """Question, ranking, ledger, verdicts, funnel; without a plan: why not, and what would help."""
    blocks: list[Block] = list(question(outcome))
    if outcome.plans:
        blocks += ranked(outcome)
        blocks += api_line(outcome)
        blocks += your_quotes(outcome)
        blocks += single_kinds(outcome)
        blocks += day_profile(outcome)
        blocks += ledger(outcome)
        blocks += prices(outcome)
        blocks += verdicts(outcome)
        blocks += rejections(outcome)
        blocks += funnel(outcome)
        blocks += unpriced(outcome)
        blocks += targets(outcome)
    else:
        blocks += no_plan(outcome)
        blocks += your_quotes(outcome)
    return iter(_without_trailing_blanks(list(drawn(blocks, say))))


def render_coloured(outcome: Outcome, say: Say = str) -> str:
    """The same lines with escape codes for a terminal."""
    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    console = Console(file=stream, width=WIDTH, highlight=False, markup=False, soft_wrap=True, force_terminal=True)
    for line in report_lines(outcome, say):
        console.print(Text(line.text, style=_LOOKS[line.style]))
    return stream.getvalue()


def _without_trailing_blanks(lines: list[Line]) -> list[Line]:
    end = len(lines)
    while end and not lines[end - 1].text:
        end -= 1
    return lines[:end]


_COLUMN = 10


def question(outcome: Outcome) -> Iterator[Block]:
    """What was asked: per workload the lengths, the promises and the load; then the rules that narrow the choice."""
    yield Joined(
        (Name(outcome.problem_name), Name(f"({outcome.problem_path})")), joint="  ", hang="  ", style=Style.HEADING
    )
    loads = {load.workload: load for load in outcome.loads}
    demand = {one.workload: one for one in outcome.demand}
    for asked in (one for one in outcome.asked if not one.length_class):
        yield from _workload(asked, loads.get(asked.workload), demand.get(asked.workload))
    if outcome.rules:
        yield from _field("rules", "; ".join(outcome.rules))
    yield from _field("margin", _margin(outcome.confidence))
    for warning in outcome.warnings:
        yield Passage(warning, style=Style.CAUTION, label="warning", column=_COLUMN)
    yield BLANK


def _workload(asked: Asked, load: WorkloadLoad | None, demand: Demand | None) -> Iterator[Block]:
    yield from _field("workload", f"{asked.workload}: {asked.model}")
    yield from _field("tokens", _tokens(asked))
    if load is not None and load.sessions is not None:
        yield from _field("sessions", session_words(load.sessions))
    yield from _field("promises", _promises(asked))
    if load is not None:
        yield from _field("load", _load(asked, load))
        if demand is not None and (by := planned_by(demand)):
            yield from _field("", by)
    if profile := asked_profile(asked):
        yield from _field("profile" if asked.periods else "replicas", profile)


def _field(label: str, text: str) -> Iterator[Block]:
    yield Passage(text, label=label, column=_COLUMN)


def _tokens(asked: Asked) -> str:
    if asked.classes:
        return _classes(asked)
    counted = asked.stated.lengths.histogram
    rows = "" if counted is None else f", as counted ({len(counted.share):,} rows of tokens.histogram)"
    tail = f"{rows}; at most {asked.context_max:,} together (context)"
    return (
        f"{_length(asked.input_tokens, asked.input_p95)} in, {_length(asked.output_tokens, asked.output_p95)} out{tail}"
    )


def _classes(asked: Asked) -> str:
    """Lengths of each class and its share of the requests."""
    return "; ".join(
        f"{one.name} ({percent(one.share)}): {_length(one.lengths.input_mean, one.lengths.input_p95)} in, "
        f"{_length(one.lengths.output_mean, one.lengths.output_p95)} out, at most {one.lengths.context_max:,} together"
        for one in asked.classes
    )


def _length(mean: float, p95: float | None) -> str:
    return f"{exact(mean)}" if p95 is None else f"{exact(mean)} on average (p95 {exact(p95)})"


def _promises(asked: Asked) -> str:
    parts = [_promise(promise) for promise in asked.promises] if not asked.classes else _to_classes(asked)
    if asked.min_recovery is not None:
        parts.append(f"quality at least {percent(asked.min_recovery)} of the model as published")
    return ", ".join(parts) or "none on latency: only throughput counts"


def _promise(promise: Promise) -> str:
    return f"{metric_name(promise.metric)} {percentile_name(promise.percentile)} at most {limit(promise.limit_s)}"


def _to_classes(asked: Asked) -> list[str]:
    """What is promised to each class, then what to some only."""
    to: dict[str, list[str]] = {}
    for promise in asked.promises:
        to.setdefault(_promise(promise), []).append(promise.length_class)
    everyone = [one.name for one in asked.classes]
    common = [f"each class {text}" for text, names in to.items() if names == everyone]
    return common + [f"{' and '.join(names)} {text}" for text, names in to.items() if names != everyone]


def planned_by(demand: Demand) -> str:
    """How the planned load follows from the stated one; empty where it is the same."""
    parts = [f" x {exact(round(demand.peak_by, 6))} at the peak"] if demand.peak_by != 1 else []
    parts += [f" x {exact(round(1 + demand.headroom, 6))} (load_headroom)"] if demand.headroom else []
    return f"that is the planned load: the stated one{''.join(parts)}" if parts else ""


def _load(asked: Asked, load: WorkloadLoad) -> str:
    figures = (
        (load.requests_per_second, "requests/s"),
        (load.output_tokens_per_second, "output tokens/s"),
        (load.inflight, "request in flight" if load.inflight == 1 else "requests in flight"),
    )
    known = [f"{count(value)} {unit}" for value, unit in figures if math.isfinite(value) and value > 0]
    text = ", ".join(known) or "as much as the hardware carries"
    if load.users is not None:
        people = f"{count(load.users)} users who think for {exact(load.think_s or 0.0)} s before the next question"
        if load.sessions is not None:
            people = people_words(load.users, load.think_s or 0.0, load.sessions)
        text = people + (f"; with #1 {text}" if known else "")
    if asked.hours_per_month is not None:
        text += f", {count(asked.hours_per_month)} hours a month"
    return f"{text}{_floors(asked.floors)}"


def _floors(floors: tuple[LoadFloor, ...]) -> str:
    """Which stated figure decides: the larger of several floors, never their sum."""
    if not floors:
        return ""
    winners = [floor for floor in floors if floor.wins]
    losers = [floor for floor in floors if not floor.wins]
    text = " and ".join(_stated(floor) for floor in winners) or "none"
    verb = "decides" if len(winners) == 1 else "decide"
    if not losers:
        return f" ({text} {verb})"
    less = ", ".join(f"{_stated(floor)} asks for less{_means(floor)}" for floor in losers)
    return f" ({text} {verb}; {less})"


def _stated(floor: LoadFloor) -> str:
    key = ".".join(place_of(floor.path).keys[3:])
    return f"{key} {exact(floor.stated)}"


def _means(floor: LoadFloor) -> str:
    if floor.requests_per_second is not None:
        return f", {count(floor.requests_per_second)} requests/s"
    return f", {count(floor.inflight)} in flight" if floor.inflight is not None else ""


def _margin(confidence: float) -> str:
    if confidence <= 0.5:
        return "none: each promise holds in the median estimate, so it is as likely broken as kept"
    return (
        f"each promise must hold in {exact(round(confidence * 100, 6))} of 100 cases of model error "
        "(margins.confidence); printed latencies are the median estimate"
    )
