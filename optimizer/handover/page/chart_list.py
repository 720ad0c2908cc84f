"""The drawings of a page, each with the table that says the same.

The drawings of the replay of the first plan, each with the table that says the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optimizer.demand import Metric
from optimizer.handover.page import charts
from optimizer.handover.page.charts import ACCENT, FOURTH, INK, SECOND, THIRD, drawing, inline
from optimizer.handover.safe_text import plain
from optimizer.report.words import (
    count,
    gpu_name,
    latency_unit,
    limit,
    metric_name,
    money,
    percent,
    percentile_name,
    two_digits,
)

if TYPE_CHECKING:
    from optimizer.handover.page.charts import Say
    from optimizer.negotiate.page_curves import Picture, Point
    from optimizer.plan.types import Asked, Footage, Group, Outcome, Plan, Replay, ReplayedPromise


_FRONTIER_ROWS = 25


@dataclass(frozen=True)
class Table:
    """A table; ``numeric`` counts the columns from the right that hold figures."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: int = 0


@dataclass(frozen=True)
class Chart:
    """A drawing with the table that says the same."""

    title: str
    svg: str
    remark: str
    table: Table


def replay_of(outcome: Outcome, say: Say) -> tuple[Chart, ...]:
    """The drawings of the replay of the first plan; none where nothing was replayed."""
    if not outcome.plans:
        return ()
    return tuple(
        Chart(one.title, one.svg, one.remark, Table(one.head, one.rows, len(one.head) - 1))
        for one in replay_charts(outcome.plans[0], say)
    )


def charts_of(outcome: Outcome, picture: Picture, say: Say) -> tuple[Chart, ...]:
    """Every drawing of a solved problem, in the order of the page."""
    best, currency = outcome.plans[0], outcome.currency
    several = len(outcome.asked) > 1
    found: list[Chart] = []
    for number, asked in enumerate(outcome.asked):
        points = [point for point in picture.points if point.workload == asked.workload]
        suffix = f" - {plain(asked.workload)}" if several else ""
        found += _clouds(asked, points, currency, number, suffix, say) if points else ()
    found += [_memory(group, number, say) for number, group in enumerate(best.groups)]
    found += [_stairs(picture, currency, say)] if picture.stairs else []
    if any(turn.monthly_cents is not None for turn in picture.turns):
        found.append(_turns(picture, best, currency, say))
    return tuple(found)


def _clouds(
    asked: Asked, points: Sequence[Point], currency: str, number: int, suffix: str, say: Say
) -> Iterator[Chart]:
    """Cost against latency (where somebody waits) and against throughput."""
    remark = say("Each point is one configuration that keeps every promise, on its cheapest nodes.")
    cheapest = min(point.monthly_cents for point in points)
    off = sum(point.monthly_cents > cheapest * charts.DEAREST for point in points)
    remark += f" {say('The numbers on the frontier are those of its table.')}"
    remark += f" {off:,} {say('dearer ones are off the chart.')}" if off else ""
    if asked.hours_per_month is None:
        promised = [one.limit_s for one in asked.promises if one.metric == "ttft" and one.percentile == 95]
        svg = charts.cost_against_ttft(points, min(promised, default=None), currency, f"ttft{number}", say)
        table = _frontier(charts.frontier_of(points, lambda point: point.ttft_p95_s), currency, say)
        yield Chart(say("Cost against time to first token") + suffix, svg, remark, table)
    svg = charts.cost_against_throughput(points, currency, f"rate{number}", say)
    table = _frontier(charts.frontier_of(points, lambda point: -point.output_tokens_per_second), currency, say)
    yield Chart(say("Cost against throughput") + suffix, svg, remark, table)


def _memory(group: Group, number: int, say: Say) -> Chart:
    bill = group.memory
    parts = (
        ("weights", bill.weights),
        ("KV cache", bill.kv_cache),
        ("activations", bill.activations),
        ("engine and buffers", bill.overhead),
        ("usable", bill.usable),
    )
    table = Table((say("part"), "GiB"), tuple((say(name), f"{size:,.2f}") for name, size in parts), 1)
    title = f"{say('Memory of one')} {gpu_name(group.gpu)}: {plain(group.workload)}"
    remark = say("The fullest GPU of one copy of the model.")
    return Chart(title, charts.memory_bar(group, f"memory{number}", say), remark, table)


def _stairs(picture: Picture, currency: str, say: Say) -> Chart:
    rows = tuple(
        (f"{first.factor:g}x" if first is last else f"{first.factor:g}x - {last.factor:g}x", cost)
        for first, last in charts.stretches(picture.stairs)
        for cost in (_cents(first.monthly_cents, currency, say),)
    )
    exact = charts.is_exact(picture.stairs)
    remark = "Each dot was solved again; between the dots the step may be elsewhere."
    if exact:
        remark = "Every step, to a hundredth of the load."
    table = Table((say("load"), say("per month")), rows, 2)
    svg = charts.staircase(picture.stairs, currency, "stairs", say)
    return Chart(say("What more load costs"), svg, say(remark), table)


