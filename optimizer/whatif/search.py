"""Steps of a function of one field: where the answer changes, exact to the axis's step.

For a monotone axis the plans that keep every promise get fewer from value to value. A plan that is best at a loose and
at a strict value is therefore best at every value between: it is feasible there, and whatever beats it there would
have beaten it at the loose end. So equal answers at both ends of a stretch settle the stretch, and halving those that
differ finds every edge; a guess of where an answer ends only saves questions, never decides one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, Protocol, TypeVar


class StepAnswer(Protocol):
    """What is asked at one position."""

    @property
    def identity(self) -> object:
        """Two answers of one identity are the same step."""


T = TypeVar("T", bound=StepAnswer)


@dataclass(frozen=True, slots=True)
class SameAnswer(Generic[T]):
    """Neighbouring positions with the same answer, asked at both ends."""

    first: int
    last: int
    at_first: T
    at_last: T


class Stairs(Generic[T]):
    """Finds the stretches of an axis by asking as few positions as it can; every position is asked at most once."""

    def __init__(self, ask: Callable[[int], T], guess: Callable[[int, T], int | None]) -> None:
        self._ask, self._guess = ask, guess
        self._known: dict[int, T] = {}

    def at(self, index: int) -> T:
        """The answer at a position."""
        if index not in self._known:
            self._known[index] = self._ask(index)
        return self._known[index]

    def between(self, first: int, last: int, samples: Sequence[int] = ()) -> list[SameAnswer[T]]:
        """All stretches from ``first`` to ``last``; ``samples`` are asked whatever lies between them."""
        stops = sorted({first, last, *(index for index in samples if first < index < last)})
        edges = [first]
        for left, right in pairwise(stops):
            self._split(left, right, edges)
        ends = [*(edge - 1 for edge in edges[1:]), last]
        return [SameAnswer(start, end, self.at(start), self.at(end)) for start, end in zip(edges, ends, strict=True)]

    def _same(self, left: int, right: int) -> bool:
        return self.at(left).identity == self.at(right).identity

    def _split(self, left: int, right: int, edges: list[int]) -> None:
        """Append the first position of every stretch that begins after ``left``, up to ``right``."""
        while not self._same(left, right):
            if right - left == 1:
                edges.append(right)
                return
            middle = self._middle(left, right)
            self._split(left, middle, edges)
            left = middle

    def _middle(self, left: int, right: int) -> int:
        """Where the answer at ``left`` is thought to end, if that helps; else half way."""
        guess = self._guess(left, self.at(left))
        if guess is not None and left < guess < right and guess not in self._known:
            return guess
        if guess is not None and left <= guess < right and guess in self._known and self._same(left, guess):
            after = guess + 1
            if after < right and after not in self._known:
                return after
        return (left + right) // 2


def first_where(test: Callable[[int], bool], low: int, high: int) -> int | None:
    """Smallest position in low..high whose test is true, where once true stays true; None: none."""
    if low > high or not test(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if test(middle):
            high = middle
        else:
            low = middle + 1
    return low
