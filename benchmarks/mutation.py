"""Whether the tests bite: small faults put into the source one at a time, each against the tests of its room.

A fault changes one place: a comparison by its boundary, a sum to a difference, a product by 5 %, a number by a little,
a condition to its opposite, a text of a report by a space. It is killed where a test fails. What survives is printed: a
test is missing, or the change means nothing (docs/mutations.md lists those and why).

The sample is drawn by room with a seed, so that a run can be repeated. Everything happens in a copy of the checkout.

    python -m benchmarks.mutation --sample 60 --seed 1
    python -m benchmarks.mutation --rooms pricing verify --sample 20 --seed 2
    python -m benchmarks.mutation --only pricing/terms.py:120      # every fault of a line
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

TESTS: dict[str, tuple[str, ...]] = {
    "performance": ("tests/performance_step", "tests/performance", "tests/simulate/test_replica.py"),
    "pricing": ("tests/pricing",),
    "fleet": ("tests/fleet",),
    "verify": ("tests/verify",),
    "report": ("tests/report", "tests/negotiate"),
}
"""Tests that a room's faults are put to: physics, money, the solver's rules, their recomputation, what is printed."""

COPIED = (
    "optimizer",
    "catalogs",
    "data",
    "problems",
    "tests",
    "tools",
    "docs",
    "benchmarks",
    "pyproject.toml",
    "README.md",
)

_NO_TESTS = 5
"""Exit code of pytest where no test has the mark."""

LONGEST_S = 900
"""A fault that keeps its tests busy for longer is killed by that: it loops."""

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
_CALLED = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One place of a file and what stands there instead."""

    file: str  # below optimizer/
    line: int
    start: int  # offsets into the text
    end: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.before}  ->  {self.after}"


def faults(file: Path, name: str) -> Iterator[Fault]:
    """Every fault of a module, in the order of its text."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    aside = _not_run(tree)

    for node in ast.walk(tree):
        if id(node) in aside or not isinstance(node, ast.expr):
            continue
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        before = text.encode()[start:end].decode()
        for after in _instead(node, with_texts=name.startswith("report/")):
            yield Fault(name, node.lineno, start, end, " ".join(before.split()), after)


def _not_run(tree: ast.Module) -> set[int]:
    """Nodes that say something to a reader or to a checker of types alone, and those inside texts with fields."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.append(node.value)
        if isinstance(node, ast.AnnAssign):
            parts.append(node.annotation)
        if isinstance(node, ast.arg):
            parts.append(node.annotation)
        if isinstance(node, ast.FunctionDef):
            parts += [node.returns, *node.decorator_list]
        if isinstance(node, ast.ClassDef):
            parts += [*node.decorator_list, *node.bases]
        if isinstance(node, ast.JoinedStr):
            parts.append(node)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            parts.append(node)
        if isinstance(node, ast.Assert | ast.Raise):
            parts.append(node)
        for part in parts:
            found |= set() if part is None else {id(one) for one in ast.walk(part)}
    return found


def _instead(node: ast.expr, *, with_texts: bool) -> Iterator[str]:
    """What may stand in place of an expression."""
    if isinstance(node, ast.Constant):
        yield from _other_value(node.value, with_texts=with_texts)
        return
    if isinstance(node, ast.BinOp) and type(node.op) in _COMPUTED:
        yield _text(ast.BinOp(node.left, _COMPUTED[type(node.op)](), node.right))
        if isinstance(node.op, ast.Mult | ast.Div) and not _is_text(node):
            yield f"({_text(node)} * 0.95)"
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _CALLED:
            yield _text(node).replace(name, _CALLED[name], 1)
    else:
        yield from _other_condition(node)


