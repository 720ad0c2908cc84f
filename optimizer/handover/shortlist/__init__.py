"""A shortlist that procurement can sign: one workbook, also as Markdown and CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.handover.shortlist.cells import Workbook, case_of
from optimizer.handover.shortlist.cost_sheet import cost_sheet, inputs_sheet
from optimizer.handover.shortlist.hardware_sheets import bill_sheet, quotes_sheet
from optimizer.handover.shortlist.reason_sheets import promises_sheet, risks_sheet, sources_sheet, why_not_sheet
from optimizer.handover.shortlist.summary_sheet import request_sheet, summary_sheet

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.handover.shortlist.cost_sheet import Say
    from optimizer.plan.types import Outcome
    from optimizer.problem import Problem

__all__ = ["workbook_of"]


def workbook_of(outcome: Outcome, problem: Problem, catalog: Catalog, say: Say = str) -> Workbook:
    """Every sheet of a shortlist; ``say`` translates its labels."""
    case = case_of(outcome, problem, catalog)
    inputs, at = inputs_sheet(case, say)
    cost, totals = cost_sheet(case, at, say)
    sheets = (
        summary_sheet(case, totals, say),
        inputs,
        bill_sheet(case, at, say),
        cost,
        promises_sheet(case, say),
        why_not_sheet(case, totals, say),
        sources_sheet(case, say),
        risks_sheet(case, say),
        quotes_sheet(case, at, say),
        request_sheet(case, say),
    )
    return Workbook(outcome.problem_name, sheets, tuple(at.names.items()))
