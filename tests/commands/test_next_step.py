"""Every command that prints for people ends with what to type next, and never wider than a pipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from optimizer.commands import _COMMANDS, cli
from optimizer.commands.next_step import _NEXT, next_line

ROOT = Path(__file__).resolve().parents[2]
FRONT_PAGE = str(ROOT / "problems" / "a10_server_qwen3_32b.yaml")


def run(*arguments: str, expected: int = 0) -> Result:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == expected, result.output
    return result


@pytest.mark.parametrize("command", sorted(_NEXT))
def test_the_next_step_is_a_command_that_exists_and_fits(command: str) -> None:
    for path in (Path("p.yaml"), Path("deep/" * 30 + "p.yaml"), None):
        line = next_line(command, path)
        assert len(line) <= 80
        word = line.split()[2] if len(line.split()) > 2 else ""
        assert word in _COMMANDS or _NEXT[command][0] == "", line


def test_check_ends_with_the_command_to_type_and_fits_a_terminal_but_is_a_line_a_fact_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    piped = run("check", FRONT_PAGE).stdout.splitlines()
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    watched = run("check", FRONT_PAGE).stdout.splitlines()
    assert piped[-1].startswith("next     optimize ") and watched[-1] == piped[-1]
    assert max(map(len, watched[1:])) <= 80 < max(map(len, piped[1:]))
    assert " ".join(" ".join(watched).split()) == " ".join(" ".join(piped).split())


def test_check_as_json_is_the_question_of_the_result() -> None:
    document = json.loads(run("check", FRONT_PAGE, "--format", "json", "--set", "margins.load_headroom=0.5").stdout)
    assert document["understood"]["margins"]["load_headroom"] == 0.5
    assert document["demand"][0]["workload"] and document["problem"]["sha256"]
    assert "next" not in document


def test_the_answer_is_one_screen_and_the_whole_report_is_behind_full() -> None:
    screen = run(FRONT_PAGE, "--no-simulate").stdout.splitlines()
    assert len(screen) <= 40 and max(map(len, screen)) <= 80
    assert any(line.startswith("next     optimize explain ") for line in screen)
    full = run(FRONT_PAGE, "--no-simulate", "--full").stdout
    assert "How the choice narrowed" in full and len(full.splitlines()) > 40


def test_a_glossary_explains_terms_and_refuses_what_is_none() -> None:
    assert "time to first token" in run("glossary", "ttft").stdout
    assert max(map(len, run("glossary").stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", ["Qwen3-235B-A22B", "qwen/qwen3-235b-a22b", "Qwen/Qwen3-235B-A22B"])
def test_a_bare_name_means_the_one_model_of_that_name(name: str) -> None:
    told = json.loads(run("memory", name, "--format", "json").stdout)
    assert told == json.loads(run("memory", "Qwen/Qwen3-235B-A22B", "--format", "json").stdout)
    found = json.loads(run("check", FRONT_PAGE, "--set", f"workloads.0.model={name}", "--format", "json").stdout)
    assert found["understood"]["workloads"][0]["model"] == "Qwen/Qwen3-235B-A22B"


def test_the_ending_of_the_output_says_the_format(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    assert run(FRONT_PAGE, "--no-simulate", "-o", str(path)).stdout == ""
    assert json.loads(path.read_text(encoding="utf-8"))["plans"]
    run(FRONT_PAGE, "--no-simulate", "--format", "text", "-o", str(path))
    assert "next     optimize explain" in path.read_text(encoding="utf-8")
