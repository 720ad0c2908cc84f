"""A plan file holds the question and the whole answer: what is made from it is what a solve makes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from optimizer import decide
from optimizer.commands import cli
from optimizer.decide import Answer
from optimizer.handover.launch import launch_files
from optimizer.handover.launch.facts import load_facts
from optimizer.handover.page import render_page
from optimizer.handover.shortlist import workbook_of
from optimizer.handover.shortlist.plain_forms import render_csv, render_markdown
from optimizer.negotiate.page_curves import Picture, Stair, Turn
from optimizer.negotiate.plan_file import answer_to, opened, packed, read_plan
from optimizer.negotiate.solve import solved
from optimizer.plan.types import Outcome
from optimizer.planning.inputs import Inputs
from optimizer.planning.seal import seal_of
from optimizer.progress import TODAY
from optimizer.report import render
from optimizer.report.plan_file import render_plan_file
from optimizer.vocabulary import Role

PROBLEMS = Path(__file__).parents[2] / "problems"
FILES = sorted(path.name for path in PROBLEMS.glob("*.yaml"))
SMALL = PROBLEMS / "a10_server_qwen3_32b.yaml"
DRAWN = Picture((), (Stair(1.0, 12345), Stair(2.0, None)), (Turn("margins.confidence", 0.9, 0.5, 1),))


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TODAY, "2026-11-30")


def everything(outcome: Outcome, inputs: Inputs) -> dict[str, str]:
    """Every output that is made of an answer without asking further."""
    made = {style: render(outcome, style) for style in ("screen", "text", "json", "csv")}
    made["html"] = render_page(outcome, DRAWN if outcome.plans else None)
    book = workbook_of(outcome, inputs.problem, inputs.catalog, str)
    made |= {"md": render_markdown(book), "book.csv": render_csv(book)}
    for plan in outcome.plans[:2]:
        files = launch_files(outcome, plan, inputs.catalog, load_facts(inputs.catalogs), inputs.problem.engine.version)
        made |= {f"{plan.rank}/{one.name}": one.text for one in files}
    return made


def written_to(path: Path, found: Answer, *, simulate: bool) -> Path:
    path.write_text(render_plan_file(packed(found, simulate=simulate, picture=DRAWN)), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FILES)
def test_every_output_is_the_same_from_the_file(name: str, tmp_path: Path) -> None:
    found = solved(PROBLEMS / name, simulate=False)
    text = read_plan(written_to(tmp_path / "plan.json", found, simulate=False))
    assert text.carried == packed(found, simulate=False, picture=DRAWN)
    with opened(text) as plan:
        assert seal_of(plan.inputs) == found.outcome.seal
        assert everything(plan.outcome, plan.inputs) == everything(found.outcome, found.case.inputs)
        again = answer_to(plan, plan.inputs)
        assert again.result == found.result
        assert [one.key for one in again.case.candidates.candidates] == [
            one.key for one in found.case.candidates.candidates
        ]


def test_prefill_and_decode_pools_are_held_open_too(tmp_path: Path) -> None:
    found = solved(PROBLEMS / "rag_disaggregated_unlike.yaml", sets=["ranking.top=1"])
    assert found.outcome.plans[0].has_pools
    with opened(read_plan(written_to(tmp_path / "plan.json", found, simulate=True))) as plan:
        again = answer_to(plan, plan.inputs)
        assert again.result == found.result
        workers = [group.candidate for group in again.result.solutions[0].groups]
        assert [one.role for one in workers] == [Role.PREFILL, Role.DECODE] and all(one.worker for one in workers)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small problem and its plan file, replayed; their names are as long as each other."""
    path = tmp_path_factory.mktemp("plan")
    (path / "asks.yaml").write_text(SMALL.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.setenv(TODAY, "2026-11-30")
        result = run("asks.yaml", "-o", "plan.json")
    assert result.exit_code == 0, result.output
    (path / "plan.json").rename(path / "told.json")
    return path


@pytest.fixture
def small(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return Path("told.json")


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


def told(result: Result) -> str:
    """What was printed, whichever of the two files it was asked of."""
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout.replace("told.json", "FILE").replace("asks.yaml", "FILE")


@pytest.mark.parametrize(
    "words",
    [
        ["solve", "FILE"],
        ["solve", "FILE", "--full"],
        ["solve", "FILE", "--format", "csv"],
        ["solve", "FILE", "--format", "json"],
        ["check", "FILE"],
        ["explain", "FILE"],
        ["explain", "FILE", "--why-not", "bf16"],
        ["targets", "FILE"],
        ["drill", "FILE", "--minutes", "1"],
        ["budget", "FILE", "--monthly", "2000"],
        ["frontier", "FILE", "--over", "concurrency", "4:8", "--jobs", "1"],
    ],
    ids=lambda words: "-".join(words).replace("FILE-", ""),
)
def test_a_command_says_the_same_of_the_file_as_of_the_problem(words: list[str], small: Path) -> None:
    from_problem, from_file = (
        told(run(*(name if word == "FILE" else word for word in words))) for name in ("asks.yaml", str(small))
    )
    assert from_file == from_problem


def test_nothing_is_solved_that_the_file_answers(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **how: object) -> None:
        raise AssertionError("asked the solver")

    monkeypatch.setattr("optimizer.fleet.solve_fleet", never)
    outputs = {"report": "r.html", "shortlist": "s.xlsx", "launch": "launch"}
    for command, name in outputs.items():
        told(run(command, str(small), "-o", str(tmp_path / name)))
    for words in (["drill", str(small), "--minutes", "1"], ["diff", str(small), str(small)], [str(small)]):
        told(run(*words))


def test_written_again_it_is_the_same_file(small: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    assert run(str(small), "-o", str(again)).exit_code == 0
    assert again.read_bytes() == small.read_bytes()


def test_json_is_still_the_contract(small: Path) -> None:
    whole, lean = json.loads(small.read_text()), json.loads(run("asks.yaml", "--format", "json").stdout)
    assert set(whole) - set(lean) == {"carried", "checksum"}
    assert {key: whole[key] for key in lean} == lean
    assert set(lean["seal"]) == {"problem", "catalogs", "calibration", "code"}


@pytest.mark.parametrize("command", ["explain", "targets", "budget", "shortlist", "launch", "drill"])
@pytest.mark.parametrize("seal", ["catalogs", "calibration", "code"])
def test_another_fingerprint_is_refused(
    command: str, seal: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optimizer.planning.seal.seal_of", lambda inputs: replace(seal_of(inputs), **{seal: "0" * 64}))
    extra = {"shortlist": ["-o", str(tmp_path / "s.md")], "launch": ["-o", str(tmp_path / "l")]}
    result = run(command, str(small), *extra.get(command, []))
    assert result.exit_code != 0
    assert f"seal.{seal}" in str(result.exception)
    assert "--resolve" in str(result.exception)


def test_resolve_asks_the_question_anew(small: Path) -> None:
    assert told(run(str(small), "--resolve")) == told(run("asks.yaml"))


@pytest.mark.parametrize(
    "edit", [["--set", "margins.confidence=0.8"], ["--no-simulate"], ["--catalogs", "there"], ["--quotes", "q.csv"]]
)
def test_an_answer_is_not_edited(edit: list[str], small: Path) -> None:
    result = run("explain", str(small), *edit)
    assert edit[0] in str(result.exception)
    assert "--resolve" in str(result.exception)


def test_a_result_without_its_question_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(run(str(SMALL), "--format", "json").stdout)
    result = run("explain", str(path))
    assert "without the question" in str(result.exception)


def test_the_file_needs_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace, calibration and catalogs of the user's own are inside."""
    monkeypatch.chdir(PROBLEMS)
    own = tmp_path / "own"
    own.mkdir()
    (own / "fx.csv").write_text((PROBLEMS.parent / "catalogs" / "fx.csv").read_text())
    path = tmp_path / "plan.json"
    words = ["calibrated.yaml", "--catalogs", str(own), "--no-simulate", "--set", "ranking.top=1", "-o", str(path)]
    assert run(*words).exit_code == 0
    (own / "fx.csv").unlink()
    own.rmdir()
    monkeypatch.chdir(tmp_path)
    assert run("shortlist", str(path), "-o", "list.md").exit_code == 0
    assert run("verify", str(path)).exit_code == 0
    with opened(read_plan(path)) as plan:
        assert any("own_fit" in name or "calibration" in name for name in plan.inputs.files)


def test_edits_of_the_question_travel_with_it(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    assert run(str(SMALL), "--no-simulate", "--set", "margins.confidence=0.8", "-o", str(path)).exit_code == 0
    with opened(read_plan(path)) as plan:
        assert plan.inputs.problem.margins.confidence == 0.8
        assert decide.decide(plan.inputs, simulate=False) == plan.outcome
