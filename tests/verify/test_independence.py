"""Verification stands on its own: no solver, no search, no inversion of a capability."""

from __future__ import annotations

import ast
from pathlib import Path

import optimizer.verify

FORBIDDEN = (
    "ortools",
    "optimizer.fleet",
    "optimizer.candidates",
    "optimizer.decide",
    "optimizer.performance.operating_points",
)


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update([node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)])
    return names


def test_verify_imports_neither_solver_nor_search():
    for path in Path(optimizer.verify.__file__).parent.glob("*.py"):
        names = imported(path)
        assert not [name for name in names if name.startswith(FORBIDDEN)], path.name
        assert "optimizer.performance.operating_points" not in names
