"""Nothing but ``serve`` and the door to a Dask cluster opens a socket: by imports, and by what a run does."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TALKATIVE = frozenset(
    {"aiohttp", "asyncio", "dask", "distributed", "fastapi", "ftplib", "http", "httpx", "mcp", "requests",
     "smtplib", "socket", "socketserver", "ssl", "starlette", "telnetlib", "urllib3", "uvicorn", "webbrowser", "xmlrpc"}
)  # fmt: skip
ALLOWED = {
    "optimizer/negotiate/frontier.py": {"distributed"},
    "optimizer/service/assistant.py": {"mcp"},  # over standard input and output
    "optimizer/service/door.py": {"asyncio"},
    "optimizer/service/listen.py": {"socket", "uvicorn"},
    "optimizer/service/solver.py": {"asyncio"},
    "optimizer/service/web.py": {"fastapi", "starlette"},
}

_WATCHED = """
import runpy, sys

def refuse(event, arguments):
    if event.split(".")[0] in {"socket", "urllib", "http", "ftplib", "smtplib"}:
        raise SystemExit(f"opened the network: {event}")

sys.addaudithook(refuse)
sys.argv = ["optimize", *sys.argv[1:]]
runpy.run_module("optimizer", run_name="__main__", alter_sys=True)
"""


def imported(path: Path) -> Iterator[str]:
    """Top names of what a module imports, also by name at run time."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("import_module", "__import__"):
            yield from (one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str))


def test_no_module_imports_what_talks_to_a_network() -> None:
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "optimizer").rglob("*.py")):
        names = set(imported(path))
        talkative = {name.split(".")[0] for name in names} & TALKATIVE
        talkative |= {name for name in names if name.startswith("urllib.request")}
        if talkative:
            found[str(path.relative_to(ROOT))] = talkative
    assert found == ALLOWED


@pytest.mark.parametrize(
    "words", [("solve", "problems/chatbot_100users.yaml", "--no-simulate"), ("check", "problems/chat_and_rag.yaml")]
)
def test_a_run_opens_no_socket(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", _WATCHED, *words]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_watch_sees_a_socket() -> None:
    program = _WATCHED.replace('runpy.run_module("optimizer", run_name="__main__", alter_sys=True)',
                               'import socket; socket.socket().connect(("127.0.0.1", 9))')  # fmt: skip
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "opened the network" in result.stderr


_SERVES = """
import asyncio, sys

opened = []
sys.addaudithook(lambda event, arguments: opened.append((event, arguments)) if event.startswith("socket.") else None)
from optimizer.service.listen import rules_of, serve
import uvicorn

uvicorn.Server.run = lambda self, sockets: None  # it listens, and is asked nothing
serve("127.0.0.1", 0, rules_of("127.0.0.1", (), None), print)
"""


def test_serving_opens_the_socket_it_says_and_calls_nobody() -> None:
    program = _SERVES + (
        "bound = [arguments[1] for event, arguments in opened if event == 'socket.bind']\n"
        "assert bound == [('127.0.0.1', 0)], bound\n"
        "assert not [event for event, _ in opened if event in ('socket.connect', 'socket.getaddrinfo')], opened\n"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("http://127.0.0.1:")


def test_the_solver_of_a_server_opens_no_socket() -> None:
    program = _WATCHED.split("sys.argv", maxsplit=1)[0] + (
        "from optimizer.service.solver import told_of\n"
        "from optimizer.service.questions import CheckQuestion\n"
        "text = open('problems/chatbot_100users.yaml').read()\n"
        "assert told_of(CheckQuestion(problem=text)).ending.value == 'answered'\n"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
