"""The table of the first screen: rows are decisions, columns are left out from the right of importance to fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from optimizer.plan.types import Group, OtherWinner, Outcome, Plan
from optimizer.report.bill import fractions
from optimizer.report.layout import Line, Say, Style
from optimizer.report.screen_words import NBSP, evidence, hardware, of_node
from optimizer.report.seen import SeenLatency, batch_hours, is_replayed, seen
from optimizer.report.widths import columns_of, padded, wrap
from optimizer.report.words import count, kv_name, percent, quant_name
from optimizer.units import CENTS_PER_UNIT, SHARE_UNITS

_NEXT = 3
"""Further rows of the ranking that are shown for being next; each on other hardware than those above it."""

_MORE = 1.05
"""How many times the load of the best another plan at its price carries to be worth a row."""

_GAP = 1
_TALLEST = 8
"""Lines of the table beyond which rows that are shown for being next are left out, the last first."""

_LEAST_HARDWARE = 16
_MOST_GROUPS = 6


@dataclass(frozen=True, slots=True)
class Row:
    """One decision: a plan, what stands in front of it, and why it is shown where its rank alone does not say."""

    name: str
    plan: Plan
    why: str = ""


@dataclass(frozen=True, slots=True)
class ScreenColumn:
    """A head and its cells; a column of a low ``keep`` is left out first."""

    title: str
    cells: tuple[str, ...]
    side: str = ">"
    keep: int = 9

    @property
    def width(self) -> int:
        """Of the widest cell."""
        return max(columns_of(cell) for cell in (self.title, *self.cells))

    def said(self, say: Say) -> ScreenColumn:
        """The column in the reader's language."""
        return replace(self, title=say(self.title), cells=tuple(say(cell) if cell else "" for cell in self.cells))


def decisions(outcome: Outcome) -> list[Row]:
    """The best, the next on other hardware, the best of what a buyer may insist on, and the winner under a stricter
    view of prices."""
    first, *rest = outcome.plans
    rows = [Row("1", first)]
    roomier = next((plan for plan in rest if _roomier(plan, first, outcome)), None)
    if roomier is not None:
        rows.append(Row(str(roomier.rank), roomier, f"#{roomier.rank}: for the same money, room for more load"))
    for plan in rest:
        if len(rows) <= _NEXT and _kind(plan) not in {_kind(row.plan) for row in rows}:
            rows.append(Row(str(plan.rank), plan))
    if len(rows) == 1:
        rows += [Row(str(plan.rank), plan) for plan in rest[:_NEXT]]
    wishes = _signable(outcome)
    for _, why, winner in wishes:
        if winner.plan is not None and winner.rank is not None and winner.rank not in {row.plan.rank for row in rows}:
            rows.append(Row(str(winner.rank), winner.plan, f"#{winner.rank}: {why}"))
    rows.sort(key=lambda row: row.plan.rank)
    rows += [Row(name, one.plan, f"{name}: {why}") for name, why, one in wishes if one.plan and one.rank is None]
    listed = outcome.others.at_list
    if listed is not None and listed.plan is not None and listed.rank is None:
        rows.append(Row("list", listed.plan, "list: at list prices and quotes alone"))
    return rows


def _roomier(plan: Plan, first: Plan, outcome: Outcome) -> bool:
    """Whether a plan costs what the best does and carries distinctly more; of latencies sought the best is the best."""
    if outcome.proof.objective != "minimize_cost":
        return False
    return plan.monthly_cents == first.monthly_cents and plan.load_factor > _MORE * first.load_factor


def _signable(outcome: Outcome) -> list[tuple[str, str, OtherWinner]]:
    """What a buyer may insist on: the cheapest that goes on with any one node gone, the cheapest of the best grade
    there is, where the first plan is not of it, and the cheapest with weights as published."""
    found: list[tuple[str, str, OtherWinner]] = []
    best = "cheapest" if outcome.proof.objective == "minimize_cost" else "best"
    published, graded = outcome.others.as_published, outcome.others.by_grade
    if outcome.others.surviving is not None:
        found.append(("N+1", "cheapest that goes on with any one node gone", outcome.others.surviving))
    if published is not None:
        found.append(("pub", "weights in the model's own format", published))
    if graded and graded[0][0] < outcome.plans[0].grade:
        found.append((graded[0][0], f"{best} of grade {graded[0][0]}", graded[0][1]))
    return found


