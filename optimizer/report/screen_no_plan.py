"""The first screen where nothing can be ranked: why not, and which edits of the file would change that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from optimizer.plan.types import Infeasible, Outcome, Relaxation
from optimizer.report.layout import Line, Say, Style
from optimizer.report.periods import rejection_line
from optimizer.report.screen_table import ScreenColumn, laid_out
from optimizer.report.screen_words import Fact, between, short_gpu
from optimizer.report.verdicts import arrow, hint
from optimizer.report.words import money, plural

_EDITS = 6
_ASKED = 2


def refused(outcome: Outcome) -> str:
    """That there is no plan, and whether that is proven."""
    proof = outcome.proof
    setups = plural(proof.candidates_enumerated, "setup")
    if isinstance(outcome, Infeasible):
        if not proof.candidates_enumerated:
            return "No deployment keeps every promise: no setup is left to enumerate."
        return f"No deployment keeps every promise: none of {setups} enumerated does (proven)."
    return f"Unknown: the time ran out with neither a plan nor a proof that there is none, over {setups}."


def blocked(outcome: Outcome, width: int, say: Say = str) -> tuple[list[Line], list[Fact]]:
    """The edits as a table, and the facts below it."""
    lines = _edits(outcome.relaxations, outcome.currency, width, say) if isinstance(outcome, Infeasible) else []
    return lines, list(_facts(outcome))


def _edits(relaxations: Sequence[Relaxation], currency: str, width: int, say: Say) -> list[Line]:
    if not relaxations:
        return []
    rows: list[tuple[str, str, str]] = []
    for one in relaxations[:_EDITS]:
        rows.append(
            (one.change, arrow(one.change, one.before, one.after, currency), money(one.monthly_cents, currency))
        )
        rows += [(f"and {path}", arrow(path, before, after, currency), "") for path, before, after in one.also]
    joint = any(one.also for one in relaxations)
    title = "any one of these edits is enough" if len(relaxations) > 1 else "this edit is enough"
    if joint:
        title = "these edits together" if len(relaxations) == 1 else "any one, with its 'and' lines"
    columns = [
        ScreenColumn(title, tuple(row[0] for row in rows), "<"),
        ScreenColumn("from -> to", tuple(row[1] for row in rows), "<"),
        ScreenColumn("then a month", tuple(row[2] for row in rows)),
    ]
    paths, arrows, _ = (one.said(say).width for one in columns)
    lines = laid_out(columns, title if paths >= arrows else "from -> to", width, say)  # the longer one goes on below
    plain = [Line(line.text, Style.HEADING if number == 0 else Style.PLAIN) for number, line in enumerate(lines)]
    rest = len(relaxations) - _EDITS
    return plain + ([Line(say(f"and {plural(rest, 'more edit')} (--full)"), Style.QUIET)] if rest > 0 else [])


def _facts(outcome: Outcome) -> Iterator[Fact]:
    if text := _stops(outcome):
        yield Fact("stops at", text, 8)
    for one in outcome.rejected[:2]:
        yield Fact("replay", rejection_line(one, outcome.currency), 6, 3)
    if isinstance(outcome, Infeasible) and not outcome.relaxations and not outcome.unpriced:
        yield Fact("hint", hint(), 7, 5)
    for unpriced in outcome.unpriced[:_ASKED]:
        nodes = "" if unpriced.nodes == 1 else f"{unpriced.nodes} nodes of "
        wins = "any price is better than no plan"
        if unpriced.ask_below_cents is not None:
            wins = f"wins below {money(unpriced.ask_below_cents, outcome.currency)} per node and month"
        yield Fact("ask for", f"a quote for {nodes}{unpriced.gpus_per_node}x {short_gpu(unpriced.gpu)}: {wins}", 6)
    if not isinstance(outcome, Infeasible):
        yield Fact("try", "more time (--time-limit), or fewer hardware.gpus or hardware.providers", 8)
    proof = outcome.proof
    text = f"under performance model {proof.performance_model}"
    if proof.prices_from is not None and proof.prices_to is not None:
        text += f" and prices {between(proof.prices_from, proof.prices_to)}"
    if isinstance(outcome, Infeasible):
        yield Fact("proven", text, 6)


def _stops(outcome: Outcome) -> str:
    """The rule that leaves nothing, and how many were left before it."""
    before: int | None = None
    for step in outcome.funnel:
        if step.remaining == 0:
            left = "" if before is None else f"; {before:,} were left before it"
            return f"{step.rule}: leaves none{left}"
        before = step.remaining
    return ""
