"""One process that answers questions one after the other, and can be stopped whatever it is doing.

Questions wait in line, first come, first served; who leaves gives up the place. A question that takes longer than it
may, or whose asker leaves, ends with the process; the next one gets a new process.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from optimizer.service.questions import OVER_HTTP, ServedQuestion

MOST_WAITING = 64
"""Questions that may wait in line."""

_KEPT = 64
"""Answers kept, so that going back to an earlier state asks nothing again."""

_GRACE_S = 5.0
"""Beyond the time limit of a question, before its process is ended."""

_LOOK_S = 0.02
"""Between two looks for an answer."""

_END_S = 2.0


class Ending(StrEnum):
    """How a question ended."""

    ANSWERED = "answered"
    REFUSED = "refused"  # the asker can mend it
    OUT_OF_TIME = "out of time"
    FULL = "full"  # too many wait
    LEFT = "left"  # nobody waits for the answer any more
    FAILED = "failed"  # our own failure


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a question; ``text`` is JSON: the answer, or a ``Refusal``."""

    ending: Ending
    text: str


async def _never() -> bool:
    return False


class Solver:
    """Use within one event loop."""

    def __init__(self, most_waiting: int = MOST_WAITING, grace_s: float = _GRACE_S) -> None:
        self._turn = asyncio.Lock()
        self._waiting, self._most, self._grace_s = 0, most_waiting, grace_s
        self._process: BaseProcess | None = None
        self._to: Connection | None = None
        self._back: Connection | None = None
        self._kept: OrderedDict[tuple[str, ...], Told] = OrderedDict()

    async def ask(self, question: ServedQuestion, gone: Callable[[], Awaitable[bool]] = _never) -> Told:
        """The answer, when its turn has come; ``gone`` says whether nobody waits for it any more."""
        key = (question.command, question.model_dump_json(exclude={"time_limit"}), str(date.today()))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if self._waiting >= self._most:
            return refused(Ending.FULL, f"{self._most} questions wait already: ask again in a minute")
        self._waiting += 1
        try:
            async with self._turn:
                told = Told(Ending.LEFT, "") if await gone() else await self._answer(question, gone)
        finally:
            self._waiting -= 1
        if told.ending in (Ending.ANSWERED, Ending.REFUSED):
            self._kept[key] = told
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return told

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self._process is not None and self._process.is_alive():
            return
        self.stop()
        context = get_context("spawn")
        theirs_in, self._to = context.Pipe(duplex=False)
        self._back, theirs_out = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(theirs_in, theirs_out), daemon=True)
        self._process.start()
        theirs_in.close()
        theirs_out.close()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.join(_END_S)
        for end in (self._to, self._back):
            if end is not None:
                end.close()
        self._process = self._to = self._back = None

    async def _answer(self, question: ServedQuestion, gone: Callable[[], Awaitable[bool]]) -> Told:
        self.start()
        assert self._to is not None and self._back is not None
        try:
            self._to.send((question.command, question.model_dump_json()))
            end = time.monotonic() + question.time_limit + self._grace_s
            while not self._back.poll():
                if time.monotonic() > end:
                    self.stop()
                    return refused(Ending.OUT_OF_TIME, f"no answer within {question.time_limit:g} s")
                if await gone():
                    self.stop()
                    return Told(Ending.LEFT, "")
                await asyncio.sleep(_LOOK_S)
            ending, text = self._back.recv()
        except asyncio.CancelledError:
            self.stop()
            raise
        except (EOFError, OSError):
            self.stop()
            return refused(Ending.FAILED, "the solver ended without an answer")
        return Told(Ending(ending), text)


def refused(ending: Ending, error: str, findings: list[dict[str, object]] | None = None) -> Told:
    """A refusal as JSON: one sentence, and everything that is wrong."""
    return Told(ending, json.dumps({"error": error, "findings": findings or []}, ensure_ascii=True))


def _work(questions: Connection, answers: Connection) -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this process
    kinds = {kind.command: kind for kind in OVER_HTTP}
    with suppress(EOFError, OSError):
        while True:
            command, text = questions.recv()
            told = told_of(kinds[command].model_validate_json(text))
            answers.send((told.ending.value, told.text))


def told_of(question: ServedQuestion) -> Told:
    """The answer of this process to a question; every error as a refusal, none of our own with what it held."""
    from optimizer import InputError, OutOfTimeError
    from optimizer.service.answers import answer

    try:
        return Told(Ending.ANSWERED, answer(question))
    except InputError as error:
        findings: list[dict[str, object]] = [
            {"message": one.message, "file": one.file, "line": one.line, "column": one.column, "hint": one.hint}
            for one in error.findings
        ]
        return refused(Ending.REFUSED, _count(len(findings)), findings)
    except OutOfTimeError as error:
        return refused(Ending.OUT_OF_TIME, str(error))
    except Exception:
        return refused(Ending.FAILED, "an internal error; please report it, with the problem that caused it")


def _count(number: int) -> str:
    return "1 thing to mend" if number == 1 else f"{number} things to mend"