def _kind(plan: Plan) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({(node.gpu, node.provider) for node in plan.nodes}))


def table(outcome: Outcome, rows: Sequence[Row], width: int, say: Say = str) -> list[Line]:
    """The rows at a width, the best one stressed; below it why a row is shown that is not simply the next."""
    plans = [row.plan for row in rows]
    columns = [
        ScreenColumn("#", tuple(row.name for row in rows)),
        ScreenColumn(f"{_sign(outcome.currency)}/month", tuple(_whole(plan.monthly_cents) for plan in plans)),
        *_per_million(outcome.currency, plans),
        *_owed(plans),
        ScreenColumn("hardware, who", tuple(hardware(plan) for plan in plans), "<"),
        ScreenColumn("weights", tuple(_weights(plan) for plan in plans), "<", 7),
        *_layouts(plans),
        *_latencies(outcome, plans),
        *_room(outcome, plans),
        *_one_gone(plans),
        *_prices(plans),
        ScreenColumn("gr", tuple(plan.grade for plan in plans), "<", 8),
    ]
    lines = laid_out(columns, "hardware, who", width, say)
    while len(lines) > _TALLEST and (extra := next((row for row in reversed(rows[1:]) if not row.why), None)):
        return table(outcome, [row for row in rows if row is not extra], width, say)
    notes = "; ".join([row.why for row in rows if row.why] + _skipped(outcome, rows))
    return lines + [
        Line(text, Style.QUIET) for text in wrap(say(notes) if notes else "", width, break_words=True, hyphens=True)
    ]


def _skipped(outcome: Outcome, rows: Sequence[Row]) -> list[str]:
    """Ranks between those that are shown, and why they are not: on hardware of a row above, or for want of room."""
    shown = {plan.rank for plan in (row.plan for row in rows if row.name.isdigit())}
    kinds = {_kind(row.plan) for row in rows}
    left = [plan for plan in outcome.plans if plan.rank < max(shown, default=0) and plan.rank not in shown]
    alike = [f"#{plan.rank}" for plan in left if _kind(plan) in kinds]
    others = [f"#{plan.rank}" for plan in left if _kind(plan) not in kinds]
    told = [f"{', '.join(alike)}: hardware of a row above"] if alike else []
    return told + ([f"{', '.join(others)}: --full"] if others else [])


def laid_out(columns: Sequence[ScreenColumn], wide: str, width: int, say: Say = str) -> list[Line]:
    """Columns beside each other; the one titled ``wide`` takes what is left and goes on below itself."""
    shown, wide = [one.said(say) for one in columns], say(wide)
    while len(shown) > 1 and _narrowest(shown, wide) > width:
        shown.remove(min((one for one in shown if one.title != wide), key=lambda one: one.keep))
    others = sum(one.width + _GAP for one in shown if one.title != wide)
    room = max(_LEAST_HARDWARE, width - others)
    table = []
    for number in range(-1, len(columns[0].cells)):
        cells = [one.title if number < 0 else one.cells[number] for one in shown]
        folded = [
            wrap(cell, room, break_words=True) or [""] if one.title == wide else [cell]
            for one, cell in zip(shown, cells, strict=True)
        ]
        style = Style.HEADING if number < 0 else Style.STRONG if number == 0 else Style.PLAIN
        table.append((folded, style))
    place = next(number for number, one in enumerate(shown) if one.title == wide)
    taken = max(columns_of(piece) for folded, _ in table for piece in folded[place])
    sizes = [taken if one.title == wide else one.width for one in shown]
    lines = []
    for folded, style in table:
        for height in range(max(map(len, folded))):
            pieces = [cell[height] if height < len(cell) else "" for cell in folded]
            text = " ".join(
                padded(piece, size, one.side) for piece, one, size in zip(pieces, shown, sizes, strict=True)
            )
            lines.append(Line(text.replace(NBSP, " ").rstrip(), style))
    return lines


