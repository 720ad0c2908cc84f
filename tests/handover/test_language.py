"""Chinese labels: complete, and the workbook works the same."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from handover_spreadsheet import Spreadsheet

from optimizer.handover.language import translator
from optimizer.handover.page import render_page
from optimizer.handover.shortlist import workbook_of
from optimizer.handover.shortlist.xlsx import render_xlsx
from optimizer.plan.types import Outcome
from optimizer.planning.inputs import Inputs

ROOM = Path(__file__).parents[2] / "optimizer" / "handover"


def _literals() -> set[str]:
    """Labels that stand as literals in a call of ``say``."""
    found = set(re.findall(r'say\("([^"]+)"\)', (ROOM / "templates" / "report.html").read_text(encoding="utf-8")))
    for path in [*(ROOM / "shortlist").glob("*.py"), *(ROOM / "page").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def test_every_label_is_translated(outcome: Outcome, infeasible: Outcome, inputs: Inputs) -> None:
    said = _literals()

    def say(label: str) -> str:
        said.add(label)
        return label

    for one in (outcome, infeasible):
        workbook_of(one, inputs.problem, inputs.catalog, say)
        render_page(one, None, say)
    known = json.loads((ROOM / "templates" / "zh.json").read_text(encoding="utf-8"))
    assert sorted(said - set(known)) == []
    assert all(known.values())


def test_chinese_workbook_computes_the_same(outcome: Outcome, inputs: Inputs) -> None:
    sheet = Spreadsheet(render_xlsx(workbook_of(outcome, inputs.problem, inputs.catalog, translator("zh"))))
    assert sheet.book.sheetnames[:2] == ["摘要", "输入"]
    for plan in outcome.plans:
        row = next(row[0].row for row in sheet.book["摘要"] if row[0].value == plan.rank)
        value = sheet.value("摘要", f"E{row}")
        assert isinstance(value, float)
        assert round(value * 100) == plan.monthly_cents
        assert sheet.value("摘要", f"N{row}") == "与求解一致"
