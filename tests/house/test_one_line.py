"""One line to every answer: what chooses plans is called by ``decide`` and by its case alone, whatever the command.

That the two agree is held by ``tests/decide/test_one_line.py``, and over all shipped problems by
``python -m benchmarks.one_line`` (docs/model.md has its figures).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "optimizer"

CHOOSES = {
    "solve_fleet",
    "rank_plans",
    "cheapest",
    "solve_first",
    "best_as_estimated",
    "best_as_replayed",
    "decided_by_replays",
    "survivors",
}
"""What turns candidates into a ranking: the solver, and the searches in which replays decide."""

ANSWERS = {"answer", "decide", "solve_problem", "solved", "answer_to", "open_case", "held_open"}
"""What gives an answer, or opens a case that does."""


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of every import from the package, wherever in the module it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("optimizer"):
            yield from ((str(node.module), one.name) for one in node.names)


def modules_that_use(names: set[str], *rooms: str) -> set[str]:
    return {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(name in names and module.split(".")[1:2] and module.split(".")[1] in rooms
               for module, name in imported(path))
    }  # fmt: skip


def test_only_the_line_and_its_case_choose_plans() -> None:
    outside = {
        name
        for name in modules_that_use(CHOOSES, "fleet", "planning")
        if Path(name).parts[0] not in ("fleet", "planning")
    }
    assert outside == {"decide/solve.py", "whatif/case.py"}


def test_commands_and_the_service_ask_questions_and_choose_nothing() -> None:
    """What they show comes from ``negotiate``: ``solved`` for the answer, a question of that room for the rest."""
    asking = modules_that_use(ANSWERS | CHOOSES, "decide", "whatif", "planning", "fleet")
    assert {Path(name).parts[0] for name in asking} <= {"decide", "whatif", "negotiate", "planning", "fleet"}


def test_every_question_about_the_best_plan_goes_through_the_line() -> None:
    questions = {"solve", "budget", "targets", "frontier", "explain", "why_not", "compare", "confirm"}
    line = modules_that_use(ANSWERS, "decide", "whatif", "negotiate")
    assert {f"negotiate/{name}.py" for name in questions} <= line
