"""Files handed over by HTTP are those that the command line writes."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from optimizer.commands import cli
from optimizer.service.answers import answer
from optimizer.service.questions import QUESTIONS, ExportQuestion
from optimizer.service.solver import Ending, told_of

PROBLEMS = Path(__file__).parents[2] / "problems"
NAME = "rtx4090_tp_or_pp.yaml"


@pytest.fixture(autouse=True)
def _at_the_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROBLEMS)


def handed(form: str, name: str = NAME, **more: Any) -> tuple[str, bytes]:
    question = ExportQuestion(problem=Path(name).read_text(encoding="utf-8"), name=name, form=form, **more)
    told = json.loads(answer(question))
    return told["name"], b64decode(told["base64"])


def test_a_plan_file_is_rechecked_like_any_other(tmp_path: Path) -> None:
    name, content = handed("plan")
    (tmp_path / name).write_bytes(content)
    done = CliRunner().invoke(cli, ["verify", str(tmp_path / name)])
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(cli, [NAME, "-o", str(tmp_path / "own.json")]).exit_code == 0
    assert json.loads(content)["plans"] == json.loads((tmp_path / "own.json").read_bytes())["plans"]


def test_launch_files_are_those_of_the_command(tmp_path: Path) -> None:
    _, content = handed("launch")
    assert CliRunner().invoke(cli, ["launch", NAME, "-o", str(tmp_path / "launch")]).exit_code == 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {entry.filename: archive.read(entry).decode() for entry in archive.infolist()}
        assert all(entry.external_attr >> 16 in (0o755, 0o644) for entry in archive.infolist())
    written = {f"launch/{one.name}": one.read_text(encoding="utf-8") for one in (tmp_path / "launch").iterdir()}
    assert files == written


@pytest.mark.parametrize(("form", "start"), [("report", b"<!doctype html>"), ("shortlist", b"PK")])
def test_documents_are_whole_in_both_languages(form: str, start: bytes) -> None:
    english, chinese = (handed(form, lang=lang)[1] for lang in ("en", "zh"))
    assert english[: len(start)].lower() == chinese[: len(start)].lower() == start.lower()
    assert english != chinese


def test_without_a_plan_there_are_no_launch_files() -> None:
    text = Path("infeasible_budget.yaml").read_text(encoding="utf-8")
    told = told_of(ExportQuestion(problem=text, form="launch", simulate=False))
    assert told.ending is Ending.REFUSED
    assert "no plan to hand over" in told.text


def test_an_unknown_form_is_refused_and_assistants_get_no_files() -> None:
    with pytest.raises(ValidationError):
        ExportQuestion(problem="", form="/etc/passwd")
    assert ExportQuestion not in QUESTIONS
