"""``plan.json``: an answer with the question inside it, so that whoever holds the file needs nothing else.

It is the JSON report, followed by ``carried`` (the problem with every file that it names, the offers used as the
catalogs state them, and the answer whole, nothing rounded) and by the checksum of all that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from optimizer.catalog.types import Offer
from optimizer.errors import Finding, UsageError
from optimizer.files.carried import carried
from optimizer.files.json_file import parse_json
from optimizer.files.text_file import decode as decode_text
from optimizer.files.text_file import is_file, read_bytes
from optimizer.negotiate.page_curves import Picture
from optimizer.plan.carried import Json, NotCarriedError, decode, encode
from optimizer.plan.types import Outcome, Plan
from optimizer.progress import NO_LIMIT, Clock, Say, on_day, silent, today

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.decide import Answer
    from optimizer.planning.inputs import Inputs
    from optimizer.problem import Problem

MAX_BYTES = 256 * 1024 * 1024
"""Largest file read; one of ten plans has a third of a megabyte, a recorded trace inside it more."""

_TAIL = re.compile(rb',\n  "checksum": "([0-9a-f]{64})"\n\}\n\Z')
_KIND = "plan file"


class ChangedError(UsageError):
    """A plan file is not as it was written."""


@dataclass(frozen=True, slots=True)
class IncludedFile:
    """A file as it was read: its text, or where it is none its bytes in base64."""

    name: str
    text: str | None = None
    base64: str | None = None

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return base64.b64decode(self.base64) if self.base64 is not None else (self.text or "").encode()


@dataclass(frozen=True, slots=True)
class PackedAnswer:
    """Everything that an answer came from and all of it, for machines."""

    sets: tuple[str, ...]  # edits of the problem
    catalogs: str | None  # the user's own catalogs, on top of the packaged ones
    simulate: bool  # whether plans were replayed
    day: str  # that quotes were held against
    files: tuple[IncludedFile, ...]
    offers: tuple[Offer, ...]  # that the plans use, verbatim
    outcome: Outcome
    choice: object = None  # of the solver, see ``decide.held``
    picture: Picture | None = None  # what charts show beyond the answer; None: not drawn


@dataclass(frozen=True)
class PlanFile:
    """A plan file that was opened, with the problem in it read again."""

    path: Path
    carried: PackedAnswer
    inputs: Inputs

    @property
    def outcome(self) -> Outcome:
        """The answer."""
        return self.carried.outcome


Asked: TypeAlias = "Path | str | Problem | PlanFile"
"""What a question is asked about."""


def packed(answer: Answer, *, simulate: bool, picture: Picture | None = None) -> PackedAnswer:
    """An answer of ``solved`` as it travels."""
    from optimizer.decide.held import choice_of

    inputs, outcome = answer.case.inputs, answer.outcome
    return PackedAnswer(
        sets=inputs.sets,
        catalogs=None if inputs.catalogs is None else str(inputs.catalogs),
        simulate=simulate,
        day=today().isoformat(),
        files=tuple(_included(name, data) for name, data in sorted(inputs.files.items())),
        offers=offers_used(outcome, inputs.catalog),
        outcome=outcome,
        choice=choice_of(answer),
        picture=picture,
    )


def offers_used(outcome: Outcome, catalog: Catalog) -> tuple[Offer, ...]:
    """The offers of the catalogs that plans buy from, as they stand there; quotes and own nodes are in the problem."""
    used = {line.offer_id for plan in every_plan(outcome) for line in plan.nodes}
    return tuple(catalog.offers[name] for name in sorted(used) if name in catalog.offers)


def every_plan(outcome: Outcome) -> Iterator[Plan]:
    """The ranking, and the winners under another view that are none of it."""
    yield from outcome.plans
    for winner in outcome.others.every():
        if winner.plan is not None and winner.rank is None:
            yield winner.plan


def written(told: str, packed_answer: PackedAnswer) -> str:
    """The text of a plan file. ``told`` is the JSON report of the same outcome."""
    value = encode(replace(packed_answer, choice=None), PackedAnswer)
    value["choice"] = packed_answer.choice
    body = told.removesuffix("\n}\n") + f',\n  "carried": {json.dumps(value, separators=(",", ":"))}'
    return f'{body},\n  "checksum": "{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n'


def is_plan_file(path: Path) -> bool:
    """Whether a file is an answer rather than a question. Raises ``UsageError`` where it cannot be read."""
    from optimizer.negotiate.compare import is_result

    return path.suffix.lower() not in (".yaml", ".yml") and is_file(path) and is_result(path)


@dataclass(frozen=True, slots=True)
class PlanText:
    """A plan file as it was read, its checksum sound."""

    path: Path
    told: Mapping[str, Any]  # the JSON report
    carried: PackedAnswer

    @property
    def outcome(self) -> Outcome:
        """The answer."""
        return self.carried.outcome

    @property
    def files(self) -> dict[str, bytes]:
        """The files inside it, by path."""
        return {one.name: one.data for one in self.carried.files}


def read_plan(path: Path, *, sealed: bool = True) -> PlanText:
    """The file. Raises ``UsageError`` where it is no plan file, ``ChangedError`` where it is not as it was written.

    Not ``sealed``: read what there is, whatever the checksum says.
    """
    raw = read_bytes(path, _KIND, MAX_BYTES)
    if isinstance(raw, Finding):
        raise UsageError([raw])
    if sealed and b'"carried"' in raw and not _is_sealed(raw):
        hint = "ask whoever wrote it for the file as it was"
        message = "was changed after it was written: its checksum does not agree"
        raise ChangedError([Finding(message, str(path), hint=hint)])
    text = decode_text(raw, str(path))
    document = text if isinstance(text, Finding) else parse_json(text, str(path))
    if isinstance(document, Finding):
        raise UsageError([document])
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get("carried"), dict):
        hint = "`optimize FILE -o plan.json` writes one that has it"
        raise UsageError([Finding("is a result without the question that it answers", str(path), hint=hint)])
    data = dict(value["carried"])
    choice = data.pop("choice", None)
    try:
        found = replace(decode(data, PackedAnswer), choice=choice)
    except NotCarriedError as error:
        hint = "it was written by another version; solve its problem anew"
        raise UsageError([Finding(f"cannot be read back: {error}", str(path), hint=hint)]) from error
    return PlanText(path, {key: item for key, item in value.items() if key not in ("carried", "checksum")}, found)


def _is_sealed(raw: bytes) -> bool:
    tail = _TAIL.search(raw)
    return tail is not None and hashlib.sha256(raw[: tail.start()]).hexdigest().encode() == tail[1]


@contextmanager
def opened(text: PlanText) -> Iterator[PlanFile]:
    """Read the problem of a plan file from the file alone, on the day that it was asked."""
    from optimizer.planning.inputs import read_inputs

    packed_answer = text.carried
    root = None if packed_answer.catalogs is None else Path(packed_answer.catalogs)
    with carried(text.files), on_day(date.fromisoformat(packed_answer.day)):
        inputs = read_inputs(Path(packed_answer.outcome.problem_path), sets=packed_answer.sets, catalogs=root)
        yield PlanFile(text.path, packed_answer, inputs)


@contextmanager
def open_plan(path: Path | str) -> Iterator[PlanFile]:
    """Open a plan file, to ask ``explain``, ``targets``, ``budget``, ``frontier`` and ``why_not`` about meanwhile::

        with open_plan("plan.json") as plan:
            explain(plan)

    Parameters
    ----------
    path : Path or str
        What ``optimize FILE -o plan.json`` wrote.

    Returns
    -------
    context manager of PlanFile
        What those functions take in place of a problem, as long as it is open.

    Raises
    ------
    UsageError
        Where the file was changed, or where its problem, the catalogs, the performance model or the program is another
        than when it was written.

    Source
    ------
    The file itself: it carries the problem, every file that this names, and the offers used.
    """
    with opened(read_plan(Path(path))) as plan:
        refuse_other_seals(plan)
        yield plan


def refuse_other_seals(plan: PlanFile) -> None:
    """Raises ``UsageError`` where what is solved anew would rest on something else than the answer does."""
    from optimizer.planning.seal import changed, seal_of

    seal = plan.outcome.seal
    other = ("seal",) if seal is None else changed(seal, seal_of(plan.inputs))
    if other:
        said = " and ".join(f"seal.{name}" for name in other)
        hint = "--resolve solves its problem anew with what is here; `optimize verify` says what does not agree"
        raise UsageError(
            [Finding(f"rests on other {_of(other)} than are here: {said} differs", str(plan.path), hint=hint)]
        )


def _of(names: Sequence[str]) -> str:
    words = {"calibration": "performance parameters", "code": "code of this program", "problem": "files of the problem"}
    return " and ".join(words.get(name, name) for name in names)


def _included(name: str, data: bytes) -> IncludedFile:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return IncludedFile(name, base64=base64.b64encode(data).decode())
    return IncludedFile(name, text=text)


def inputs_of(problem: Asked, sets: Sequence[str], catalog: Catalog | Path | str | None) -> Inputs:
    """What a question is about: a problem that is read, or that of a plan file."""
    from optimizer.decide import read_inputs

    if not isinstance(problem, PlanFile):
        return read_inputs(problem, sets=sets, catalogs=catalog)
    if catalog is not None:
        raise UsageError([Finding("has its own catalogs: give no others", str(problem.path))])
    return problem.inputs.with_sets(sets) if sets else problem.inputs


def replays(problem: Asked, *, simulate: bool) -> bool:
    """Whether plans are replayed: as a plan file was made, else as is asked."""
    return problem.carried.simulate if isinstance(problem, PlanFile) else simulate


def answer_to(
    problem: Asked, inputs: Inputs, *, progress: Say = silent, simulate: bool = True, clock: Clock = NO_LIMIT
) -> Answer:
    """The answer to what ``inputs_of`` read: that of the plan file, held open without solving, or a new one, without
    the tests and charts that only documents show."""
    from optimizer.decide import answer

    if not isinstance(problem, PlanFile) or inputs is not problem.inputs:
        simulate = replays(problem, simulate=simulate)
        return answer(inputs, progress=progress, simulate=simulate, clock=clock, tested=False)
    from optimizer.decide.held import held_open

    told, choice = replace(problem.outcome, quotes=()), _choice(problem)
    simulate = problem.carried.simulate
    return held_open(inputs, told, choice, simulate=simulate, clock=clock, progress=progress)


def _choice(problem: PlanFile) -> Json:
    return problem.carried.choice
