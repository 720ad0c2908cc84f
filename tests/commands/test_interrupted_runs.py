"""Runs that end early: Ctrl-C, a reader that leaves, a disk that is full. Real processes, real signals."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRONT_PAGE = ROOT / "problems" / "chatbot_100users.yaml"
PROGRAM = [sys.executable, "-m", "optimizer"]

_RUN = "import runpy; runpy.run_module('optimizer', run_name='__main__', alter_sys=True)"
INTERRUPTIBLE = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {_RUN}"
"""A shell may start what runs behind it with SIGINT ignored."""

_LIMIT = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))"
SMALL_DISK = f"{_LIMIT}; sys.dont_write_bytecode = True; {_RUN}"
"""Files may grow to 2 KiB: as on a disk that is full, writing fails half way. Python itself must not write its compiled
modules here: it would leave halves, which every later run of this checkout then reads ("marshal data too short")."""


def interrupted(arguments: list[str], after_s: float) -> tuple[int, str, str, float]:
    """Exit code, output and seconds from the signal to the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err, time.monotonic() - sent


@pytest.mark.parametrize("seconds", [1.5])
def test_ctrl_c_ends_with_130_a_word_and_nothing_written(tmp_path: Path, seconds: float) -> None:
    files = ["-o", str(tmp_path / "plan.json"), "--save-model", str(tmp_path / "model.txt")]
    arguments = [str(FRONT_PAGE), "--no-simulate", "--set", "ranking.top=100", "--format", "json", *files]
    code, out, err, _ = interrupted(arguments, seconds)
    assert (code, out) == (130, "")
    assert err.split() == ["Interrupted."]
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_the_processes_of_a_frontier(tmp_path: Path) -> None:
    output = str(tmp_path / "frontier.csv")
    axes = ["--over", "concurrency", "50:4000:1", "--against", "ttft_ms", "500:5000"]
    arguments = ["frontier", str(FRONT_PAGE), "--no-simulate", *axes, "--jobs", "2", "--format", "csv", "-o", output]
    code, out, err, ended = interrupted(arguments, 3.0)
    assert (code, out) == (130, "")
    assert err.split() == ["Interrupted."]
    assert ended < 10
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_during_a_solve_stops_the_solver() -> None:
    """A model on which the search would go on for minutes."""
    program = """
import sys, threading, os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job started in the background ignores it
from optimizer.fleet.cpsat import CpModel, CpSolver
model = CpModel()
holes, birds = 14, 15
sits = [[model.new_bool_var("") for _ in range(holes)] for _ in range(birds)]
for bird in sits:
    model.add(sum(bird) == 1)
for hole in range(holes):
    for one in range(birds):
        for other in range(one):
            model.add(sits[one][hole] + sits[other][hole] <= 1)
solver = CpSolver()
solver.parameters.num_workers = 1
solver.parameters.cp_model_presolve = False
solver.parameters.symmetry_level = 0
solver.parameters.linearization_level = 0
solver.parameters.max_time_in_seconds = 60
threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    print("ended", solver.solve(model))
except KeyboardInterrupt:
    print("interrupted")
"""
    begun = time.monotonic()
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout == "interrupted\n", result.stdout + result.stderr
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    "arguments",
    [
        (str(FRONT_PAGE), "--no-simulate", "--format", "json", "--set", "ranking.top=1"),
        ("check", str(FRONT_PAGE)),
        ("catalog", "offers"),
        ("schema",),
        ("--help",),
    ],
)
def test_a_reader_that_has_left_is_no_failure(arguments: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        [*PROGRAM, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), err) == (141, "")


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        ((str(FRONT_PAGE), "--no-simulate", "--format", "json", "-o"), "plan.json"),
        (("launch", str(FRONT_PAGE), "--no-simulate", "-o"), "made/on/the/way"),
        (("schema", "-o"), "schema.json"),
        (("new", "chatbot", "-o"), "chatbot.yaml"),
    ],
)
def test_a_full_disk_leaves_nothing_half_written(arguments: tuple[str, ...], target: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, *arguments, str(tmp_path / target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2, result.stderr
    assert "cannot be written: File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    for name in ("README.md", "other.txt"):
        (tmp_path / name).write_text("before", encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, "launch", str(FRONT_PAGE), "--no-simulate", "-o", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2, result.stderr
    assert sorted(one.name for one in tmp_path.iterdir()) == ["README.md", "other.txt"]
    assert {one.read_text(encoding="utf-8") for one in tmp_path.iterdir()} == {"before"}


def test_a_device_that_is_full_is_a_message() -> None:
    result = subprocess.run(
        [*PROGRAM, "schema", "-o", "/dev/full"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[1] == "/dev/full: cannot be written: No space left on device"