def _turns(picture: Picture, best: Plan, currency: str, say: Say) -> Chart:
    rows = tuple(
        (
            plain(say(charts.changed_name(turn.path))),
            charts.changed_value(turn.path, turn.before),
            charts.changed_value(turn.path, turn.after),
            _cents(turn.monthly_cents, currency, say),
        )
        for turn in picture.turns
    )
    svg = charts.sensitivity(picture, _base(picture, best), currency, "turns", say)
    table = Table((say("changed"), say("from"), say("to"), say("per month")), rows, 3)
    return Chart(say("What each promise costs"), svg, say("One figure changed at a time, each solved again."), table)


def _base(picture: Picture, best: Plan) -> int:
    """The cheapest plan as asked: the first stair, as another objective may rank a dearer one first."""
    first = picture.stairs[0].monthly_cents if picture.stairs else None
    return best.monthly_cents if first is None else first


def _cents(cents: int | None, currency: str, say: Say) -> str:
    return say("nothing keeps every promise") if cents is None else money(cents, currency)


def _frontier(points: Sequence[Point], currency: str, say: Say) -> Table:
    head = ("#", "hardware", "setup", "TTFT p95, s", "tokens/s", "per month")
    rows = [
        (
            str(number),
            f"{point.replicas * point.gpus}x {gpu_name(point.gpu)}",
            f"{point.weight_quant}, KV {point.kv_cache}, {point.split} x {point.replicas}",
            two_digits(point.ttft_p95_s),
            count(point.output_tokens_per_second),
            money(point.monthly_cents, currency),
        )
        for number, point in enumerate(points[:_FRONTIER_ROWS], 1)
    ]
    return Table(tuple(map(say, head)), tuple(rows), 3)


TOLD = (50.0, 90.0, 95.0, 99.0)
"""Percentiles of the table."""

_ROWS = 10
"""Moments of the table."""


@dataclass(frozen=True)
class ReplayChart:
    """A drawing of the replay of one group with the cells of its table."""

    title: str
    svg: str
    remark: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def replay_charts(plan: Plan, say: Say) -> Iterator[ReplayChart]:
    """Latencies against their limits, then queue and KV cache over time, of every group that was replayed."""
    groups = {one.workload: [g for g in plan.groups if g.workload == one.workload] for one in plan.simulated}
    for number, replay in enumerate(plan.simulated):
        footage = replay.footage
        if footage is None:
            continue
        suffix = _suffix(replay, groups[replay.workload], number, plan)
        yield _latencies(replay, footage, number, suffix, say)
        yield _occupancy(footage, number, suffix, say)


def _suffix(replay: Replay, groups: Sequence[Group], number: int, plan: Plan) -> str:
    """Which group is meant, where there are several."""
    if len(plan.simulated) == 1:
        return ""
    before = sum(one.workload == replay.workload for one in plan.simulated[:number])
    which = f" {before + 1}" if len(groups) > 1 else ""
    return f" - {plain(replay.workload)}{which}"


def _latencies(replay: Replay, footage: Footage, number: int, suffix: str, say: Say) -> ReplayChart:
    title = say("How latencies are spread in the replay") + suffix
    sides = ((Metric.TTFT, footage.ttft_s), (Metric.TPOT, footage.tpot_s))
    with drawing(7.2, 3.4) as figure:
        for axes, (metric, seconds) in zip(figure.subplots(1, 2, sharey=True), sides, strict=True):
            _spread(axes, metric, seconds, footage.percentiles, replay.promises, say)
        figure.axes[0].set_ylabel(say("% of requests at or below"))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        more = [pair for pair in zip(*figure.axes[1].get_legend_handles_labels(), strict=True) if pair[1] not in labels]
        figure.legend(
            [*handles, *(h for h, _ in more)],
            [*labels, *(label for _, label in more)],
            ncols=4,
            loc="outside lower center",
            fontsize=9,
        )
        text = "; ".join(_told(replay, metric, seconds, footage.percentiles) for metric, seconds in sides)
        svg = inline(figure, f"spread{number}", title, text)
    remark = say(
        "Share of requests that see at most this latency: the worst of the planned loads, median estimate; the dashed"
        " curve includes the safety margin, and at each promised percentile it must stay left of the limit."
    )
    if any(promise.length_class for promise in replay.promises):
        remark += " " + say("Each promise is about the requests of one length class, the curves are about all of them.")
    head = (say("latency"), *(percentile_name(p) for p in TOLD), say("promise"), say("with margin"))
    rows = tuple(_latency_row(replay, metric, seconds, footage.percentiles, say) for metric, seconds in sides)
    return ReplayChart(title, svg, remark, head, rows)


