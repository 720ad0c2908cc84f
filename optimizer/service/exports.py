"""An answer as the file that the command line writes of it, in JSON: its name, its kind, its bytes in base64."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64encode
from typing import TYPE_CHECKING

from optimizer.errors import Finding, UsageError

if TYPE_CHECKING:
    from optimizer.catalog import Catalog
    from optimizer.decide import Answer
    from optimizer.problem import Problem

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_DAY = (1980, 1, 1, 0, 0, 0)
"""The first day that a zip archive can state: the same files are the same bytes."""


def exported(problem: Problem, catalog: Catalog, *, form: str, lang: str, simulate: bool, time_limit: float) -> str:
    """The file, solved for. Raises ``InputError`` where there is no plan to hand over."""
    from optimizer.negotiate.solve import solved

    found = solved(problem, catalog, simulate=simulate, time_limit=time_limit)
    if form == "launch" and not found.outcome.plans:
        raise UsageError([Finding("no plan to hand over: nothing keeps every promise", problem.path)])
    match form:
        case "report":
            name, kind, content = "report.html", "text/html", _report(found, lang)
        case "shortlist":
            name, kind, content = "shortlist.xlsx", _XLSX, _shortlist(found, lang)
        case "plan":
            name, kind, content = "plan.json", "application/json", _plan(found, simulate=simulate)
        case _:
            name, kind, content = "launch.zip", "application/zip", _launch(found)
    return json.dumps({"name": name, "kind": kind, "base64": b64encode(content).decode("ascii")})


def _report(found: Answer, lang: str) -> bytes:
    from optimizer.handover.language import translator
    from optimizer.handover.page import render_page

    return render_page(found.outcome, None, translator(lang), lang).encode()


def _shortlist(found: Answer, lang: str) -> bytes:
    from optimizer.handover.language import translator
    from optimizer.handover.shortlist import workbook_of
    from optimizer.handover.shortlist.xlsx import render_xlsx

    inputs = found.case.inputs
    book = workbook_of(found.outcome, inputs.problem, inputs.catalog, translator(lang))
    return render_xlsx(book)


def _plan(found: Answer, *, simulate: bool) -> bytes:
    from optimizer.negotiate.plan_file import packed
    from optimizer.report.plan_file import render_plan_file

    return render_plan_file(packed(found, simulate=simulate)).encode()


def _launch(found: Answer) -> bytes:
    from optimizer.handover.launch import launch_files
    from optimizer.handover.launch.facts import load_facts

    inputs = found.case.inputs
    facts, version = load_facts(inputs.catalogs), inputs.problem.engine.version
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in launch_files(found.outcome, found.outcome.plans[0], inputs.catalog, facts, version):
            entry = zipfile.ZipInfo(f"launch/{one.name}", _DAY)
            entry.external_attr = (0o755 if one.executable else 0o644) << 16
            archive.writestr(entry, one.text)
    return packed.getvalue()
