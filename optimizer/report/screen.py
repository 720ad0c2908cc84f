"""The first screen: one sentence, the question, a table of decisions, what holds them up, what to type next.

At most 40 lines; everything else is behind ``--full``, ``optimize explain`` and the documents.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator, Sequence

from optimizer.plan.types import Infeasible, Outcome, Relaxation
from optimizer.report.layout import BLANK, Line, Say, Style
from optimizer.report.screen_facts import asked, held_up, sentence
from optimizer.report.screen_no_plan import blocked, refused
from optimizer.report.screen_table import decisions, served, table
from optimizer.report.screen_words import LABEL, PIPE, WIDEST, Fact, cut
from optimizer.report.widths import padded
from optimizer.report.words import yaml_scalar

MOST_LINES = 40
_NARROWEST = 60
_LOOKS = {
    Style.HEADING: "bold",
    Style.STRONG: "bold cyan",
    Style.QUIET: "dim",
    Style.CAUTION: "yellow",
    Style.PLAIN: "",
}


def render_screen(
    outcome: Outcome, *, width: int | None = None, file: str = "", colour: bool = False, say: Say = str
) -> str:
    """The screen at a width in columns, 80 where none is given; ``file`` is the problem as the reader typed it."""
    width = min(max(width or PIPE, _NARROWEST), WIDEST)
    lines = list(screen_lines(outcome, width=width, file=file or outcome.problem_path, say=say))
    if not colour:
        return "\n".join(line.text for line in lines) + "\n"
    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, markup=False, soft_wrap=True, force_terminal=True)
    for line in lines:
        console.print(Text(line.text, style=_LOOKS[line.style]))
    return stream.getvalue()


def terminal_width() -> int:
    """Columns of the terminal that standard output is."""
    return shutil.get_terminal_size((PIPE, MOST_LINES)).columns


def wants_colour() -> bool:
    """Not where NO_COLOR is set to anything but empty (no-color.org), nor on a dumb terminal."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def screen_lines(outcome: Outcome, *, width: int, file: str, say: Say = str) -> Iterator[Line]:
    """The lines; facts that matter least go where there would be more than forty."""
    if outcome.plans:
        head = cut("".join(map(say, sentence(outcome))), width, 4)
        rows = decisions(outcome)
        middle = table(outcome, rows, width, say)
        serves = served(outcome.plans[0], width, say)
        middle += [BLANK, *serves] if serves else []
        below = list(held_up(outcome, rows))
    else:
        head = cut(say(refused(outcome)), width, 3)
        middle, below = blocked(outcome, width, say)
    last = next_steps(outcome, file, width, say)
    above = list(asked(outcome))
    fixed = len(head) + len(middle) + len(last) + 2 + (1 if middle else 0)
    above, below = _fitting(above, below, MOST_LINES - fixed, width, say)
    yield from (Line(text, Style.STRONG) for text in head)
    yield BLANK
    yield from _printed(above, width, say)
    if middle:
        yield BLANK
        yield from middle
    yield BLANK
    yield from _printed(below, width, say)
    yield from last


def _printed(facts: Sequence[Fact], width: int, say: Say) -> Iterator[Line]:
    for fact in facts:
        yield from fact.lines(width, say)


def _fitting(above: list[Fact], below: list[Fact], room: int, width: int, say: Say) -> tuple[list[Fact], list[Fact]]:
    """The facts that fit: those of the lowest ``keep`` go first, of several the last."""
    while (kept := [*above, *below]) and sum(len(fact.lines(width, say)) for fact in kept) > room:
        least = min(fact.keep for fact in kept)
        side = below if any(fact.keep == least for fact in below) else above
        side.remove(next(fact for fact in reversed(side) if fact.keep == least))
    return above, below


def next_steps(outcome: Outcome, file: str, width: int, say: Say = str) -> list[Line]:
    """What to type next, with the file where the line has room for it."""
    name = file if len(f"optimize explain {file}") + LABEL <= width and " " not in file else "FILE"
    if outcome.plans:
        steps = [f"optimize explain {name}"]
        tail = "or drill, report, shortlist, launch, budget, targets; --full: everything;"
    elif isinstance(outcome, Infeasible) and outcome.relaxations:
        steps = _edited(outcome.relaxations[0], name)
        tail = "or budget: what a budget buys; check: the question as read; --full: everything;"
    else:
        steps = [f"optimize check {name}"]
        tail = "or budget: what a budget buys; --full: everything;"
    head, hang = padded(say("next"), LABEL), " " * LABEL
    lines = [f"{head if number == 0 else hang}{step}" for number, step in enumerate(steps)]
    lines += cut(say(f"{tail} terms: optimize glossary"), width, 2, hang, hang)
    return [Line(line) for line in lines]


def _edited(way: Relaxation, name: str) -> list[str]:
    """The command with the first way out, an edit a line."""
    edits = [(way.change, way.after), *((path, after) for path, _, after in way.also)]
    words = [f"--set {path}={yaml_scalar(after).replace(' ', '')}" for path, after in edits]
    quoted = [word if not set(word) & set("[]{}*$") else f"--set '{word.removeprefix('--set ')}'" for word in words]
    return [*(f"{text} \\" for text in (f"optimize {name}", *(f"  {word}" for word in quoted[:-1]))), f"  {quoted[-1]}"]
