"""Processor time of whole commands against merely importing ortools' ``cp_model``.

    python benchmarks/speed.py [RUNS] [--questions]

User and system time of each process: on a machine that others use too, wall-clock time says nothing. Runs alternate, so
that what slows the processor slows all alike; medians and their ratio are printed, nothing is asserted. A first round,
which writes byte code and object code as an installation does, is not counted. ``--questions`` asks the negotiating
commands and the drill about ``chat_and_rag`` too, which takes minutes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASE = "import cp_model"
COMMANDS = {
    "optimize --help": ["--help"],
    "optimize check": ["check", "problems/chatbot_100users.yaml"],
    "front page --no-simulate": ["problems/chatbot_100users.yaml", "--no-simulate"],
    "front page": ["problems/chatbot_100users.yaml"],
}
SHARED = "problems/chat_and_rag.yaml"
QUESTIONS = {
    f"{name} chat_and_rag": [name, SHARED, *more]
    for name, *more in (
        ("budget",),
        ("explain",),
        ("targets",),
        ("drill",),
        ("frontier", "--over", "workloads.chat.traffic.requests_per_second", "4:16", "--jobs", "1"),
    )
}
QUESTIONS["why not, chat_and_rag"] = ["explain", SHARED, "--why-not", "a100_sxm_80"]


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Processor seconds of one whole process, its threads included."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Time every command in turn and print medians as ratios of the bare import."""
    numbers = [word for word in sys.argv[1:] if not word.startswith("-")]
    runs = int(numbers[0]) if numbers else 7
    asked = COMMANDS | (QUESTIONS if "--questions" in sys.argv else {})
    commands = {name: [sys.executable, "-m", "optimizer", *words] for name, words in asked.items()}
    commands = {BASE: [sys.executable, "-c", "from ortools.sat.python import cp_model"], **commands}
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(runs + 1):
            for name, command in commands.items():
                times[name].append(seconds(command, environment))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:28s} {median * 1e3:7.0f} ms   {median / medians[BASE]:5.2f} x")


if __name__ == "__main__":
    main()
