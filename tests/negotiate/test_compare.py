"""Comparisons: results and problem files, with the input that caused a change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.commands import cli
from optimizer.decide import solve_problem
from optimizer.errors import UsageError
from optimizer.negotiate.compare import compare
from optimizer.report import render
from optimizer.report.negotiate_compare import render_comparison

ROOT = Path(__file__).resolve().parents[2]
CHAT = ROOT / "problems" / "chatbot_100users.yaml"


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The front page with four times the load and a looser first token, which changes nothing by itself."""
    path = tmp_path_factory.mktemp("diff") / "more.yaml"
    text = CHAT.read_text().replace("output_tokens_per_second: 2000", "output_tokens_per_second: 16000")
    path.write_text(text.replace("context_max: 8192", "context_max: 8000"))
    return path


def test_problem_files_name_the_input_that_did_it(changed: Path) -> None:
    answer = compare(CHAT, changed, sets=["ranking.top=1"])
    assert {change.path for change in answer.inputs} == {
        "workloads.chat.traffic.output_tokens_per_second",
        "workloads.chat.tokens.context_max",
    }
    effects = {cause.change.path.rsplit(".", 1)[-1]: cause for cause in answer.causes}
    assert effects["output_tokens_per_second"].moves_plan
    assert effects["output_tokens_per_second"].cents == answer.cents[1]
    assert not effects["context_max"].moves_cost
    assert not answer.same
    text = " ".join(render_comparison(answer, "text").split())
    assert "another plan wins" in text
    assert "Cost lines" in text


def test_no_simulate_replays_nothing(changed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optimizer.planning import replay

    def never(*_: object) -> None:
        raise AssertionError("replayed")

    monkeypatch.setattr(replay, "survivors", never)
    result = CliRunner().invoke(cli, ["diff", str(CHAT), str(changed), "--no-simulate", "--set", "ranking.top=1"])
    assert result.exit_code == 0, result.exception
    assert "another plan wins" in result.output


def test_results_are_compared_as_they_stand(tmp_path: Path, changed: Path) -> None:
    files = []
    for name, problem in (("a.json", CHAT), ("b.json", changed)):
        files.append(tmp_path / name)
        files[-1].write_text(render(solve_problem(problem, sets=["ranking.top=1"]), "json"))
    answer = compare(*files)
    assert not answer.are_problems
    assert answer.cents[0] is not None
    assert answer.cents[1] is not None
    assert answer.cents[1] > answer.cents[0]
    assert answer.cost_lines
    document = json.loads(render_comparison(answer, "json"))
    assert document["monthly_cost"][1] > document["monthly_cost"][0]
    assert compare(files[0], files[0]).same
    assert "same best plan" in " ".join(render_comparison(compare(files[0], files[0]), "text").split())


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    result.write_text('{"problem": {}, "plans": 3}')
    with pytest.raises(UsageError, match="one of each"):
        compare(CHAT, result)
    with pytest.raises(UsageError, match="no result"):
        compare(result, result)
    with pytest.raises(UsageError, match="no such file"):
        compare(tmp_path / "none.yaml", CHAT)


def test_a_list_of_three_words_is_no_promise(tmp_path: Path, changed: Path) -> None:
    """``engine.weight_quant: [bf16, int8, fp8]`` is told as it is written."""
    listed = tmp_path / "listed.yaml"
    listed.write_text(changed.read_text() + "\nengine: {weight_quant: [bf16, int8, fp8]}\n")
    text = render_comparison(compare(changed, listed, sets=["ranking.top=1"], simulate=False), "text")
    assert "[bf16, int8, fp8]" in text


def test_a_workload_of_one_file_only_is_one_line(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(CHAT.read_text().replace("- name: chat", "- name: talk"))
    answer = compare(CHAT, other, sets=["ranking.top=1"], simulate=False)
    assert [change.path for change in answer.inputs] == ["workloads.chat", "workloads.talk"]
    text = render_comparison(answer, "text")
    assert "workloads.chat  in this file only" in " ".join(text.split(" ")).replace("   ", "  ")
    assert text.count("makes sense only with the others") == 2
