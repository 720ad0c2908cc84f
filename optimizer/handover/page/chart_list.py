"""The drawings of a page, each with the table that says the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.handover.names import plain
from optimizer.handover.page import charts
from optimizer.handover.page.replay_charts import replay_charts
from optimizer.report.words import count, gpu_name, money, two_digits

if TYPE_CHECKING:
    from optimizer.decide.picture import Picture, Point
    from optimizer.handover.page.charts import Say
    from optimizer.plan.types import Asked, Group, Outcome, Plan

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
    rows = tuple((f"{stair.factor:g}x", _cents(stair.monthly_cents, currency, say)) for stair in picture.stairs)
    remark = say("Each dot was solved again; between the dots the step may be elsewhere.")
    table = Table((say("load"), say("per month")), rows, 2)
    return Chart(say("What more load costs"), charts.staircase(picture.stairs, currency, "stairs", say), remark, table)


def _turns(picture: Picture, best: Plan, currency: str, say: Say) -> Chart:
    rows = tuple(
        (plain(turn.path), f"{turn.before:,.6g}", f"{turn.after:,.6g}", _cents(turn.monthly_cents, currency, say))
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
    head = ("hardware", "setup", "TTFT p95, s", "tokens/s", "per month")
    rows = [
        (
            f"{point.replicas * point.tensor_parallel * point.pipeline_parallel}x {gpu_name(point.gpu)}",
            f"{point.weight_quant}, KV {point.kv_cache}, {_split(point)} x {point.replicas}",
            two_digits(point.ttft_p95_s),
            count(point.output_tokens_per_second),
            money(point.monthly_cents, currency),
        )
        for point in points[:_FRONTIER_ROWS]
    ]
    return Table(tuple(map(say, head)), tuple(rows), 3)


def _split(point: Point) -> str:
    return f"TP{point.tensor_parallel}" + (f" PP{point.pipeline_parallel}" if point.pipeline_parallel > 1 else "")
