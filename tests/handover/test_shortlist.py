"""The shortlist: totals equal ours and follow every input as the pricing room does; text stays text."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from pathlib import Path

import openpyxl
import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from optimizer.commands import cli
from optimizer.errors import UsageError
from optimizer.handover import language
from optimizer.handover.shortlist import workbook_of
from optimizer.handover.shortlist.cells import Workbook
from optimizer.handover.shortlist.plain_forms import render_csv, render_markdown
from optimizer.handover.shortlist.xlsx import render_xlsx
from optimizer.plan.types import Outcome
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.pricing import node_options, total_cents
from tests.handover.handover_spreadsheet import Spreadsheet

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
SHEETS = [
    "Summary",
    "Inputs",
    "Bill of materials",
    "Cost",
    "Promises",
    "Why not",
    "Sources",
    "Risks",
    "Quote comparison",
    "Request for quotation",
]


@pytest.fixture(scope="session")
def book(outcome: Outcome, inputs: Inputs) -> Workbook:
    """The shortlist of the hand-made outcome."""
    return workbook_of(outcome, inputs.problem, inputs.catalog)


@pytest.fixture(scope="session")
def xlsx(book: Workbook) -> bytes:
    """Its bytes."""
    return render_xlsx(book)


def _find(sheet: Spreadsheet, title: str, label: str, column: str) -> str:
    """Address in ``column`` of the row whose first cell is ``label``."""
    return next(f"{column}{row[0].row}" for row in sheet.book[title] if row[0].value == label)


def _monthly(sheet: Spreadsheet, rank: int) -> float:
    row = next(row[0].row for row in sheet.book["Summary"] if row[0].value == rank)
    value = sheet.value("Summary", f"E{row}")
    assert isinstance(value, float)
    return value


def test_sheets(xlsx: bytes) -> None:
    assert Spreadsheet(xlsx).book.sheetnames == SHEETS


def test_totals_equal_ours(xlsx: bytes, outcome: Outcome) -> None:
    sheet = Spreadsheet(xlsx)
    for plan in outcome.plans:
        assert round(_monthly(sheet, plan.rank) * 100) == plan.monthly_cents


def test_every_formula_gives_the_value_that_is_stored_with_it(xlsx: bytes) -> None:
    """Programs that do not recalculate show the stored value: it has to be right."""
    sheet = Spreadsheet(xlsx)
    stored = openpyxl.load_workbook(io.BytesIO(xlsx), data_only=True)
    assert len(sheet.formulas()) > 100
    for title, cell in sheet.formulas():
        shown, computed = stored[title][cell].value, sheet.value(title, cell)
        if isinstance(computed, (int, float)):
            assert shown == pytest.approx(computed, abs=0.005 if abs(computed) > 1 else 1e-9), (title, cell)
        else:
            assert (shown or "") == computed, (title, cell)


@pytest.mark.parametrize(
    ("cell", "value", "edit"),
    [
        (("Tax on prices", "B"), 0.2, "payment.tax_percent=20"),
        (("Term of a purchase", "B"), 30, "ownership.term_months=30"),
        (("Value left at the end of the term", "B"), 0.25, "ownership.residual=0.25"),
        (("Cost of capital per year", "B"), 0.0, "ownership.cost_of_capital=0"),
        (("Cost of capital per year", "B"), 0.12, "ownership.cost_of_capital=0.12"),
        (("Support per year", "B"), 0.08, "ownership.support_percent=8"),
        (("Electricity", "B"), 0.31, "ownership.electricity_per_kwh=0.31"),
        (("PUE (facility power / IT power)", "B"), 1.6, "ownership.pue=1.6"),
        (("Space and cooling", "B"), 99.5, "ownership.colo_per_kw_month=99.5"),
        (("Fixed extras", "B"), 123.45, "payment.extras_monthly=123.45"),
        (("Staff", "B"), 5000.0, "ownership.staff_monthly=5000"),
        (("CNY", "B"), 1 / 6.5, "payment.fx={CNY: 6.5}"),
        (("quote-rent", "C"), 90.25, "offers.quote-rent.price_per_hour=90.25"),
        (("quote-buy", "C"), 101234.56, "offers.quote-buy.purchase_price=101234.56"),
        (("quote-rent", "F"), 700.0, "payment.hours_per_month=700"),
        (("quote-rent", "H"), 0.19, "offers.quote-rent.tax_percent=19"),
    ],
)
def test_a_changed_input_moves_totals_as_the_pricing_room_does(
    cell: tuple[str, str], value: float, edit: str, xlsx: bytes, outcome: Outcome, inputs: Inputs
) -> None:
    sheet = Spreadsheet(xlsx)
    sheet.change("Inputs", _find(sheet, "Inputs", *cell), value)
    if cell[1] == "F":
        sheet.change("Inputs", _find(sheet, "Inputs", "Hours in a whole month", "B"), value)
    index = {"quote-rent": "0", "quote-buy": "1"}
    for name, number in index.items():
        edit = edit.replace(f"offers.{name}", f"offers.{number}")
    changed = read_inputs(inputs.problem.path, sets=[edit])
    options = {option.key: option for option in node_options(changed.problem, changed.catalog)}
    moved = False
    for plan in outcome.plans:
        pairs = [(options[(node.offer_id, str(node.tier))], node.count) for node in plan.nodes]
        expected = total_cents(pairs, changed.problem)
        assert round(_monthly(sheet, plan.rank) * 100) == expected
        moved |= expected != plan.monthly_cents
        row = next(row[0].row for row in sheet.book["Summary"] if row[0].value == plan.rank)
        assert (sheet.value("Summary", f"N{row}") == "as solved") == (expected == plan.monthly_cents)
    assert moved


def test_every_sheet_follows_a_changed_price(xlsx: bytes, outcome: Outcome) -> None:
    """The sentence above, the place of each plan, what a token costs and how much dearer the others are."""
    sheet, best = Spreadsheet(xlsx), outcome.plans[0]
    named = {row[0].value: row[1].coordinate for row in sheet.book["Summary"]}
    tokens = {plan.rank: named[f"#{plan.rank}"] for plan in outcome.plans}
    before = {rank: sheet.value("Summary", cell) for rank, cell in tokens.items()}
    assert f"{best.monthly_cents / 100:,.2f} {best.currency}" in str(sheet.value("Summary", "A2"))
    sheet.change("Inputs", _find(sheet, "Inputs", "Staff", "B"), 1_000_000.0)
    assert f"{_monthly(sheet, 1):,.2f} {best.currency}" in str(sheet.value("Summary", "A2"))
    assert _monthly(sheet, 1) == pytest.approx(best.monthly_cents / 100 + 1e6)
    for rank, cell in tokens.items():
        was, now = before[rank], sheet.value("Summary", cell)
        assert isinstance(was, float) and isinstance(now, float)
        assert now / was == pytest.approx(_monthly(sheet, rank) / (outcome.plans[rank - 1].monthly_cents / 100))
    sheet = Spreadsheet(xlsx)
    for offer in ("quote-rent", "quote-buy"):
        sheet.change("Inputs", _find(sheet, "Inputs", offer, "C"), 0.5)
    order = sorted(outcome.plans, key=lambda plan: _monthly(sheet, plan.rank))
    row = next(row[0].row for row in sheet.book["Summary"] if row[0].value == 1)
    places = [int(str(sheet.value("Summary", f"P{row + plan.rank - 1}"))) for plan in order]
    assert places == sorted(places) and places[0] == 1
    assert ("another is cheaper" in str(sheet.value("Summary", "A2"))) == (order[0].monthly_cents != best.monthly_cents)
    for plan in outcome.plans[1:]:
        line = next(one[1].row for one in sheet.book["Why not"] if one[1].value == plan.rank)
        more = sheet.value("Why not", f"C{line}")
        assert more == pytest.approx(_monthly(sheet, plan.rank) - _monthly(sheet, 1), abs=0.005)


def test_a_number_keeps_clear_of_the_text_beside_it(xlsx: bytes) -> None:
    """A rank stands left; other numbers and all texts are indented, so that no two cells read as one."""
    for sheet in Spreadsheet(xlsx).book:
        for cell in (cell for row in sheet for cell in row if cell.value not in (None, "")):
            if cell.data_type in ("n", "f") and cell.fill.fgColor.rgb != "FFFFF6D6" and cell.coordinate != "A2":
                assert cell.alignment.horizontal in ("left", "right"), (sheet.title, cell.coordinate)
                assert cell.alignment.indent == 1, (sheet.title, cell.coordinate)
        if sheet.title in ("Summary", "Bill of materials", "Cost", "Promises", "Sources", "Risks"):
            assert sheet.freeze_panes, sheet.title


def test_no_key_of_the_file_stands_for_a_rule(xlsx: bytes) -> None:
    sheet = Spreadsheet(xlsx).book["Why not"]
    told = [str(row[0].value or "") for row in sheet] + [str(row[4].value or "") for row in sheet]
    assert [one for one in told if one.startswith(("workloads.", "hardware.", "engine.", "margins."))] == []


def test_years_stop_at_the_term_of_a_purchase(xlsx: bytes, outcome: Outcome) -> None:
    sheet = Spreadsheet(xlsx)
    rows = [row[0].row for row in sheet.book["Cost"] if row[0].value == 2 and row[2].value == "depreciation"]
    month, five = (sheet.value("Cost", f"{column}{rows[0]}") for column in "FI")
    assert isinstance(month, float)
    assert five == pytest.approx(month * 48)


def test_quote_comparison_compares(xlsx: bytes) -> None:
    sheet = Spreadsheet(xlsx)
    row = next(row[0].row for row in sheet.book["Quote comparison"] if "node-hour" in str(row[0].value))
    target = sheet.value("Quote comparison", f"C{row}")
    assert isinstance(target, float)
    assert [sheet.value("Quote comparison", f"{c}{row + 2}") for c in "DEFG"] == ["", "", "", ""]
    sheet.change("Quote comparison", f"D{row}", target * 0.9)
    sheet.change("Quote comparison", f"F{row}", target * 1.1)
    assert sheet.value("Quote comparison", f"G{row}") == pytest.approx(target * 0.9)
    assert sheet.value("Quote comparison", f"D{row + 2}") == pytest.approx(-0.1, abs=1e-4)
    assert sheet.value("Quote comparison", f"E{row + 2}") == ""


def test_request_for_quotation_names_no_vendor(outcome: Outcome, inputs: Inputs, book: Workbook) -> None:
    request = book.sheets[-1]
    text = " ".join(str(cell.value) for row in request.rows for cell in row if cell and cell.value).lower()
    gpu = [inputs.catalog.gpus[node.gpu] for plan in outcome.plans for node in plan.nodes]
    forbidden = {card.vendor for card in gpu} | {card.id.split("_")[0] for card in gpu} | {"acme", "nvlink"}
    assert not [word for word in forbidden if word in text]
    assert "--max-concurrency 50" in text  # what was promised: 100 in flight on two copies
    assert "output tokens/s" not in text.split("3. acceptance test")[1]  # no throughput was promised beside it
    assert "<= 1 s" in text


def _recalculated(
    path: Path, folder: Path, office: str | None = None
) -> dict[str, openpyxl.worksheet.worksheet.Worksheet]:
    """The file recalculated: by the program given, else by the ``formulas`` package."""
    out = folder / "out"
    if office is None:
        import formulas

        model = formulas.ExcelModel().loads(str(path)).finish()
        model.calculate()
        model.write(dirpath=str(out))
    else:
        profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
        command = [office, profile, "--headless", "--convert-to", "xlsx", "--outdir", str(out), str(path)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    (written,) = out.glob("*.[xX][lL][sS][xX]")
    book = openpyxl.load_workbook(written, data_only=True)
    return {sheet.title.casefold(): sheet for sheet in book}


@pytest.mark.filterwarnings("ignore")  # of the packages that recalculate
def test_an_office_program_finds_no_error_and_our_totals(xlsx: bytes, outcome: Outcome, tmp_path: Path) -> None:
    sheet = Spreadsheet(xlsx)
    path = tmp_path / "shortlist.xlsx"
    sheet.change("Inputs", _find(sheet, "Inputs", "Staff", "B"), 1000.0)
    sheet.book.save(path)  # without stored values: everything has to be computed
    sheets = _recalculated(path, tmp_path, shutil.which("soffice"))
    for title, cell in sheet.formulas():
        value = sheets[title.casefold()][cell].value
        assert not str(value).startswith(("#", "Err:")), (title, cell, value)
    summary = sheets["summary"]
    shown = {row[0].value: row[4].value for row in summary if isinstance(row[0].value, (int, float))}
    for plan in outcome.plans:
        assert shown[plan.rank] == pytest.approx(plan.monthly_cents / 100 + 1000, abs=0.005)


@pytest.mark.parametrize("problem", [None, "quotes_in_cny.yaml"])
def test_libreoffice_agrees_to_the_cent_on_every_sheet(problem: str | None, xlsx: bytes, tmp_path: Path) -> None:
    """Every formula of every sheet, computed anew: rent and purchase, discounts, taxes, own quotes, sums over years."""
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice is not installed: apt-get install libreoffice-calc")
    path = tmp_path / "shortlist.xlsx"
    if problem is not None:
        command = ["shortlist", str(ROOT / "problems" / problem), "--no-simulate", "--set", "ranking.top=3"]
        done = CliRunner().invoke(cli, [*command, "-o", str(path)])
        assert done.exit_code == 0, done.output
        xlsx = path.read_bytes()
    sheet = Spreadsheet(xlsx)
    stored = openpyxl.load_workbook(io.BytesIO(xlsx), data_only=True)
    sheet.book.save(path)  # without stored values: everything has to be computed
    sheets = _recalculated(path, tmp_path, office)
    compared = set()
    for title, cell in sheet.formulas():
        computed, ours = sheets[title.casefold()][cell].value, stored[title][cell].value
        if isinstance(ours, (int, float)):
            assert isinstance(computed, (int, float)), (title, cell, computed, ours)
            assert round(computed * 100) == round(ours * 100), (title, cell, computed, ours)
            compared.add(title)
        else:
            assert (computed or "") == (ours or ""), (title, cell)
    assert {"Summary", "Bill of materials", "Cost", "Quote comparison"} <= compared


def test_hostile_names_stay_text(hostile: Outcome, inputs: Inputs, xlsx: bytes) -> None:
    data = render_xlsx(workbook_of(hostile, inputs.problem, inputs.catalog))
    sheet, harmless = Spreadsheet(data), Spreadsheet(xlsx)
    assert {f for f in sheet.formulas() if f[0] != "Quote comparison"} <= set(harmless.formulas()) | set(
        sheet.formulas()
    )
    assert len(sheet.formulas()) == len(harmless.formulas())
    for title, cell in sheet.formulas():
        assert str(sheet.book[title][cell].value) == str(harmless.book[title][cell].value)
    for page in sheet.book:
        assert not page._hyperlinks
        for row in page:
            for cell in row:
                if cell.data_type == "s":
                    assert all(char.isprintable() for char in cell.value)
                    assert cell.quotePrefix == cell.value.startswith(("=", "+", "-", "@"))


def test_hostile_names_in_csv_and_markdown(hostile: Outcome, inputs: Inputs) -> None:
    book = workbook_of(hostile, inputs.problem, inputs.catalog)
    rows = list(csv.reader(io.StringIO(render_csv(book))))
    assert len({len(row) for row in rows}) == 1
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "@")]
    tokens = MarkdownIt("commonmark").enable("table").parse(render_markdown(book))
    kinds = {child.type for token in tokens for child in token.children or ()} | {token.type for token in tokens}
    assert not {"html_block", "html_inline", "link_open", "image"} & kinds
    assert sum(token.type == "heading_open" for token in tokens) == 1 + len(SHEETS)


def test_infeasible_says_what_would_help(infeasible: Outcome, inputs: Inputs) -> None:
    book = workbook_of(infeasible, inputs.problem, inputs.catalog)
    assert render_xlsx(book)
    text = render_markdown(book)
    assert "No deployment keeps every promise" in text
    assert "budget.monthly" in text


def test_same_outcome_same_bytes(book: Workbook, xlsx: bytes) -> None:
    assert render_xlsx(book) == xlsx


def test_golden(book: Workbook) -> None:
    """Set UPDATE_GOLDEN=1 to write them anew, then read the difference."""
    for name, text in (("shortlist.md", render_markdown(book)), ("shortlist.csv", render_csv(book))):
        if os.environ.get("UPDATE_GOLDEN"):
            (GOLDEN / name).write_text(text, encoding="utf-8")
        assert (GOLDEN / name).read_text(encoding="utf-8") == text


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"llm-deployment-optimizer\[handover\]"):
        language.need("no_such_package")


def test_unknown_ending_is_refused_before_solving(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["shortlist", "no_such_file.yaml", "-o", str(tmp_path / "x.pdf")])
    assert isinstance(result.exception, UsageError)
    assert ".xlsx" in str(result.exception)
