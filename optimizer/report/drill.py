"""The failure drill in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.report.words import columns, exact, gpu_name, paragraph, percent, plural, two_digits

if TYPE_CHECKING:
    from optimizer.planning.drill import Course, GroupDrill, Phase


def render_drill(name: str, rank: int, minutes: float, router: str, groups: Sequence[GroupDrill]) -> str:
    """The whole answer as text."""
    away = f"{exact(minutes)} {'minute' if minutes == 1 else 'minutes'}"
    head = f"Drill: a node of plan #{rank} ({name}) dies and is back after {away}; router: {router.replace('_', ' ')}"
    lines = list(paragraph(head, indent=""))
    for group in groups:
        lines += ["", *_group(group)]
    lines += [
        "",
        *paragraph("TTFT counts from the first sending, so a request that was sent again shows its whole wait."),
    ]
    if any(group.share < 1.0 for group in groups):
        lines += paragraph("Replicas of one kind stand in for each other only: the other kind keeps its own share.")
    return "\n".join(lines) + "\n"


def _group(group: GroupDrill) -> list[str]:
    calm = group.without_spare
    lost = calm.replicas - calm.left
    what = "the promised TTFT" if group.promised else "twice the calm TTFT p99"
    head = (
        f"{group.workload}{_which(group)}: {two_digits(group.rate)} requests/s on "
        f"{plural(calm.replicas, 'replica')}, {lost} on the "
        f"node; late is above {what} of {_seconds(group.limit_s)}"
    )
    rows: list[tuple[str, ...]] = [
        ("", "before", "while down", "after", "late while down", "sent again", "calm again after")
    ]
    for label, course in (("without a spare node", group.without_spare), ("with a spare node", group.with_spare)):
        rows.append((label, *_row(course)))
    return [*paragraph(head, indent=""), "  TTFT p99:", *columns(rows, "<>>>>>>")]


def _which(group: GroupDrill) -> str:
    """The kind of GPU, where several share the workload."""
    return f", {percent(group.share)} of it on {gpu_name(group.gpu)}" if group.share < 1.0 else ""


def _row(course: Course) -> tuple[str, ...]:
    phases = (course.before, course.down, course.after)
    down = course.down
    share = percent(down.late / down.requests) if down.requests else "-"
    return (
        *(_p99(phase) for phase in phases),
        f"{down.late:,} ({share})",
        f"{course.resent:,}",
        _seconds(course.recovered_s) if course.recovered_s else "at once",
    )


def _p99(phase: Phase) -> str:
    return _seconds(phase.ttft_p99) if math.isfinite(phase.ttft_p99) else "-"


def _seconds(value: float) -> str:
    return f"{two_digits(value)} s" if value < 100 else f"{value:,.0f} s"
