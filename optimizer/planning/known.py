"""What was worked out for one problem file and holds whatever of it is edited, kept from one question to the next.

It saves work and changes no answer: what is found here is what the question would have worked out itself. What one
question concludes from the order in which it asked (that so many replicas will do, as more load was carried before)
stays its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
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


MOST_QUESTIONS = 200
"""Questions after which what is known is forgotten: each with lengths of its own may take a megabyte."""


class Known:
    """Rows of replicas, their behaviours under load and their replays, of one problem file in all its states.

    Keys name cards and models by identity, so the catalogs that hold them are held here too.
    """

    def __init__(self) -> None:
        self._forget(None)
        self._params: Parameters | None = None

    def joined(self, catalog: Catalog, join: Callable[[Catalog], Catalog]) -> Catalog:
        """A catalog with the cards and models of the problem; those that were joined before stay the same objects."""
        self._questions += 1
        if self._from is not catalog or self._questions > MOST_QUESTIONS:
            self._forget(catalog)
        there = self._joined[-1] if self._joined else catalog
        made = join(there)
        if made is not there or not self._joined:
            self._joined.append(made)
        return made

    def under(self, params: Parameters) -> Parameters:
        """The parameters, as the object that was seen first; where they are others, what they led to is forgotten."""
        if self._params is None or self._params.version != params.version:
            if self._params is not None:
                self._forget(self._from, self._joined)
            self._params = params
        return self._params

    def _forget(self, catalog: Catalog | None, joined: Sequence[Catalog] = ()) -> None:
        self.memo, self.behaviours, self.replays = Memo(), KnownBehaviours(), RunReplays()
        self._from, self._joined, self._questions = catalog, list(joined[-1:]), 1

    def __reduce__(self) -> tuple[type[Known], tuple[()]]:
        """In another process identities mean nothing: it starts afresh there."""
        return (Known, ())


_KEPT: ContextVar[Known | None] = ContextVar("what is known of the problem file", default=None)


@contextmanager
def keeping(known: Known) -> Iterator[None]:
    """Let the questions asked meanwhile, all about one problem file, share what is known of it."""
    token = _KEPT.set(known)
    try:
        yield
    finally:
        _KEPT.reset(token)


def kept() -> Known:
    """What is known of the problem that is read now; nothing, unless its questions are asked one after the other."""
    return _KEPT.get() or Known()
