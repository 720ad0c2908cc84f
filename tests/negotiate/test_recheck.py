"""``optimize verify``: whatever is changed in a plan file is refused, also where its checksum was made anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from optimizer.commands import cli
from optimizer.negotiate.plan_file import PackedAnswer, PlanText, opened, packed, read_plan, written
from optimizer.negotiate.recheck import Rechecked, recheck, told_anew
from optimizer.negotiate.solve import solved
from optimizer.plan.carried import NotCarriedError, decode, encode
from optimizer.planning import seal
from optimizer.report.json_report import render_json
from optimizer.report.plan_file import render_plan_file

PROBLEM = Path(__file__).parents[2] / "problems" / "a10_server_qwen3_32b.yaml"

ONLY_A_SOLVE_TELLS = (
    "outcome.proof.candidates_enumerated",
    "outcome.proof.candidates_feasible",
    "outcome.proof.candidates_screened",
    "outcome.proof.replay.",
    "outcome.funnel.",
    "outcome.plans.stress.",
)
"""How many configurations there were and what others would cost: the search itself."""

ONLY_A_REPLAY_TELLS = ("outcome.plans.simulated.", "outcome.plans.experiments.", "outcome.plans.minimality.fewer.")
"""What requests saw one by one. Limits, margins and loads of replays are rechecked all the same."""

Path_ = tuple[str | int, ...]


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recheck") / "plan.json"
    found = solved(PROBLEM, sets=["ranking.top=2"])
    path.write_text(render_plan_file(packed(found, simulate=True)), encoding="utf-8")
    return path


def said(path: Path) -> Rechecked:
    return recheck(path, render_json)


def numbers(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from numbers(item, (*path, at))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path


def changed(value: Any, path: Path_) -> Any:
    """The value with another number at the path; what lies beside the path is shared."""
    if not path:
        return value + 1 if isinstance(value, int) else value * 1.01 + 0.01
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:])
    return copy


def kind(path: Path_) -> str:
    return ".".join(step for step in path if isinstance(step, str))


def test_it_holds_and_says_what_was_checked(plan: Path) -> None:
    answer = said(plan)
    assert answer.holds, answer.disagreements
    assert [one.part for one in answer.agreed] == ["file", "report", "question", "seals", "offers", "plans", "proof"]
    result = CliRunner().invoke(cli, ["verify", str(plan)])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()[1:]  # the first names the file
    assert len(lines) < 18 and max(map(len, lines)) <= 80


def test_every_changed_byte_is_refused(plan: Path, tmp_path: Path) -> None:
    raw, other = plan.read_bytes(), tmp_path / "plan.json"
    for at in [*range(0, len(raw), 997), len(raw) - 3, len(raw) - 30]:
        other.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(Exception, match=r"checksum|no plan|JSON|without|UTF-8"):
            read_plan(other)


def test_every_changed_number_is_refused(plan: Path, tmp_path: Path) -> None:
    """One by one, of both parts of the file."""
    document, other = json.loads(plan.read_text()), tmp_path / "plan.json"
    text = plan.read_text()
    body = text[: text.index('"carried"')]
    at = 0
    count = 0
    for path in numbers({key: value for key, value in document.items() if key not in ("carried", "checksum")}):
        del path
        digit = next(place for place in range(at, len(body)) if body[place].isdigit())
        flipped = "1" if text[digit] != "1" else "2"
        other.write_text(text[:digit] + flipped + text[digit + 1 :])
        with pytest.raises(Exception, match="checksum"):
            read_plan(other)
        at = next(place for place in range(digit, len(body)) if not body[place].isdigit() and body[place] != ".")
        count += 1
    assert count > 200


def test_a_changed_cent_is_named(plan: Path, tmp_path: Path) -> None:
    other = tmp_path / "plan.json"
    cost = json.loads(plan.read_text())["plans"][0]["monthly_cost"]
    other.write_text(plan.read_text().replace(f'"monthly_cost": {cost:.2f}', f'"monthly_cost": {cost + 0.01:.2f}', 1))
    result = CliRunner().invoke(cli, ["verify", str(other)])
    assert result.exit_code == 1
    assert "checksum" in result.stdout
    assert f"plans[0].monthly_cost is {cost + 0.01:.2f}" in result.stdout


def test_a_forger_who_makes_the_checksum_anew_is_refused_too(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One number of every kind, changed alike in both parts; what is not noticed is what takes a solve or a replay."""
    monkeypatch.setattr(seal, "seal_of", cache(seal.seal_of))  # nothing that is sealed changes meanwhile
    text = read_plan(plan)
    value = encode(replace(text.carried, choice=None), PackedAnswer)
    seen, unnoticed = set(), []
    with opened(text) as held:
        for path in numbers(value):
            about = kind(path)
            if about in seen or path[0] in ("files", "choice"):
                continue
            seen.add(about)
            try:
                forged = replace(decode(changed(value, path), PackedAnswer), choice=text.carried.choice)
            except NotCarriedError:
                continue
            if next(told_anew(PlanText(plan, {}, forged), held.inputs), None) is None:
                unnoticed.append(about)
    assert len(seen) > 150
    assert not [one for one in unnoticed if not one.startswith(ONLY_A_SOLVE_TELLS + ONLY_A_REPLAY_TELLS)]
    other = tmp_path / "plan.json"
    best = text.outcome.plans[0]
    better = replace(best, monthly_cents=best.monthly_cents - 1, load_factor=best.load_factor + 0.01)
    cheaper = (better, *text.outcome.plans[1:])  # the most load is sought
    forged = replace(text.carried, outcome=replace(text.outcome, plans=cheaper))
    other.write_text(written(render_json(forged.outcome), forged), encoding="utf-8")
    assert {one.part for one in said(other).disagreements} >= {"plans", "proof"}


def test_another_problem_inside_is_refused(plan: Path, tmp_path: Path) -> None:
    carried, other = read_plan(plan).carried, tmp_path / "plan.json"
    (file,) = carried.files
    assert file.text is not None
    forged = replace(carried, files=(replace(file, text=file.text.replace("p95: 10000", "p95: 9000")),))
    assert forged != carried
    other.write_text(written(render_json(forged.outcome), forged), encoding="utf-8")
    assert {one.part for one in said(other).disagreements} >= {"seals", "question"}


def test_it_needs_neither_solver_nor_network_nor_two_seconds(plan: Path) -> None:
    code = (
        "import sys, time, socket\n"
        "def refuse(*_, **__): raise OSError('no network here')\n"
        "socket.socket.connect = refuse\n"
        "from optimizer.commands import cli\n"
        f"try: cli(['verify', {str(plan)!r}])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "rooms = ('ortools', 'numba', 'optimizer.fleet', 'optimizer.candidates')\n"
        "wrong = [name for name in sys.modules if name.startswith(rooms)]\n"
        "assert not wrong, wrong\n"
        "assert time.process_time() < 2.0, time.process_time()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_no_plan_file_is_a_wrong_input(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    assert CliRunner().invoke(cli, ["verify", str(path)]).exception is not None