def _other_condition(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARED:
        yield _text(ast.Compare(node.left, [_COMPARED[type(node.ops[0])]()], node.comparators))
    elif isinstance(node, ast.BoolOp):
        yield _text(ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _text(node.operand)
    elif isinstance(node, ast.IfExp):
        yield _text(ast.IfExp(node.test, node.orelse, node.body))


def _other_value(value: object, *, with_texts: bool) -> Iterator[str]:
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield str(value + 1)
    elif isinstance(value, float):
        yield repr(value * 1.05 if value else 0.05)
    elif isinstance(value, str) and with_texts and " " in value.strip():
        yield repr(value.replace(" ", "  ", 1))


def _text(node: ast.expr) -> str:
    return f"({ast.unparse(ast.fix_missing_locations(node))})" if not isinstance(node, ast.Call) else ast.unparse(node)


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(side, ast.Constant | ast.JoinedStr) and not isinstance(getattr(side, "value", 0), int | float)
               for side in (node.left, node.right))  # fmt: skip


def sample(rooms: list[str], size: int, seed: int) -> list[Fault]:
    """As many faults of each room, drawn over its modules alike: a long module is no more likely than a short one."""
    found: list[Fault] = []
    for number, room in enumerate(rooms):
        draw = random.Random(f"{seed} {room}")
        files = sorted((ROOT / "optimizer" / room).glob("*.py"))
        every = {file.name: list(faults(file, f"{room}/{file.name}")) for file in files}
        every = {name: rows for name, rows in every.items() if rows}
        share = size // len(rooms) + (number < size % len(rooms))
        for _ in range(share):
            rows = every[draw.choice(sorted(every))]
            found.append(rows.pop(draw.randrange(len(rows))))
            every = {name: rows for name, rows in every.items() if rows}
    return found


def killed_by(fault: Fault, checkout: Path, marks: tuple[str, ...]) -> str | None:
    """The first test that fails, or why else it is noticed; None: it survives."""
    file = checkout / "optimizer" / fault.file
    whole = file.read_bytes()
    file.write_bytes(whole[: fault.start] + fault.after.encode() + whole[fault.end :])
    try:
        return _first_failure(checkout, _nearest_first(checkout, fault.file), marks)
    finally:
        file.write_bytes(whole)


def _nearest_first(checkout: Path, file: str) -> tuple[str, ...]:
    """Files of tests of a module's room: those that import the module, then those that name what it defines."""
    room, _, name = file.removesuffix(".py").partition("/")
    tree = ast.parse((ROOT / "optimizer" / file).read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    listed = [checkout / one for one in TESTS[room]]
    every = [path for one in listed for path in (sorted(one.glob("test_*.py")) if one.is_dir() else [one])]

    def distance(path: Path) -> tuple[int, int]:
        text = path.read_text(encoding="utf-8")
        named = sum(len(re.findall(rf"\b{one}\b", text)) for one in defined)
        return (0 if f"optimizer.{room}.{name}" in text else 1, -named)

    return tuple(str(path.relative_to(checkout)) for path in sorted(every, key=distance))


def _first_failure(checkout: Path, tests: tuple[str, ...], marks: tuple[str, ...]) -> str | None:
    """The first test that fails, those of a mark before those of the next."""
    return next(filter(None, (_failure_of(checkout, tests, mark) for mark in marks)), None)


def _failure_of(checkout: Path, tests: tuple[str, ...], mark: str) -> str | None:
    """Runs tests in a child of this process, which has loaded the libraries already."""
    told = checkout / "failed"
    told.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        os.setsid()
        _run_tests(checkout, tests, mark, told)
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if os.waitstatus_to_exitcode(status) in (0, _NO_TESTS):
                return None
            return told.read_text().strip() if told.exists() else "it does not load"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "it does not end"


def _run_tests(checkout: Path, tests: tuple[str, ...], mark: str, told: Path) -> None:
    """Never returns."""
    code = 1
    try:
        import pytest

        class Listener:
            def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
                if report.failed and not told.exists():
                    told.write_text(report.nodeid)

        sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        os.chdir(checkout)
        os.environ["PYTHONPATH"] = str(checkout)
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(checkout))
        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", mark, *tests], plugins=[Listener()]))
    finally:
        os._exit(code)


def _copy(folder: Path) -> Path:
    checkout = folder / "checkout"
    checkout.mkdir()
    left = shutil.ignore_patterns("__pycache__", ".hypothesis")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=left)
        else:
            shutil.copy(source, checkout / name)
    return checkout


def _load_libraries() -> None:
    import click
    import numba
    import numpy as np
    import pandas as pd
    import pydantic
    import pytest
    import ruamel.yaml

    assert all((click, numba, np, pd, pydantic, pytest, ruamel.yaml))
    assert not [name for name in sys.modules if name == "optimizer" or name.startswith("optimizer.")]


def main() -> None:
    """Prints each fault with the test that killed it, then the survivors."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rooms", nargs="+", choices=TESTS, default=list(TESTS))
    words.add_argument("--sample", type=int, default=60)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--only", metavar="ROOM/FILE.py[:LINE]", action="append", help="these faults, not a sample")
    words.add_argument("--fast", action="store_true", help="the tests marked fast alone: a first look")
    words.add_argument("--sound", action="store_true", help="the tests are known to pass: do not begin with them")
    asked = words.parse_args()
    if asked.only:
        chosen = [fault for place in asked.only for fault in _at(place)]
    else:
        chosen = sample(asked.rooms, asked.sample, asked.seed)
    marks = ("fast",) if asked.fast else ("fast", "slow")
    _load_libraries()
    alive: list[Fault] = []
    with tempfile.TemporaryDirectory() as folder:
        checkout = _copy(Path(folder))
        for room in () if asked.sound else sorted({fault.file.split("/")[0] for fault in chosen}):
            unsound = _first_failure(checkout, TESTS[room], marks)
            if unsound is not None:
                raise SystemExit(f"{room}: without a fault this fails already: {unsound}")
        for number, fault in enumerate(chosen, start=1):
            killer = killed_by(fault, checkout, marks)
            alive += [fault] if killer is None else []
            print(f"{number}/{len(chosen)}  {fault}\n    {killer or 'SURVIVES'}", flush=True)
    print(f"\n{len(chosen) - len(alive)} of {len(chosen)} killed; survivors:")
    for fault in alive:
        print(f"  {fault}")


def _at(place: str) -> list[Fault]:
    name, _, line = place.partition(":")
    return [fault for fault in faults(ROOT / "optimizer" / name, name) if not line or fault.line == int(line)]


if __name__ == "__main__":
    main()
