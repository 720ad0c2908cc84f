"""The Cost sheet: every line of every ranked plan, per month and over 1, 3 and 5 years, all by formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.handover.shortlist.cells import Cell, Look, Sheet, money, total_of
from optimizer.handover.shortlist.cost_lines import LiveLine, counted_lines
from optimizer.units import to_cents

if TYPE_CHECKING:
    from optimizer.handover.shortlist.inputs_sheet import InputCells, Say
    from optimizer.handover.shortlist.priced import Case
    from optimizer.plan.types import Plan

YEARS = (1, 3, 5)


@dataclass(frozen=True)
class PlanTotals:
    """Where a plan's totals stand and what they are: per month, then per horizon."""

    refs: tuple[str, ...]
    cents: tuple[int, ...]


def cost_sheet(case: Case, at: InputCells, say: Say) -> tuple[Sheet, dict[int, PlanTotals]]:
    """Build the sheet; totals by rank."""
    sheet = Sheet(say("Cost"), (6, 50, 22, 7, 15, 15, 15, 16, 16))
    sheet.title_row(say("Cost over 1, 3 and 5 years"))
    sheet.note(
        say("Rent is continued at the same price after a commitment ends; a purchase is charged until its term ends.")
    )
    sheet.note(f"{say('Amounts in')} {case.terms.currency}.")
    sheet.gap()
    horizons = [f"{years} {say('years') if years > 1 else say('year')}" for years in YEARS]
    sheet.head(say("rank"), say("offer"), say("line"), say("nodes"), say("per node"), say("per month"), *horizons)
    return sheet, {plan.rank: _plan(sheet, case, plan, at, say) for plan in case.outcome.plans}


def _plan(sheet: Sheet, case: Case, plan: Plan, at: InputCells, say: Say) -> PlanTotals:
    first = len(sheet.rows) + 1
    sums = [0] * (1 + len(YEARS))
    lines: list[tuple[str, int, LiveLine]] = [
        (line.node.offer_id, counted.nodes, counted.line)
        for line in case.of(plan)
        for counted in counted_lines(line, at.options[line.option.key], say)
    ]
    extras, staff = case.problem.payment.extras_monthly, case.problem.ownership.staff_monthly
    lines += [("", 1, LiveLine(say("extras"), "ROUND(in_extras,2)", to_cents(extras)))]
    lines += [("", 1, LiveLine(say("staff"), "ROUND(in_staff,2)", to_cents(staff)))]
    for offer, count, live in lines:
        row = len(sheet.rows) + 1
        months = [_months(case, live, years) for years in YEARS]
        cents = [live.cents * count, *(live.cents * count * number for number, _ in months)]
        sums = [before + more for before, more in zip(sums, cents, strict=True)]
        sheet.add(
            plan.rank,
            offer,
            live.name,
            count,
            money(live.cents, live.formula),
            money(cents[0], f"D{row}*E{row}"),
            *(money(value, f"F{row}*{formula}") for value, (_, formula) in zip(cents[1:], months, strict=True)),
        )
    last = len(sheet.rows)
    totals = [money(value, total_of(c, first, last), Look.TOTAL) for value, c in zip(sums, "FGHI", strict=True)]
    label = Cell(f"{say('total')} #{plan.rank}", Look.TOTAL)
    blank = Cell("", Look.TOTAL)
    row = sheet.add(blank, label, blank, blank, blank, *totals)
    sheet.gap()
    return PlanTotals(tuple(sheet.ref(column, row) for column in "FGHI"), tuple(sums))


def _months(case: Case, live: LiveLine, years: int) -> tuple[int, str]:
    """Months charged within a horizon, as a number and as a formula."""
    months = 12 * years
    if live.until_term:
        return min(months, case.terms.ownership.term_months), f"MIN({months},in_term)"
    return months, str(months)
