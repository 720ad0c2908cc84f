"""Whether HTTP and the Model Context Protocol answer every problem of ``problems/`` with the bytes of the command line.

Each file is solved three times: by ``optimize solve --format json``, by a server that runs beside it, and by the tool
of an assistant, whose answer is the same with what is long left out. A file that names another file is refused by both,
as no file that a request names is opened. The page shows the answer of HTTP.

    python -m benchmarks.same_figures [--simulate] [NAME...]
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from optimizer.service.assistant import server_of, shortened
from optimizer.service.solver import Solver

PROBLEMS = Path(__file__).parents[1] / "problems"
_NAMES_A_FILE = {"calibration:", "trace:"}


def at_the_prompt(name: str, *, simulate: bool) -> str:
    """Standard output of the command."""
    words = [sys.executable, "-m", "optimizer", "solve", name, "--format", "json"]
    words += [] if simulate else ["--no-simulate"]
    done = subprocess.run(words, cwd=PROBLEMS, capture_output=True, text=True, check=False)
    return done.stdout or done.stderr


def over_http(address: str, name: str, *, simulate: bool) -> str:
    """The answer of a server, or what it refuses with."""
    question = {"problem": (PROBLEMS / name).read_text(encoding="utf-8"), "name": name, "simulate": simulate}
    head = {"Content-Type": "application/json"}
    asked = urllib.request.Request(f"{address}v1/solve", json.dumps(question).encode(), head)
    try:
        with urllib.request.urlopen(asked, timeout=400) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


async def by_an_assistant(solver: Solver, name: str, *, simulate: bool) -> Any:
    """The answer of the tool ``solve``."""
    fields = {"problem": (PROBLEMS / name).read_text(encoding="utf-8"), "name": name, "simulate": simulate}
    content: Any = await server_of(solver).call_tool("solve", fields)
    return json.loads(content[0].text if isinstance(content, list) else content.content[0].text)


def verdict(address: str, solver: Solver, name: str, *, simulate: bool) -> tuple[bool, str]:
    """Whether all agree on a file, and a word about it."""
    http = over_http(address, name, simulate=simulate)
    tool = asyncio.run(by_an_assistant(solver, name, simulate=simulate))
    if _NAMES_A_FILE & set((PROBLEMS / name).read_text(encoding="utf-8").split()):
        return "is not opened" in http and "is not opened" in json.dumps(tool), "names a file: refused"
    prompt = at_the_prompt(name, simulate=simulate)
    if http != prompt:
        return False, "HTTP differs"
    if tool != shortened(json.loads(prompt)):
        return False, "MCP differs"
    plans = json.loads(prompt)["plans"]
    return True, f"{plans[0]['monthly_cost']:,.2f} {plans[0]['currency']}" if plans else "no plan"


def main(words: list[str]) -> int:
    """Print a line a file; 1 where any differs."""
    simulate = "--simulate" in words
    names = [word for word in words if word != "--simulate"] or sorted(path.name for path in PROBLEMS.glob("*.yaml"))
    served = [sys.executable, "-m", "optimizer", "serve", "--port", "0"]
    bad = 0
    with subprocess.Popen(served, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        solver = Solver()
        try:
            for name in names:
                begin = time.monotonic()
                agree, word = verdict(address, solver, name, simulate=simulate)
                bad += not agree
                seconds = time.monotonic() - begin
                print(f"{'same' if agree else 'OTHER':5}  {seconds:6.1f} s  {name}: {word}", flush=True)
        finally:
            solver.stop()
            server.terminate()
    print(f"{len(names) - bad} of {len(names)} alike")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
