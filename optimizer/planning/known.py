"""What was worked out for one problem file and holds whatever of it is edited, kept from one question to the next.

It saves work and changes no answer: what is found here is what the question would have worked out itself. What one
question concludes from the order in which it asked (that so many replicas will do, as more load was carried before)
stays its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optimizer.performance.known_behaviours import KnownBehaviours
from optimizer.performance.operating_points import Memo, Side

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.performance import Parameters
    from optimizer.performance.types import ReplicaSpec
    from optimizer.plan.experiment import Experiment
    from optimizer.plan.types import Replay
    from optimizer.simulate.estimate import Runs


KnownTests = dict[object, "tuple[ReplicaSpec, Experiment]"]
"""Tests that were simulated, by all that they depend on; with the replica, which is named by identity."""

AskedByClosedForm = dict[object, tuple[object, int | None, int | None]]
"""By kind of replica: the operating points that were asked, and how many replicas they and a fluid take."""

Kind = tuple[object, ...]
"""A workload and what tells its replicas apart."""

KnownLeast = tuple[object, "Least | None"]
"""Of a kind: its operating points, and what is known of it; None: no number will do."""


@dataclass(slots=True)
class Least:
    """What is known of one kind of replica."""

    spec: ReplicaSpec
    workload: int
    replicas: int  # at least
    closed_form: int | None  # that the closed form asks for; None: no number is enough for it
    exact: bool = False  # so many keep every promise in the replay
    hopeless: bool = False  # no number of them keeps every promise


STATES_KEPT = 8
"""Loads with their promises of which those are kept: each may take a megabyte."""


class RunReplays:
    """Replays of one problem file in all its states, each with all that it depends on."""

    def __init__(self) -> None:
        self.replays: dict[object, Replay] = {}
        self._asked: dict[object, AskedByClosedForm] = {}
        self._runs: dict[object, dict[Side, Runs]] = {}
        self.tests: KnownTests = {}

    def runs_of(self, load: object) -> dict[Side, Runs]:
        """Runs of one replica under one load, whatever was promised: by the floor of the load."""
        return self._runs.setdefault(load, {side: {} for side in Side})

    def asked_by_closed_form(self, state: object) -> AskedByClosedForm:
        """Replicas that the closed form asks for under a load and its promises; of the last few states of them."""
        known = self._asked.setdefault(state, {})
        if len(self._asked) > STATES_KEPT:
            del self._asked[next(iter(self._asked))]
        return known


class Known:
    """Rows of replicas, their behaviours under load and their replays, of one problem file in all its states.

    Keys name cards and models by identity, so whoever keeps this keeps the catalog too.
    """

    def __init__(self) -> None:
        self.memo, self.behaviours, self.replays = Memo(), KnownBehaviours(), RunReplays()

    def __reduce__(self) -> tuple[type[Known], tuple[()]]:
        """In another process identities mean nothing: it starts afresh there."""
        return (Known, ())


@dataclass(frozen=True, slots=True)
class ReadBefore:
    """What was read of a problem file, as the objects that ``known`` speaks of."""

    catalog: Catalog  # with the cards and models of the problem
    params: Parameters
    base: Catalog | None  # that no file holds
    known: Known = field(default_factory=Known)


MOST_QUESTIONS = 100
"""Questions about one file after which what is known of it is forgotten: each may add a megabyte."""


class KnownProblems:
    """What is known of the problem files that were asked about last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[Hashable, tuple[ReadBefore, int]] = OrderedDict()

    def of(self, read: Hashable, now: ReadBefore) -> ReadBefore:
        """What was read before where it all was the same: the contents of files, own cards, models, parameters; what
        is read ``now`` where it was not."""
        before, asked = self._known.pop(read, (now, 0))
        if asked >= MOST_QUESTIONS:
            before, asked = now, 0
        self._known[read] = (before, asked + 1)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return before


_KEPT: ContextVar[KnownProblems | None] = ContextVar("what is known of problem files", default=None)


@contextmanager
def keeping(known: KnownProblems) -> Iterator[None]:
    """Let the questions asked meanwhile share what is known of their problem files."""
    token = _KEPT.set(known)
    try:
        yield
    finally:
        _KEPT.reset(token)


def kept() -> KnownProblems | None:
    """What is known of problem files; None, unless questions are asked one after the other."""
    return _KEPT.get()
