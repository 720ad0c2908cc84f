"""The report of ``optimize diff``: what changed in plan, cost lines and promises, and which input caused it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optimizer.negotiate.compare import Cause, Change, Comparison
from optimizer.report.json_plan import Json, Money, dump
from optimizer.report.layout import BLANK, Block, Line, Passage, Say, Style, columns, said
from optimizer.report.negotiate_words import finished, signed, wrapped
from optimizer.report.widths import columns_of
from optimizer.report.words import exact, money, yaml_scalar

_NONE = "-"
_FAR = 100
"""Columns beyond which a row is no row any more."""


def render_comparison(answer: Comparison, style: str, say: Say = str) -> str:
    """The comparison as ``text`` or ``json``."""
    return dump(_document(answer)) if style == "json" else finished(_lines(answer), say)


def _lines(answer: Comparison) -> Iterator[Block]:
    yield from wrapped(f"What changed from {answer.before} to {answer.after}", "", "  ", Style.HEADING)
    yield BLANK
    yield from wrapped(("cost  ", _costs(answer)), style=Style.STRONG)
    if answer.same:
        yield from wrapped("Both give the same best plan, the same cost lines and the same promises.")
    yield BLANK
    yield from _table("Inputs", answer.inputs, answer)
    yield from _causes(answer)
    yield from _table("Best plan", answer.plan, answer)
    yield from _table("Cost lines, a month", answer.cost_lines, answer)
    yield from _table("Promises: what the plan reaches, of the limit", answer.promises, answer)


def _costs(answer: Comparison) -> str:
    before, after = answer.cents
    texts = [
        "no deployment keeps every promise" if cents is None else f"{money(cents, currency)}/mo"
        for cents, currency in zip(answer.cents, answer.currency, strict=True)
    ]
    if before is None or after is None or answer.currency[0] != answer.currency[1]:
        return f"{texts[0]} -> {texts[1]}"
    return f"{texts[0]} -> {texts[1]} ({signed(after - before, answer.currency[0])})"


def _table(title: str, changes: Sequence[Change], answer: Comparison) -> Iterator[Block]:
    if not changes:
        return
    yield Line(title, Style.HEADING)
    rows = [(change.path, _value(change.before), "->", _value(change.after)) for change in changes]
    yield _ChangeRows(tuple(rows))
    yield BLANK


@dataclass(frozen=True, slots=True)
class _ChangeRows:
    """A change a row; as running text where that is far too wide."""

    rows: tuple[tuple[str, str, str, str], ...]

    def lines(self, say: Say) -> Iterator[Line]:
        """As printed."""
        rows = said(self.rows, say)
        for row, text in zip(rows, columns(rows, "<<<<", folds=False), strict=True):
            if columns_of(text) <= _FAR:
                yield Line(text)
            else:
                yield from Passage(f"{row[0]}: {row[1]} -> {row[3]}", "  ", "      ").lines(str)


def _value(value: object) -> str:
    if value is None:
        return _NONE
    if isinstance(value, list) and len(value) == 3 and [isinstance(one, str) for one in value] == [False, False, True]:
        return f"{exact(round(value[0], 2))} of {exact(round(value[1], 2))} {value[2]}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return exact(round(value, 6))
    return yaml_scalar(value)


def _causes(answer: Comparison) -> Iterator[Block]:
    """Each changed input alone in the first problem."""
    if not answer.are_problems or not answer.inputs:
        return
    yield Line("What each changed input does alone, put into the first file", Style.HEADING)
    for cause in answer.causes:
        yield from wrapped(f"{cause.change.path}: {_effect(cause, answer)}", "  ", "      ")
    if not any(cause.moves_plan or cause.moves_cost for cause in answer.causes) and not answer.same:
        yield from wrapped("None of them changes the answer alone: they do so together.")
    yield BLANK


def _effect(cause: Cause, answer: Comparison) -> str:
    if cause.cents is None:
        return "alone, no deployment keeps every promise" if cause.moves_plan else "makes sense only with the others"
    before = answer.cents[0]
    gap = "" if before is None else f" ({signed(cause.cents - before, answer.currency[0])})"
    cost = f"{money(cause.cents, answer.currency[0])}/mo{gap}"
    if cause.moves_plan:
        return f"another plan wins, at {cost}"
    return f"the same plan, at {cost}" if cause.moves_cost else "changes neither plan nor cost"


def _document(answer: Comparison) -> dict[str, Json]:
    return {
        "before": answer.before,
        "after": answer.after,
        "same": answer.same,
        "status": list(answer.status),
        "monthly_cost": [None if cents is None else Money(cents) for cents in answer.cents],
        "currency": list(answer.currency),
        "inputs": _changes(answer.inputs),
        "plan": _changes(answer.plan),
        "cost_lines": _changes(answer.cost_lines),
        "promises": _changes(answer.promises),
        "causes": [
            {
                "input": cause.change.path,
                "monthly_cost": None if cause.cents is None else Money(cause.cents),
                "changes_plan": cause.moves_plan,
                "changes_cost": cause.moves_cost,
            }
            for cause in answer.causes
        ],
    }


def _changes(changes: Sequence[Change]) -> list[Json]:
    return [{"path": one.path, "from": _json(one.before), "to": _json(one.after)} for one in changes]


def _json(value: object) -> Json:
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return [_json(item) for item in value] if isinstance(value, (list, tuple)) else str(value)