def _narrowest(columns: Sequence[ScreenColumn], wide: str) -> int:
    return sum(min(one.width, _LEAST_HARDWARE) if one.title == wide else one.width for one in columns) + _GAP * (
        len(columns) - 1
    )


def _sign(currency: str) -> str:
    return "$" if currency == "USD" else currency


def _whole(cents: int) -> str:
    return f"{(cents + CENTS_PER_UNIT // 2) // CENTS_PER_UNIT:,}"


def _per_million(currency: str, plans: Sequence[Plan]) -> list[ScreenColumn]:
    costs = [plan.cost_per_million_output_tokens for plan in plans]
    if all(cost is None for cost in costs):
        return []
    cells = tuple("-" if cost is None else f"{fractions(cost):,.2f}" if cost >= 0.1 else f"{fractions(cost):.4f}"
                  for cost in costs)  # fmt: skip
    return [ScreenColumn(f"{_sign(currency)}/M", cells, keep=6)]


def _owed(plans: Sequence[Plan]) -> list[ScreenColumn]:
    owed = [plan.owed.now_cents for plan in plans]
    keep = 7 if owed[0] else 4  # where only a row further down is a commitment, room for more load says more
    return [ScreenColumn("owed", tuple(_whole(cents) for cents in owed), keep=keep)] if any(owed) else []


def _weights(plan: Plan) -> str:
    formats = list(dict.fromkeys(quant_name(group.weight_quant) for group in plan.groups))
    return formats[0] if len(formats) == 1 else "mixed"


def simple(plan: Plan) -> bool:
    """Whether one latency of a kind says it all: one workload, no length classes."""
    return len(plan.predicted) == 1 and not any(one.length_class for one in plan.predicted[0].promises)


def _layouts(plans: Sequence[Plan]) -> list[ScreenColumn]:
    """How the model is split, where hardware and weights alone do not tell the rows apart."""
    if len({(hardware(plan), _weights(plan)) for plan in plans}) == len(plans) or any(len(p.groups) > 1 for p in plans):
        return []
    return [ScreenColumn("layout", tuple(_layout(plan.groups[0]) for plan in plans), "<", 7)]


def _layout(group: Group) -> str:
    """``TP2 x 4``, ``TP4 PP2 x 1 KV FP8``."""
    kv = "" if group.kv_cache == "auto" else f" {kv_name(group.kv_cache)}"
    kv += " + host" if group.host_kv_gib else ""
    return f"{group.split} x {group.replicas:,}{kv}"


def _latencies(outcome: Outcome, plans: Sequence[Plan]) -> list[ScreenColumn]:
    """One column per latency of the only workload: the percentile that runs closest to its limit; bands if they fit."""
    if not all(simple(plan) for plan in plans):
        return []
    hours = [list(batch_hours(plan).values()) for plan in plans]
    if all(hours):
        return [ScreenColumn("h/run", tuple(count(found[0][0]) for found in hours), keep=6)]
    if all(one.hours_per_month is not None and not one.promises for one in outcome.asked):
        return []
    chosen: dict[str, SeenLatency] = {}
    for one in seen(plans[0]):
        if str(one.metric) not in chosen or one.closeness > chosen[str(one.metric)].closeness:
            chosen[str(one.metric)] = one
    columns = []
    for number, one in enumerate(chosen.values()):
        mine = [_same(one, plan) for plan in plans]
        columns.append(ScreenColumn(one.title, tuple("-" if s is None else s.value() for s in mine), keep=7))
        bands = tuple("" if s is None else s.band() for s in mine)
        if any(bands) and one.limit_s is not None:
            columns.append(ScreenColumn("90 %", bands, keep=2 - number))
    return columns


def _same(one: SeenLatency, plan: Plan) -> SeenLatency | None:
    mine = (other for other in seen(plan) if (other.metric, other.percentile) == (one.metric, one.percentile))
    return next(mine, None)


