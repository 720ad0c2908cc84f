"""The Summary sheet: the answer in a sentence, the ranking with live amounts, the two verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.handover.shortlist.cells import Cell, Look, Sheet, money, number
from optimizer.handover.shortlist.cost_sheet import YEARS
from optimizer.handover.shortlist.phrases import hardware, kept, setup, sources
from optimizer.report import status_of
from optimizer.report.api import api_sentence
from optimizer.report.words import money as amount

if TYPE_CHECKING:
    from optimizer.handover.shortlist.cost_sheet import PlanTotals
    from optimizer.handover.shortlist.inputs_sheet import Say
    from optimizer.handover.shortlist.priced import Case
    from optimizer.plan.types import Outcome, Plan

CHANGED = 0.005
"""A total that differs by more is no longer the one that was solved."""


def summary_sheet(case: Case, totals: dict[int, PlanTotals], say: Say) -> Sheet:
    """Build the sheet."""
    outcome = case.outcome
    sheet = Sheet(say("Summary"), (12, 24, 24, 28, 13, 13, 13, 13, 12, 9, 26, 10, 7, 15))
    sheet.title_row(outcome.problem_name)
    sheet.add(Cell(_answer(outcome, say), Look.LINE))
    sheet.gap()
    for label, value in _facts(outcome, say):
        sheet.add(Cell(label, Look.HEAD), Cell(value, Look.LINE))
    sheet.gap()
    if outcome.plans:
        _ranking(sheet, outcome, totals, say)
        if sentence := api_sentence(outcome.plans[0]):
            sheet.note(f"API: {sentence}.")
            sheet.gap()
    _question(sheet, outcome, say)
    for warning in outcome.warnings:
        sheet.note(f"{say('Note')}: {warning}")
    return sheet


def _answer(outcome: Outcome, say: Say) -> str:
    if not outcome.plans:
        return say("No deployment keeps every promise; the sheet 'Why not' says what stands in the way.")
    best = outcome.plans[0]
    cost = amount(best.monthly_cents, best.currency)
    return (
        f"{say('First choice')}: {hardware(best)}, {setup(best)}, {cost} {say('a month')}, {say('grade')} {best.grade}."
    )


def _facts(outcome: Outcome, say: Say) -> list[tuple[str, str]]:
    proof = outcome.proof
    gap = say("gap unknown") if proof.gap is None else f"{say('gap')} {proof.gap:.2%}"
    prices = f"{proof.prices_from} - {proof.prices_to}" if proof.prices_from else say("your own prices and hardware")
    arithmetic = (
        f"{say(status_of(outcome))}, {gap}; {proof.candidates_enumerated:,} {say('configurations enumerated')}; "
        f"{say('prices from')} {prices}; {say('performance model')} {proof.performance_model}"
    )
    physics = (
        say("none")
        if not outcome.plans
        else f"{say('grade')} {outcome.plans[0].grade}; {say('confirm with the acceptance test before you sign')}"
    )
    return [
        (say("problem"), f"{outcome.problem_path}, sha256 {outcome.problem_sha256[:12]}"),
        (say("arithmetic"), arithmetic),
        (say("physics"), physics),
    ]


def _ranking(sheet: Sheet, outcome: Outcome, totals: dict[int, PlanTotals], say: Say) -> None:
    horizons = [f"{years} {say('years') if years > 1 else say('year')}" for years in YEARS]
    sheet.head(
        say("rank"),
        say("hardware"),
        say("setup"),
        say("from"),
        say("per month"),
        *horizons,
        say("more than #1"),
        say("in percent"),
        say("promises (estimate of limit)"),
        say("headroom"),
        say("grade"),
        say("against the solved total"),
        say("owed on signing"),
    )
    first = len(sheet.rows) + 1
    best = outcome.plans[0]
    for plan in outcome.plans:
        sheet.add(*_plan(plan, best, totals[plan.rank], len(sheet.rows) + 1, first, say))
    sheet.note(
        say("Amounts follow the sheet 'Inputs'. After a change, run the optimizer again: the ranking may differ.")
    )
    sheet.gap()


def _plan(plan: Plan, best: Plan, totals: PlanTotals, row: int, first: int, say: Say) -> list[Cell | str | int]:
    solved, changed = say("as solved"), say("changed: run again")
    tie = f" ({say('tie with')} #{plan.tie_with})" if plan.tie_with else ""
    more = plan.monthly_cents - best.monthly_cents
    share = more / best.monthly_cents if best.monthly_cents else 0.0
    return [
        plan.rank,
        hardware(plan) + tie,
        setup(plan),
        sources(plan),
        *(money(value, ref) for value, ref in zip(totals.cents, totals.refs, strict=True)),
        money(more, f"E{row}-$E${first}"),
        Cell(share, Look.PERCENT, f"IF($E${first}=0,0,E{row}/$E${first}-1)"),
        "; ".join(kept(plan)) or say("none stated"),
        number(plan.load_factor - 1, Look.PERCENT),
        plan.grade,
        Cell(solved, Look.TEXT, f'IF(ABS(E{row}-{plan.monthly_cents / 100:.2f})<{CHANGED},"{solved}","{changed}")'),
        money(plan.owed.now_cents),
    ]


def _question(sheet: Sheet, outcome: Outcome, say: Say) -> None:
    sheet.head(
        say("workload"),
        say("model"),
        say("tokens in / out"),
        say("longest request"),
        say("requests/s"),
        say("in flight"),
        say("output tokens/s"),
    )
    loads = {load.workload: load for load in outcome.loads}
    for asked in outcome.asked:
        load = loads.get(asked.workload)
        figures = (
            [number(v) for v in (load.requests_per_second, load.inflight, load.output_tokens_per_second)]
            if load
            else []
        )
        sheet.add(
            Cell(asked.workload),
            Cell(asked.model),
            f"{asked.input_tokens:,.0f} / {asked.output_tokens:,.0f}",
            asked.context_max,
            *figures,
        )
    for rule in outcome.rules:
        sheet.note(f"{say('Rule')}: {rule}")
