"""The failure drill in words and as JSON: the same figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.demand import Metric
from optimizer.report.json_plan import Json, Money, dump, served
from optimizer.report.layout import BLANK, Block, Name, Passage, Rows, Say, drawn
from optimizer.report.words import exact, gpu_name, money, percent, plural, promise_of, two_digits

if TYPE_CHECKING:
    from optimizer.plan.types import Plan
    from optimizer.planning.drill import Course, GroupDrill, PromiseSeen

_MS = 1e3


@dataclass(frozen=True, slots=True)
class Drilled:
    """What was drilled and what came out."""

    name: str
    plan: Plan
    minutes: float
    router: str
    groups: Sequence[GroupDrill]
    site: bool = False

    @property
    def what(self) -> str:
        """That died."""
        return "site" if self.site else "node"

    def holds(self, *, spare: bool) -> bool:
        """Whether every promise is kept meanwhile."""
        return all((one.with_spare if spare else one.without_spare).holds for one in self.groups)

    @property
    def reserve_cents(self) -> int:
        """What the plan's spare nodes cost a month, or what one would."""
        return sum(node.spare_cents for node in self.plan.nodes) or self.plan.spare_node_cents

    @property
    def has_spare(self) -> bool:
        """Whether the plan has spare nodes."""
        return any(node.spare for node in self.plan.nodes)


def drill_json(told: Drilled) -> str:
    """``optimize drill --format json``: TTFT and TPOT in milliseconds, E2E in seconds; null: nobody arrived."""
    return dump(
        {
            "plan": told.plan.rank,
            "hours": told.minutes / 60.0,
            "workloads": [_document(one, one.without_spare) for one in told.groups],
            "with_spare": {
                "workloads": [_document(one, one.with_spare) for one in told.groups],
                "monthly_cost": Money(told.reserve_cents) if told.has_spare else None,
                "holds": told.holds(spare=True),
            },
            "holds": told.holds(spare=False),
        }
    )


def _document(group: GroupDrill, course: Course) -> dict[str, Json]:
    return {
        **served(group.workload, group.length_class),
        "replicas": course.replicas,
        "replicas_lost": course.lost,
        "promises": [
            {
                "promise": one.promise.path,
                "limit": one.promise.limit_s * _scale(one),
                "before": _told(one.before * _scale(one)),
                "away": _told(one.away * _scale(one)),
                "after": _told(one.after * _scale(one)),
                "holds": one.holds,
            }
            for one in course.promises
        ],
        "late_requests": course.down.late,
        "lost_requests": course.resent,
        "errors": course.errors,
    }


def _scale(one: PromiseSeen) -> float:
    return 1.0 if one.promise.metric is Metric.E2E else _MS


def _told(value: float) -> float | None:
    return value if math.isfinite(value) else None


def render_drill(told: Drilled, say: Say = str) -> str:
    """The whole answer as text."""
    length = told.minutes if told.minutes < 60 else told.minutes / 60
    away = plural_of(length, "minute" if told.minutes < 60 else "hour")
    head = (
        f"Drill: a {told.what} of plan #{told.plan.rank}",
        Name(f" ({told.name})"),
        f" dies and is back after {away}",
        "; ",
        f"router: {told.router.replace('_', ' ')}",
    )
    blocks: list[Block] = [Passage(head, indent="")]
    for group in told.groups:
        blocks += [BLANK, *_group(group, told.what)]
    blocks += [BLANK, Passage(_verdict(told))]
    blocks.append(
        Passage("Requests lost with the node and sent again are counted by themselves, in none of the columns.")
    )
    if any(group.share < 1.0 for group in told.groups):
        blocks.append(Passage("Replicas of one kind stand in for each other only: the other kind keeps its own share."))
    return "\n".join(line.text for line in drawn(blocks, say)) + "\n"


def plural_of(value: float, unit: str) -> str:
    """``1 minute``, ``2.5 hours``."""
    return f"{exact(round(value, 6))} {unit}{'' if value == 1 else 's'}"


def _verdict(told: Drilled) -> str:
    """Whether the promises hold, and what the money for a spare node buys."""
    without, spared = told.holds(spare=False), told.holds(spare=True)
    cost = f"{money(told.reserve_cents, told.plan.currency)} a month"
    if without and told.has_spare:
        return (
            f"Every promise holds while the {told.what} is away, without the spare nodes: the {cost} that they cost "
            "buy full strength meanwhile, no promise."
        )
    if without:
        return f"Every promise holds while the {told.what} is away: nothing has to stand by for it."
    least = f"Not every promise holds while the {told.what} is away"
    if told.has_spare:
        return f"{least}; with the spare nodes, {cost}, {'every one does' if spared else 'not either'}."
    asks = f"margins.survive: {told.what}"
    with_one = "with spare nodes every one does" if spared else "with spare nodes not either"
    return f"{least}; {with_one} (one more node costs {cost}). {asks} plans for it."


def _group(group: GroupDrill, what: str) -> list[Block]:
    calm = group.without_spare
    late = "the promised TTFT" if group.promised else "twice the calm TTFT p99"
    head = (
        f"{group.workload}{_which(group)}: ",
        _load(group),
        " on ",
        plural(calm.replicas, "replica"),
        ", ",
        f"{calm.lost} on the {what}",
        "; ",
        f"late is above {late} of {_seconds(group.limit_s)}",
    )
    blocks: list[Block] = [Passage(head, indent="")]
    for label, course in (("without spare nodes", group.without_spare), ("with spare nodes", group.with_spare)):
        rows: list[tuple[str, ...]] = [(label, "limit", "before", "while away", "after", "")]
        rows += [_promise(one) for one in course.promises]
        phases = (course.before, course.down, course.after)
        rows.append(("TTFT p99", "-", *(_seconds(phase.ttft_p99) for phase in phases), ""))
        blocks += [Rows(tuple(rows), "<>>>><"), Passage("; ".join(_counts(course)), indent="    ")]
    return blocks


def _load(group: GroupDrill) -> str:
    """Every load that is promised, each run by itself."""
    rate = [f"{two_digits(group.rate)} requests/s"] if group.rate else []
    return " or ".join([*rate, *([f"{group.held:,} in flight"] if group.held else [])])


def _promise(one: PromiseSeen) -> tuple[str, ...]:
    promise = one.promise
    name = promise_of(promise.metric, promise.percentile, promise.length_class)
    values = (promise.limit_s, one.before, one.away, one.after)
    return (name, *(_latency(value, promise.metric) for value in values), "holds" if one.holds else "breaks")


def _counts(course: Course) -> Iterator[str]:
    down = course.down
    share = f" ({percent(down.late / down.requests)})" if down.requests else ""
    yield f"{down.late:,} of {plural(down.requests, 'request')} late while away{share}"
    yield f"{course.resent:,} lost with it and sent again"
    yield f"{plural(course.errors, 'error')}: no replica to take a request" if course.errors else "no errors"
    yield f"calm again after {_seconds(course.recovered_s)}" if course.recovered_s else "calm again at once"


def _which(group: GroupDrill) -> str:
    """The kind of GPU, where several share the workload."""
    return f", {percent(group.share)} of it on {gpu_name(group.gpu)}" if group.share < 1.0 else ""


def _latency(value: float, metric: Metric) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{two_digits(value * _MS)} ms" if metric is Metric.TPOT else _seconds(value)


def _seconds(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{two_digits(value)} s" if value < 100 else f"{value:,.0f} s"
