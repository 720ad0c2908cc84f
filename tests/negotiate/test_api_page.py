"""The public names, and the pages that show them: what is printed there runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import optimizer
from optimizer.commands import cli
from optimizer.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python_api.md").read_text(), re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python_api.md", "exec"), names)
    assert "times the planned load" in capsys.readouterr().out


def test_every_public_name_is_documented_and_there() -> None:
    page = (ROOT / "docs" / "python_api.md").read_text()
    for name in optimizer.__all__:
        thing = getattr(optimizer, name)
        assert thing.__doc__, name
        assert name in page or name in ("Outcome", "Plan", "Problem"), name


@pytest.mark.parametrize("page", ["negotiate.md", "python_api.md"])
def test_commands_of_the_pages_exist(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    named = set(re.findall(r"optimize ([a-z]+)\b", text))
    known = set(cli.list_commands(cli.make_context("optimize", ["--help"], resilient_parsing=True)))
    assert {"budget", "targets", "frontier", "explain", "diff"} & named
    assert named <= known | {"problems"}


def test_render_knows_every_answer() -> None:
    file = ROOT / "problems" / "chatbot_100users.yaml"
    answer = optimizer.frontier(file, ("concurrency", "90:95"), jobs=1)
    assert "Cost over" in optimizer.render(answer)
    with pytest.raises(UsageError, match="no report format"):
        optimizer.render(answer, "xml")