def _spread(
    axes: Any,
    metric: Metric,
    seconds: Sequence[float],
    percentiles: Sequence[float],
    promises: Sequence[ReplayedPromise],
    say: Say,
) -> None:
    """The share of requests below each latency; what is promised as dots against dashed lines."""
    mine = [promise for promise in promises if promise.metric is metric]
    factor, unit = latency_unit(min((p.limit_s for p in mine), default=None), seconds[-1])
    values = [value * factor for value in seconds]
    axes.plot(values, percentiles, "-", color=ACCENT, linewidth=1.8, label=say("replayed"))
    if mine:
        margin = mine[0].with_margin_s / mine[0].simulated_s
        axes.plot([v * margin for v in values], percentiles, "--", color=THIRD, linewidth=1.5, label=say("with margin"))
    for index, promise in enumerate(mine):
        label = say("promised limit") if index == 0 else None
        axes.axvline(promise.limit_s * factor, color=SECOND, linestyle="-.", linewidth=1.8, label=label)
        dot = promise.with_margin_s * factor
        axes.plot([dot], [promise.percentile], "D", color=SECOND, markersize=6, markeredgecolor=INK)
        axes.axhline(promise.percentile, color=SECOND, linestyle=":", linewidth=1)
    axes.set_xlim(0, 1.06 * max(axes.dataLim.x1, *(promise.limit_s * factor for promise in mine), 0.0))
    axes.set_ylim(0, 101)
    axes.set_xlabel(f"{metric_name(metric)}, {unit}")


def _told(replay: Replay, metric: Metric, seconds: Sequence[float], percentiles: Sequence[float]) -> str:
    parts = [f"{percentile_name(p)} {limit(_two(_at(seconds, percentiles, p)))}" for p in TOLD]
    stated = [f"{_percentile(p)} <= {limit(p.limit_s)}" for p in replay.promises if p.metric is metric]
    return f"{metric_name(metric)}: {', '.join(parts)}" + (f" ({', '.join(stated)})" if stated else "")


def _percentile(promise: ReplayedPromise) -> str:
    """``p95``; of a mix of length classes ``long p95``."""
    return plain(f"{promise.length_class} {percentile_name(promise.percentile)}")


def _latency_row(
    replay: Replay, metric: Metric, seconds: Sequence[float], percentiles: Sequence[float], say: Say
) -> tuple[str, ...]:
    mine = [promise for promise in replay.promises if promise.metric is metric]
    stated = "; ".join(f"{_percentile(p)} {limit(p.limit_s)}" for p in mine) or say("none")
    margins = "; ".join(f"{_percentile(p)} {limit(_two(p.with_margin_s))}" for p in mine)
    return (
        metric_name(metric),
        *(limit(_two(_at(seconds, percentiles, p))) for p in TOLD),
        stated,
        margins,
    )


def _at(seconds: Sequence[float], percentiles: Sequence[float], percentile: float) -> float:
    return seconds[list(percentiles).index(percentile)]


def _two(seconds: float) -> float:
    return float(f"{seconds:.3g}")


def _occupancy(footage: Footage, number: int, suffix: str, say: Say) -> ReplayChart:
    title = say("Queue and KV cache over time in the replay") + suffix
    percents = [100.0 * share for share in footage.kv_share]
    with drawing(7.2, 3.8) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        above.plot(footage.seconds, footage.running, "-", color=ACCENT, linewidth=1.5, label=say("being served"))
        above.fill_between(footage.seconds, footage.waiting, step="post", color=SECOND, alpha=0.85, linewidth=0)
        above.plot(footage.seconds, footage.waiting, "-", color=SECOND, linewidth=1.2, label=say("waiting"))
        above.set_ylabel(say("requests"))
        above.set_ylim(bottom=0)
        above.legend(loc="best", fontsize=9)
        below.plot(footage.seconds, percents, "-", color=FOURTH, linewidth=1.5)
        below.axhline(100.0, color=INK, linestyle="--", linewidth=1)
        below.set_ylim(0, 105)
        below.set_ylabel(say("% of KV cache"))
        below.set_xlabel(say("seconds"))
        peaks = (
            f"{say('waiting')}: {max(footage.waiting):,.0f}; {say('being served')}: {max(footage.running):,.0f}; "
            f"{say('KV cache of the fullest copy')}: {percent(max(footage.kv_share))}"
        )
        svg = inline(figure, f"fill{number}", title, f"{say('at most')} {peaks}")
    shown = (
        say("One copy of the model that always holds its share of the requests in flight.")
        if footage.held
        else say("All copies of the model together, with the planned users, who think before each question.")
        if footage.people
        else say("All copies of the model together, at the planned arrivals.")
    )
    remark = f"{shown} {say('The stretch around the longest wait for a first token; below, the fullest copy.')}"
    last = len(footage.seconds) - 1
    rows = tuple(
        (
            two_digits(footage.seconds[index]),
            f"{footage.waiting[index]:,.0f}",
            f"{footage.running[index]:,.0f}",
            percent(footage.kv_share[index]),
        )
        for index in sorted({round(step * last / _ROWS) for step in range(_ROWS + 1)})
    )
    highest = (f"{max(footage.waiting):,.0f}", f"{max(footage.running):,.0f}", percent(max(footage.kv_share)))
    head = (say("second"), say("waiting"), say("being served"), say("KV cache of the fullest copy"))
    return ReplayChart(title, svg, remark, head, (*rows, (say("at most"), *highest)))
