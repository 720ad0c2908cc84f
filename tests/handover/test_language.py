"""Chinese labels: complete, and the workbook works the same."""

from __future__ import annotations

import ast
import json
import re
from html import unescape
from pathlib import Path

import pytest

from optimizer.handover.language import translator
from optimizer.handover.page import render_page
from optimizer.handover.shortlist import workbook_of
from optimizer.handover.shortlist.plain_forms import render_markdown
from optimizer.handover.shortlist.xlsx import render_xlsx
from optimizer.negotiate.solve import solved
from optimizer.plan.types import Outcome
from optimizer.planning.inputs import Inputs
from tests.handover.handover_spreadsheet import Spreadsheet

PROBLEMS = Path(__file__).parents[2] / "problems"
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
    assert all(known.values())
    in_chinese = translator("zh")
    made_up = {*outcome.warnings, *(note for plan in outcome.plans for note in plan.notes)}
    made_up |= {one for plan in outcome.plans for said_of in plan.predicted for one in said_of.grade_reasons}
    told = said - set(known) - made_up
    asked = (one for one in told if ENGLISH.search(one) and not PUBLISHED.search(one))
    assert sorted(one for one in asked if in_chinese(one) == one) == []


ENGLISH = re.compile(r"\b[a-z]{2,}(?:[ ,]+[a-z]+){2,}")
"""Three words in a row that are no names."""

PUBLISHED = re.compile(r"vllm|sglang|github|[0-9a-f]{7}|pricing|Hugging|collected|export-controlled|illustrative|#!/|/")
"""Commands, and what others published and is quoted as they wrote it: sources, licences, export notes."""


@pytest.mark.parametrize("name", ["a10_server_qwen3_32b", "quotes_in_cny", "day_profile", "infeasible_budget"])
def test_no_english_sentence_is_left_in_page_and_shortlist(name: str) -> None:
    found = solved(PROBLEMS / f"{name}.yaml", sets=["name=x"], simulate=False)
    inputs, say = found.case.inputs, translator("zh")
    page = re.sub(r"<(style|svg).*?</\1>", "", render_page(found.outcome, None, say, "zh"), flags=re.DOTALL)
    texts = [unescape(one) for one in re.split(r"<[^>]+>", page)]
    book = render_markdown(workbook_of(found.outcome, inputs.problem, inputs.catalog, say))
    texts += [cell for line in book.splitlines() for cell in line.split("|")]
    assert [one for one in texts if ENGLISH.search(one) and not PUBLISHED.search(one)] == []


def test_sentences_take_their_figures_along() -> None:
    say = translator("zh")
    assert say("measured under load: Qwen in fp8 on h100, not Llama in int4 on a10") == (
        "负载下实测的是 h100 上 fp8 的 Qwen，而非 a10 上 int4 的 Llama"
    )
    assert say("storage; staff; something else") == "存储；人员；something else"
    assert say("loses: #3, $5/mo with it, 23 % more than #1; wins at no price") == (
        "落选：第 3 名，采用它每月 $5，比第 1 名贵 23 %；任何价格都不会胜出"
    )
    assert translator("en")("storage") == "storage"


def test_chinese_workbook_computes_the_same(outcome: Outcome, inputs: Inputs) -> None:
    sheet = Spreadsheet(render_xlsx(workbook_of(outcome, inputs.problem, inputs.catalog, translator("zh"))))
    assert sheet.book.sheetnames[:2] == ["摘要", "输入"]
    for plan in outcome.plans:
        row = next(row[0].row for row in sheet.book["摘要"] if row[0].value == plan.rank)
        value = sheet.value("摘要", f"E{row}")
        assert isinstance(value, float)
        assert round(value * 100) == plan.monthly_cents
        assert sheet.value("摘要", f"N{row}") == "与求解一致"
