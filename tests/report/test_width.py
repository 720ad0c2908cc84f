"""No text that a command prints on a pipe is wider than 80 columns, but for a word that is.

``optimize FILE`` and its long report over all problems: tests/handover/test_every_problem.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.commands import cli
from optimizer.report.layout import Line
from optimizer.report.negotiate_words import finished

PROBLEMS = Path(__file__).parents[2] / "problems"
QUESTIONS = (
    ("explain",),
    ("explain", "--why-not", "l20_48"),
    ("targets",),
    ("budget", "--monthly", "60000"),
)


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
@pytest.mark.parametrize(
    ("name", "edits"),
    [
        ("quotes_in_cny.yaml", ()),
        ("chat_and_rag.yaml", ("--set", "hardware.gpus=[h100_sxm_80, l40s_48, l20_48]", "--set", "ranking.top=2")),
    ],
)
def test_an_answer_of_the_negotiation_is_80_columns_wide(
    name: str, edits: tuple[str, ...], question: tuple[str, ...]
) -> None:
    command, *rest = question
    done = CliRunner().invoke(cli, [command, str(PROBLEMS / name), "--no-simulate", *edits, *rest])
    assert done.exit_code in (0, 3), (done.output, done.exception)
    wide = [line for line in done.stdout.splitlines() if len(line) > 80]
    assert not [line for line in wide if len(line.split()) > 1]


def test_a_line_that_is_too_wide_goes_on_further_in() -> None:
    row = "  " + "cell  " * 20
    long_word = "x" * 90
    lines = finished([Line(row), Line(""), Line(long_word)]).splitlines()
    assert lines[0].startswith("  cell  cell") and lines[1].startswith("      cell")
    assert max(map(len, lines[:-1])) <= 80
    assert lines[-1] == long_word and " ".join(lines[:-2]).split() == row.split()
