"""The charts of a report. No computation: points, stairs and bytes come from the outcome and its picture.

A figure of matplotlib as inline SVG: text stays text, colours are the page's variables, ids are its own.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from optimizer.handover.language import need
from optimizer.problem import place_of
from optimizer.report.plans import promise_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from optimizer.negotiate.page_curves import Picture, Point, Stair
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
    for number, (across, cost) in enumerate(zip(*line, strict=True), 1):
        if cost <= min(costs) * DEAREST:
            beside = {"xytext": (5, 5), "textcoords": "offset points", "fontsize": 9, "fontweight": "bold"}
            axes.annotate(str(number), (across, cost), color=INK, **beside)
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


def stretches(stairs: Sequence[Stair]) -> list[tuple[Stair, Stair]]:
    """First and last of the neighbours of one cost."""
    runs = (list(run) for _, run in groupby(stairs, key=lambda stair: stair.monthly_cents))
    return [(run[0], run[-1]) for run in runs]


def is_exact(stairs: Sequence[Stair]) -> bool:
    """Whether every step is known to a hundredth of the load."""
    return all(before.goes_on_in(after) for before, after in pairwise(stairs))


def staircase(stairs: Sequence[Stair], currency: str, name: str, say: Say) -> str:
    """Cost of the cheapest plan as the load grows."""
    known = [(stair.factor, stair.monthly_cents / 100) for stair in stairs if stair.monthly_cents is not None]
    with drawing(7.2, 3.0) as figure:
        axes = figure.subplots()
        line = "-" if is_exact(stairs) else "-o"
        axes.step([x for x, _ in known], [y for _, y in known], line, where="pre", color=ACCENT, markersize=4)
        for first, _ in stretches(stairs):
            if first.monthly_cents is None:
                axes.axvline(first.factor, color=SECOND, linestyle=":")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(say("times the planned load"))
        axes.set_ylabel(f"{currency} / {say('month')}")
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(6))  # signed amounts are wide
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        text = ", ".join(f"{x:g}x: {y:,.0f}" for x, y in known)
        return inline(figure, name, say("Cost of the cheapest plan as the load grows"), text)


def changed_name(path: str) -> str:
    """What was changed, in words: ``TTFT p95``, ``confidence``."""
    return promise_name(path) if place_of(path).section in ("slo", "traffic") else place_of(path).key


def changed_value(path: str, value: float) -> str:
    """A figure of that place with its unit: ``500 ms``."""
    unit = {"ms": " ms", "s": " s"}.get(place_of(path).key.rpartition("_")[2], "")
    return f"{value:,.6g}{unit}"


def sensitivity(picture: Picture, base_cents: int, currency: str, name: str, say: Say) -> str:
    """Change of the monthly cost for each changed promise."""
    turns = [turn for turn in picture.turns if turn.monthly_cents is not None]
    labels = [f"{say(changed_name(turn.path))} {changed_value(turn.path, turn.after)}" for turn in turns]
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


INK, LINE, MUTED, ACCENT, SECOND, THIRD, FOURTH = (f"#0{n}0{n}0{n}" for n in range(1, 8))
"""Stand-ins while drawing; each becomes a CSS variable, so that light and dark need no second drawing."""

_VARIABLES = {
    INK: "ink", LINE: "line", MUTED: "muted", ACCENT: "accent", SECOND: "second", THIRD: "third", FOURTH: "fourth",
}  # fmt: skip
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "optimizer",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
}


def drawing(width: float = 7.2, height: float = 3.6) -> Any:
    """A figure in the page's style, without any global state of matplotlib; use as ``with drawing() as figure``."""
    return _Drawing(width, height)


class _Drawing:
    def __init__(self, width: float, height: float) -> None:
        self._matplotlib: Any = need("matplotlib")
        need("matplotlib.backends.backend_svg")
        self._context = self._matplotlib.rc_context(_STYLE)
        self._size = (width, height)

    def __enter__(self) -> Figure:
        self._context.__enter__()
        from matplotlib.figure import Figure

        return Figure(figsize=self._size, layout="constrained")

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)


def inline(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an ``<svg>`` element that a screen reader can name; call it inside ``drawing()``."""
    stream = io.StringIO()
    with warnings.catch_warnings():  # text stays text: the reader's fonts draw it, whatever this machine's lack
        warnings.filterwarnings("ignore", message=r"Glyph \d+ ")
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(url\(|xlink:href=")#', rf"\1#{name}-", text)
    text = re.sub(r"font:[^;\"]*?(\d+(?:\.\d+)?)px[^;\"]*", r"font-size: \1px", text)
    text = re.sub(r"font-family:[^;\"]*;?", "", text)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, f"var(--{variable})")
    head, _, rest = text.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    label = f'role="img" aria-labelledby="{name}-title {name}-desc" class="chart"'
    names = f'<title id="{name}-title">{_escaped(title)}</title><desc id="{name}-desc">{_escaped(description)}</desc>'
    return f"{head} {label}>{names}{rest}".strip()


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)
