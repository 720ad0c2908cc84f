"""The charts of a report. No computation: points, stairs and bytes come from the outcome and its picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from optimizer.handover.page.svg import ACCENT, FOURTH, INK, LINE, MUTED, SECOND, THIRD, drawing, inline
from optimizer.problem import place_of

if TYPE_CHECKING:
    from optimizer.decide.picture import Picture, Point, Stair
    from optimizer.plan.types import Group

Say = Callable[[str], str]

DEAREST = 30
"""Points that cost more than so many times the cheapest are counted, not drawn: they would squeeze the rest."""

_LOG_FROM = 8


def frontier_of(points: Sequence[Point], value: Callable[[Point], float]) -> list[Point]:
    """Points that no other beats in both cost and ``value`` (smaller is better), cheapest first."""
    best = math.inf
    frontier = []
    for point in sorted(points, key=lambda one: (one.monthly_cents, value(one))):
        if value(point) < best:
            best = value(point)
            frontier.append(point)
    return frontier


def cost_against_ttft(points: Sequence[Point], limit_s: float | None, currency: str, name: str, say: Say) -> str:
    """Every feasible configuration: monthly cost against TTFT p95, with the frontier and the promise."""
    shown = [point for point in points if math.isfinite(point.ttft_p95_s)]
    frontier = frontier_of(shown, lambda point: point.ttft_p95_s)
    with drawing() as figure:
        axes = figure.subplots()
        _scatter(axes, shown, frontier, lambda point: point.ttft_p95_s, say)
        axes.set_xscale("log")
        _plain_ticks(axes.xaxis)
        if limit_s is not None:
            axes.axvline(limit_s, color=SECOND, linestyle="--", linewidth=1.5, label=say("promised limit"))
        _finish(axes, say("TTFT p95, seconds (median estimate)"), currency, say)
        text = f"{len(shown)} {say('configurations')}, {len(frontier)} {say('on the frontier')}"
        return inline(figure, name, say("Monthly cost against time to first token"), text)


def cost_against_throughput(points: Sequence[Point], currency: str, name: str, say: Say) -> str:
    """Every feasible configuration: monthly cost against the output tokens per second it carries."""
    frontier = frontier_of(points, lambda point: -point.output_tokens_per_second)
    with drawing() as figure:
        axes = figure.subplots()
        _scatter(axes, points, frontier, lambda point: point.output_tokens_per_second, say)
        axes.set_xscale("log")
        _plain_ticks(axes.xaxis)
        _finish(axes, say("output tokens per second that it carries"), currency, say)
        text = f"{len(points)} {say('configurations')}, {len(frontier)} {say('on the frontier')}"
        return inline(figure, name, say("Monthly cost against throughput"), text)


def _scatter(
    axes: Any, points: Sequence[Point], frontier: Sequence[Point], value: Callable[[Point], float], say: Say
) -> None:
    """All points small and round, those of the frontier large, square and joined: told apart without colour."""
    costs = [point.monthly_cents / 100 for point in points]
    axes.plot([value(p) for p in points], costs, "o", color=MUTED, markersize=3.5, alpha=0.55, label=say("feasible"))
    line = [value(point) for point in frontier], [point.monthly_cents / 100 for point in frontier]
    axes.plot(*line, "-s", color=ACCENT, markersize=6, linewidth=1.5, label=say("frontier"))
    if points and max(costs) > _LOG_FROM * min(costs) > 0:
        axes.set_yscale("log")
        axes.set_ylim(min(costs) / 1.3, min(max(costs), min(costs) * DEAREST) * 1.3)
        _plain_ticks(axes.yaxis)
    else:
        axes.set_ylim(bottom=0)


def _plain_ticks(axis: Any) -> None:
    """Numbers as people write them, at 1, 2 and 5 of each power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def _finish(axes: Any, label: str, currency: str, say: Say) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.set_xlabel(label)
    axes.set_ylabel(f"{currency} / {say('month')}")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.legend(loc="best", fontsize=9)


def memory_bar(group: Group, name: str, say: Say) -> str:
    """Memory of the fullest GPU as one stacked bar."""
    bill = group.memory
    parts = (
        (say("weights"), bill.weights, ACCENT, ""),
        (say("KV cache"), bill.kv_cache, SECOND, "//"),
        (say("activations"), bill.activations, THIRD, ".."),
        (say("engine and buffers"), bill.overhead, FOURTH, "xx"),
    )
    with drawing(7.2, 2.0) as figure:
        axes = figure.subplots()
        left = 0.0
        for label, size, colour, hatch in parts:
            axes.barh([0], [size], left=[left], color=colour, hatch=hatch, edgecolor=LINE, label=f"{label} {size:,.1f}")
            left += size
        axes.set_yticks([])
        axes.grid(False)
        axes.set_xlabel(f"GiB, {say('usable')} {bill.usable:,.1f}")
        figure.legend(ncols=2, loc="outside lower center", fontsize=9)
        text = ", ".join(f"{label} {size:,.1f} GiB" for label, size, _, _ in parts)
        return inline(figure, name, say("Memory of the fullest GPU"), text)


def staircase(stairs: Sequence[Stair], currency: str, name: str, say: Say) -> str:
    """Cost of the cheapest plan as the load grows."""
    known = [(stair.factor, stair.monthly_cents / 100) for stair in stairs if stair.monthly_cents is not None]
    with drawing(7.2, 3.0) as figure:
        axes = figure.subplots()
        axes.step([x for x, _ in known], [y for _, y in known], "-o", where="pre", color=ACCENT, markersize=4)
        for stair in stairs:
            if stair.monthly_cents is None:
                axes.axvline(stair.factor, color=SECOND, linestyle=":")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(say("times the planned load"))
        axes.set_ylabel(f"{currency} / {say('month')}")
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(6))  # signed amounts are wide
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        text = ", ".join(f"{x:g}x: {y:,.0f}" for x, y in known)
        return inline(figure, name, say("Cost of the cheapest plan as the load grows"), text)


def _short(path: str) -> str:
    """The keys of a promise, without the workload's: ``slo.ttft_ms.p95``, ``confidence``."""
    place = place_of(path)
    return ".".join(place.keys[2:]).replace(".*", f".{place.length_class}") if place.workload else place.key


def sensitivity(picture: Picture, base_cents: int, currency: str, name: str, say: Say) -> str:
    """Change of the monthly cost for each changed promise."""
    turns = [turn for turn in picture.turns if turn.monthly_cents is not None]
    labels = [f"{_short(turn.path)} {turn.after:,.6g}" for turn in turns]
    changes = [(turn.monthly_cents or 0) / 100 - base_cents / 100 for turn in turns]
    with drawing(7.2, 0.9 + 0.32 * len(turns)) as figure:
        axes = figure.subplots()
        colours = [SECOND if change > 0 else ACCENT for change in changes]
        axes.barh(range(len(turns)), changes, color=colours, height=0.6)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(range(len(turns)), labels)
        axes.invert_yaxis()
        axes.set_xlabel(f"{say('change in')} {currency} / {say('month')}")
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(6))  # signed amounts are wide
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+,.10g}" if value else "0"))
        text = ", ".join(f"{label}: {change:+,.0f}" for label, change in zip(labels, changes, strict=True))
        return inline(figure, name, say("What each promise costs"), text)
