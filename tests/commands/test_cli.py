"""The command line as a user meets it: what it imports, its exit codes, its formats, what it never does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRONT_PAGE = ROOT / "problems" / "chatbot_100users.yaml"


def run(*arguments: str | Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The whole program as its own process, from the checkout's root."""
    return subprocess.run(
        [sys.executable, "-m", "optimizer", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )


@pytest.fixture(scope="module")
def front_page() -> dict[str, object]:
    """The front-page problem, solved once, as JSON."""
    result = run(FRONT_PAGE, "--format", "json", "--no-simulate", "--set", "ranking.distinct_by=[configuration]")
    assert result.returncode == 0, result.stderr
    document: dict[str, object] = json.loads(result.stdout)
    return document


@pytest.mark.parametrize("arguments", [("--help",), ("check", str(FRONT_PAGE)), ("solve", "--help")])
def test_light_commands_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom optimizer.commands import cli\n"
        "try:\n    cli(sys.argv[1:], prog_name='optimize')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'ortools', 'pandas', 'numpy', 'numba', 'scipy'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_front_page_is_proven_and_ranked(front_page: dict[str, object]) -> None:
    plans = front_page["plans"]
    assert isinstance(plans, list)
    assert front_page["status"] == "optimal"
    assert len(plans) >= 10
    assert all(plan["proven"] for plan in plans)
    costs = [plan["monthly_cost"] for plan in plans]
    assert costs == sorted(costs)


def test_front_page_has_no_gap(front_page: dict[str, object]) -> None:
    proof = front_page["proof"]
    assert isinstance(proof, dict)
    assert proof["gap"] == 0
    assert proof["objective"]["value"] == proof["objective"]["bound"]


def test_at_least_four_kinds_of_gpu() -> None:
    result = run(FRONT_PAGE, "--format", "json", "--set", "ranking.distinct_by=gpu")
    plans = json.loads(result.stdout)["plans"]
    assert len({node["gpu"] for plan in plans for node in plan["nodes"]}) >= 4


def test_same_inputs_same_bytes_whatever_the_hash_seed() -> None:
    seeds = ("0", "1", "4242")
    outputs = {run(FRONT_PAGE, "--format", "json", environment={"PYTHONHASHSEED": seed}).stdout for seed in seeds}
    assert len(outputs) == 1
    assert json.loads(outputs.pop())["plans"]


def test_shuffled_catalog_gives_the_same_bytes(tmp_path: Path) -> None:
    catalogs = tmp_path / "catalogs"
    catalogs.mkdir()
    for name in ("gpus", "models", "offers", "engines"):
        header, *rows = (ROOT / "catalogs" / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        (catalogs / f"{name}.csv").write_text("\n".join([header, *reversed(rows)]) + "\n", encoding="utf-8")
    straight = run(FRONT_PAGE, "--format", "json", "--no-simulate")
    shuffled = run(FRONT_PAGE, "--format", "json", "--no-simulate", "--catalogs", catalogs)
    assert shuffled.returncode == 0, shuffled.stderr
    answers = [json.loads(one.stdout) for one in (straight, shuffled)]
    seals = [one.pop("seal") for one in answers]
    assert seals[0]["catalogs"] != seals[1]["catalogs"]  # other files, the same answer
    parts = [one.stdout.partition('"seal"')[0] for one in (straight, shuffled)]
    assert parts[0] == parts[1]
    assert answers[0] == answers[1]


def test_infeasible_exits_3_and_says_what_would_help() -> None:
    result = run(FRONT_PAGE, "--format", "json", "--set", "budget.monthly=100")
    assert result.returncode == 3, result.stderr
    document = json.loads(result.stdout)
    assert document["status"] == "infeasible"
    assert document["plans"] == []
    assert any(way["change"] == "budget.monthly" for way in document["relaxations"])


def test_a_mistake_exits_2_and_names_its_line(tmp_path: Path) -> None:
    wrong = FRONT_PAGE.read_text(encoding="utf-8").replace("context_max: 8192", "context_max: eight thousand")
    file = tmp_path / "wrong.yaml"
    file.write_text(wrong, encoding="utf-8")
    line = next(i for i, text in enumerate(wrong.splitlines(), 1) if "context_max" in text)
    result = run(file, "-o", tmp_path / "out.txt")
    assert result.returncode == 2
    assert f"{file}:{line}:" in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wrong.yaml"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("no_such_file.yaml",),
        ("problems",),
        (str(FRONT_PAGE), "--format", "pdf"),
        (str(FRONT_PAGE), "--set", "workloads.chat.slo.ttft=1"),
        (str(FRONT_PAGE), "--set", "nonsense"),
        (str(FRONT_PAGE), "--catalogs", "no_such_directory"),
        (str(FRONT_PAGE), "--no-simulate", "-o", "no_such_directory/out.txt"),
        (str(FRONT_PAGE), "--no-simulate", "--save-model", "no_such_directory/model.txt"),
    ],
)
def test_misuse_exits_2_without_traceback(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.strip()


@pytest.mark.parametrize("style", ["text", "json", "csv"])
def test_output_file_equals_stdout(style: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    printed = run(FRONT_PAGE, "--no-simulate", "--format", style)
    written = run(FRONT_PAGE, "--no-simulate", "--format", style, "-o", target)
    assert (printed.returncode, written.returncode) == (0, 0)
    text = target.read_text(encoding="utf-8")
    if style == "json":  # a file of JSON is a plan file: it carries its question too
        kept = json.loads(text)
        assert set(kept) - set(json.loads(printed.stdout)) == {"carried", "checksum"}
        text = json.dumps({key: value for key, value in kept.items() if key not in ("carried", "checksum")})
        assert json.loads(text) == json.loads(printed.stdout)
    else:
        assert text == printed.stdout
    assert "\x1b" not in printed.stdout


def test_the_model_can_be_saved(tmp_path: Path) -> None:
    target = tmp_path / "model.txt"
    result = run(FRONT_PAGE, "--no-simulate", "--save-model", target)
    assert result.returncode == 0, result.stderr
    assert "constraints" in target.read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [(str(FRONT_PAGE), "--no-simulate"), ("check", str(FRONT_PAGE)), ("--help",)])
def test_a_full_disk_behind_stdout_is_a_message(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "optimizer", *arguments],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 2, result.stderr
    assert result.stderr.splitlines() == [
        "Error: 1 thing to mend",
        "the output cannot be written: No space left on device",
    ]


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)])
def test_closed_streams_change_nothing_but_what_is_seen(closed: str, code: int) -> None:
    command = f"'{sys.executable}' -m optimizer '{FRONT_PAGE}' --no-simulate {closed}"
    result = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    if ">&-" not in closed.replace("2>&-", ""):
        assert "a month" in result.stdout and "serves 100 requests in flight" in result.stdout


def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    asked = "--format json --no-simulate --set ranking.top=10 | head -c 1"
    command = f"'{sys.executable}' -m optimizer '{FRONT_PAGE}' {asked}"
    result = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout == "{"
    assert all(line.startswith("prices: ") for line in result.stderr.splitlines())  # how old they are today, no more


def test_options_may_stand_before_the_file() -> None:
    before = run("--format", "json", "--no-simulate", FRONT_PAGE)
    assert before.stdout == run(FRONT_PAGE, "--format", "json", "--no-simulate").stdout
