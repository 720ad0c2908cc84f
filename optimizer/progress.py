"""The clock on the wall: which day it is, and how much time is left of a command, shared by all its searches.

What a step in hand may say of itself beyond its name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date
from typing import Self

TODAY = "OPTIMIZE_TODAY"
"""Environment variable that stands in for today's date, for tests and for answers that shall not change."""


_DAY: ContextVar[date | None] = ContextVar("the day that an answer was given", default=None)


@contextmanager
def on_day(day: date) -> Iterator[None]:
    """Take a day for today: that of an answer which is looked at again."""
    token = _DAY.set(day)
    try:
        yield
    finally:
        _DAY.reset(token)


def today() -> date:
    """Today, in local time: what the user's own quotes are held against unless ``payment.as_of`` is stated."""
    fixed = _DAY.get()
    if fixed is not None:
        return fixed
    stated = os.environ.get(TODAY)
    return date.fromisoformat(stated) if stated else date.today()


@dataclass(frozen=True, slots=True)
class Clock:
    """The moment at which a search must have ended, in seconds of ``time.monotonic``; None: whenever it is done."""

    end: float | None = None

    @staticmethod
    def of(seconds: float | None) -> Clock:
        """A clock that ends so many seconds from now."""
        return Clock(None if seconds is None else time.monotonic() + seconds)

    @property
    def left(self) -> float | None:
        """Seconds left, 0 where it is over."""
        return None if self.end is None else max(0.0, self.end - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return self.left == 0.0

    def part(self, share: float) -> Clock:
        """A clock that ends when a share of what is left is used up."""
        return self if self.left is None else Clock.of(self.left * share)

    def sooner(self, seconds: float) -> Clock:
        """A clock that ends so much earlier, to leave time for what follows."""
        return self if self.end is None else Clock(self.end - seconds)


NO_LIMIT = Clock()
"""A search ends when it is done."""


Say = Callable[[str], None]
"""Takes the name of the step in hand: the one shape of ``progress`` wherever it is asked for."""


def silent(step: str) -> None:
    """Say nothing."""


class PartsDone(str):
    """A step that is one of a known number of parts: ``done`` of ``total``."""

    __slots__ = ("done", "total")
    done: int
    total: int

    def __new__(cls, done: int, total: int, what: str) -> Self:
        """A step that reads "3 of 20 curves"."""
        step = super().__new__(cls, f"{done} of {total} {what}")
        step.done, step.total = done, total
        return step


class Notice(str):
    """A step that will take long for a reason: shown at once, whoever watches, and it stays on the screen."""

    __slots__ = ()
