"""What is known of a problem file saves work from one question to the next and changes no answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from optimizer.catalog import load_catalog
from optimizer.decide import answer, read_inputs
from optimizer.performance import operating_points
from optimizer.planning.inputs import Inputs
from optimizer.planning.known import MOST_QUESTIONS, KnownProblems, keeping
from optimizer.planning.replicas_replayed import Replayer, ReplayMemory, Trial
from optimizer.report import render
from optimizer.simulate import compiled

pytestmark = pytest.mark.cold

PROBLEM = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 4}
    tokens: {input: 800, output: 200}
    slo: {ttft_ms: {p95: 800}, tpot_ms: {p95: 40}}
hardware:
  gpus: [l40s_48, mine]
  custom: [{id: mine, sibling: l40s_48, memory_bandwidth_gb_s: 900}]
engine: {weight_quant: [fp8], pipeline_parallel: [1]}
ranking: {top: 3}
"""

EDITS: tuple[tuple[str, ...], ...] = (
    (),
    ("workloads.chat.traffic.requests_per_second=9",),
    ("workloads.chat.slo.tpot_ms.p95=30",),
    ("margins.confidence=0.5",),
    ("hardware.custom.mine.memory_bandwidth_gb_s=1200",),
    ("workloads.chat.tokens.input=1200",),
    (),
)


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    path = tmp_path / "problem.yaml"
    path.write_text(PROBLEM, encoding="utf-8")
    return path


@pytest.fixture
def known() -> Iterator[KnownProblems]:
    problems = KnownProblems(2)
    with keeping(problems):
        yield problems


def told(path: Path, sets: tuple[str, ...]) -> str:
    return render(answer(read_inputs(path, sets=sets), tested=False).outcome, "json")


def test_answers_do_not_depend_on_what_was_asked_before(problem: Path) -> None:
    fresh = [told(problem, sets) for sets in EDITS]
    with keeping(KnownProblems(2)):
        assert [told(problem, sets) for sets in EDITS] == fresh


def test_nothing_is_predicted_or_replayed_twice(
    problem: Path, known: KnownProblems, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(problem, ())

    def anew(*_: object) -> None:
        raise AssertionError("worked out anew")

    monkeypatch.setattr(compiled.CompiledLoop, "__call__", anew)
    monkeypatch.setattr(operating_points, "_prepared", anew)
    told(problem, ())


def opened(path: Path, *sets: str) -> Inputs:
    return read_inputs(path, sets=sets)


def test_a_file_with_other_contents_is_another(problem: Path, known: KnownProblems) -> None:
    before = opened(problem)
    assert opened(problem).known is before.known
    problem.write_text(PROBLEM + "\nname: other\n", encoding="utf-8")
    assert opened(problem).known is not before.known


def test_so_is_one_that_names_a_file_with_other_contents(problem: Path, known: KnownProblems) -> None:
    lengths = problem.parent / "lengths.csv"
    lengths.write_text("input,output,share\n100,10,0.5\n900,90,0.5\n", encoding="utf-8")
    edit = "workloads.chat.tokens={histogram: lengths.csv}"
    before = opened(problem, edit)
    assert opened(problem, edit).known is before.known
    lengths.write_text("input,output,share\n100,10,0.5\n900,80,0.5\n", encoding="utf-8")
    assert opened(problem, edit).known is not before.known


@pytest.mark.parametrize(
    "edit",
    ["hardware.custom.mine.memory_bandwidth_gb_s=1200", "workloads.chat.model=Qwen/Qwen2.5-7B-Instruct"],
)
def test_so_is_one_with_another_card_or_model(problem: Path, known: KnownProblems, edit: str) -> None:
    assert opened(problem, edit).known is not opened(problem).known


def test_loads_promises_and_prices_are_the_same_file(problem: Path, known: KnownProblems) -> None:
    before = opened(problem)
    edits = ("workloads.chat.slo.tpot_ms.p95=30", "payment.tiers=[on_demand]", "workloads.chat.tokens.input=900")
    assert all(opened(problem, edit).known is before.known for edit in edits)
    assert opened(problem, edits[0]).catalog is before.catalog


def test_catalogs_that_no_file_holds_are_told_apart(problem: Path, known: KnownProblems) -> None:
    first, second = load_catalog(), load_catalog()
    assert read_inputs(problem, catalogs=first).known is read_inputs(problem, catalogs=first).known
    assert read_inputs(problem, catalogs=first).known is not read_inputs(problem, catalogs=second).known


def test_the_files_asked_about_longest_ago_are_forgotten(tmp_path: Path, known: KnownProblems) -> None:
    paths = [tmp_path / f"{name}.yaml" for name in "abc"]
    for path in paths:
        path.write_text(PROBLEM, encoding="utf-8")
    first, second = opened(paths[0]), opened(paths[1])
    opened(paths[2])
    assert opened(paths[1]).known is second.known
    assert opened(paths[0]).known is not first.known


def test_after_many_questions_a_file_is_forgotten(problem: Path, known: KnownProblems) -> None:
    first = opened(problem)
    others = [opened(problem).known for _ in range(MOST_QUESTIONS)]
    assert all(one is first.known for one in others[:-1])
    assert others[-1] is not first.known


def test_nothing_is_shared_unless_asked_for(problem: Path) -> None:
    assert opened(problem).known is not opened(problem).known


def test_another_question_concludes_nothing_from_replays_of_this_one(problem: Path, known: KnownProblems) -> None:
    inputs = opened(problem)
    found = answer(inputs, tested=False)
    spec = found.result.solutions[0].groups[0].candidate.spec
    trial, more = Trial(0, spec, 50, 1.0), Trial(0, spec, 60, 1.0)
    asked, later = (Replayer(inputs, ReplayMemory(inputs.known.replays)) for _ in range(2))
    replay = asked.replay(trial)
    assert asked.expected(more) is True
    assert later.expected(more) is None and not later.knows(trial)
    assert later.replay(trial) is replay