def _room(outcome: Outcome, plans: Sequence[Plan]) -> list[ScreenColumn]:
    if outcome.proof.objective == "maximize_load":
        if not all(simple(plan) for plan in plans):
            return [ScreenColumn("load", tuple(f"{count(plan.load_factor)}x" for plan in plans), keep=6)]
        carried = [plan.predicted[0].capacity for plan in plans]
        return [
            ScreenColumn("in flight", tuple(count(one.concurrency) for one in carried), keep=6),
            ScreenColumn("tok/s", tuple(count(one.output_tokens_per_second) for one in carried), keep=5),
        ]
    return [ScreenColumn("room", tuple(room(plan) for plan in plans), keep=5)]


def room(plan: Plan) -> str:
    """More of the planned load that fits: ``+22 %``, ``x3.1``."""
    more = plan.load_factor - 1
    if more >= 2:
        return f"x{count(plan.load_factor)}"
    return f"+{percent(more)}" if more >= 0.0005 else "+0 %"


def _one_gone(plans: Sequence[Plan]) -> list[ScreenColumn]:
    """Whether the plan goes on with any one node gone."""
    cells = tuple(one_gone(plan) for plan in plans)
    return [ScreenColumn("1 gone", cells, "<", 4)] if any(cells) else []


def one_gone(plan: Plan) -> str:
    """``holds``: every promise, nothing started again; ``spare``: once its replicas run on a spare node; ``breaks``: a
    promise, though something is left; ``stops``: nothing is left that serves a workload."""
    if plan.without_a_node is None:
        return ""
    if plan.without_a_node:
        return "holds"
    nothing = any(one.replicas == 0 for one in plan.remainder)
    return "spare" if any(node.spare for node in plan.nodes) else "stops" if nothing else "breaks"


def _prices(plans: Sequence[Plan]) -> list[ScreenColumn]:
    return [ScreenColumn("price", tuple(evidence(plan) for plan in plans), "<", 6)]


def served(plan: Plan, width: int, say: Say = str) -> list[Line]:
    """Who runs where and sees what under the first plan, where one row cannot say it."""
    if simple(plan) and (len(plan.groups) == 1 or plan.has_pools):
        return []
    groups = plan.groups[:_MOST_GROUPS]
    names, where, sizes, promised = [], [], [], []
    hours = batch_hours(plan)
    latencies = seen(plan)
    told: set[str] = set()
    for group in groups:
        share = group.class_share * group.share / SHARE_UNITS
        names.append(group.workload + (f" ({percent(share)})" if share < 1 else ""))
        nodes = [node for node in plan.nodes if node.offer_id == group.offer_id]
        gpus = group.gpus * group.replicas
        where.append(f"{gpus:,}x {of_node(nodes[0]).partition('x ')[2].partition(' (')[0]}" if nodes else f"{gpus:,}x")
        sizes.append(quant_name(group.weight_quant))
        parts = [] if group.workload in told else [
            f"{one.length_class} {one.title}".strip().replace(" ", NBSP) + f"{NBSP}{one.of()}"
            for one in latencies
            if one.workload == group.workload and (one.limit_s is not None or not hours)
        ]  # fmt: skip
        if group.workload in hours and group.workload not in told:
            parts = [f"a run takes {count(hours[group.workload][0])} of {count(hours[group.workload][1])} h"]
        promised.append(", ".join(parts))
        told.add(group.workload)
    head = "replayed" if is_replayed(plan) else "estimated"
    columns = [
        ScreenColumn("#1 serves", tuple(names), "<"),
        ScreenColumn("on", tuple(where), "<", 8),
        ScreenColumn("weights", tuple(sizes), "<", 7),
        ScreenColumn(head, tuple(promised), "<"),
    ]
    lines = laid_out(columns, head, width, say)
    lines = [Line(line.text, Style.HEADING if number == 0 else Style.PLAIN) for number, line in enumerate(lines)]
    rest = len(plan.groups) - len(groups)
    return lines + ([Line(say(f"and {rest} more (--full)"), Style.QUIET)] if rest else [])
