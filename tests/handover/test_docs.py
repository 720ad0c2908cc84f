"""Every command in the documentation runs; links lead somewhere; the shell completes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from optimizer.commands import cli

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "README.zh-CN.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
GENERATED = {"docs/scenarios.md"}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_NEEDS_FILES_OF_OTHERS = ("quotes_cn.csv", "chat-result.json", "--from lists", "--catalogs market")
"""Commands that read what only the reader has: foreign price lists, the result of a benchmark on own cards."""

_MINUTES = frozenset({"budget", "diff", "explain", "frontier", "targets"})
"""Commands that solve a problem dozens of times: here their options are parsed; tests/negotiate runs them."""

_LISTENS = frozenset({"mcp", "serve"})
"""Commands that end when their user ends them: here their options are parsed; tests/service runs them."""


def _commands(page: str) -> list[str]:
    """``optimize`` lines of the fenced blocks; those chained after an installation too."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [line for language, body in _FENCE.findall(text) if language == "" for line in body.splitlines()]
    found = [line.split("&& ")[-1].rstrip() for line in lines]  # what is indented is output that runs on
    return [
        line for line in found if line.startswith("optimize ") and not any(w in line for w in _NEEDS_FILES_OF_OTHERS)
    ]


@pytest.mark.usefixtures("solved_once")
@pytest.mark.parametrize("page", [page for page in PAGES if _commands(page) and page not in GENERATED])
def test_every_command_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "problems", tmp_path / "problems")
    monkeypatch.chdir(tmp_path)
    if "my_problem.yaml" in "".join(_commands(page)) and "optimize new" not in "".join(_commands(page)):
        CliRunner().invoke(cli, ["new", "chatbot", "-o", "my_problem.yaml"])
    for command in _commands(page):
        words = shlex.split(command.partition(" > ")[0], comments=True)[1:]
        if words[0] in _MINUTES | _LISTENS:
            named = cli.get_command(click.Context(cli), words[0])
            assert named is not None, command
            named.make_context(words[0], words[1:])
            continue
        result = CliRunner().invoke(cli, words)
        expected = 3 if "infeasible" in command else 0
        assert result.exit_code == expected, (command, result.output, result.exception)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith("http"):
            assert (ROOT / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_modules_named_are_there(page: str) -> None:
    """Code moves; a page that names a file or a folder of it must follow."""
    text = (ROOT / page).read_text(encoding="utf-8")
    files = {path.as_posix() for path in (ROOT / "optimizer").rglob("*.py")}
    for name in re.findall(r"`([\w/]+\.py)`", text):
        assert (ROOT / name).is_file() or any(path.endswith(f"/{name}") for path in files), name
    to_come = {"optimizer/service/"} if page == "docs/design.md" else set()  # the design names what is not built yet
    for name in set(re.findall(r"`(optimizer/[\w/]+)`", text)) - to_come:
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\b(?:from|import) (optimizer(?:\.\w+)+)", text):
        assert (ROOT / f"{name.replace('.', '/')}.py").is_file() or (ROOT / name.replace(".", "/")).is_dir(), name


@pytest.mark.parametrize("words", ["shortli", "laun", "sche"])
def test_the_shell_completes_commands(words: str) -> None:
    asked = {"_OPTIMIZE_COMPLETE": "bash_complete", "COMP_WORDS": f"optimize {words}", "COMP_CWORD": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "optimizer"],
        env={**os.environ, **asked},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"plain,{words}" in result.stdout
