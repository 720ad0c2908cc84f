"""Behaviours of replicas at loads, each predicted once: the same plan is looked at many times while it is decided on.

The closed form finds a load by bisection, for one replica in about the time it takes for fifty; so what was asked
before is looked up, and what is new is asked all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.performance.behaviour import behaviours
from optimizer.performance.operating_points import content_of_spec

if TYPE_CHECKING:
    from optimizer.demand import Lengths
    from optimizer.performance.parameters import Parameters
    from optimizer.performance.types import Behaviour, ReplicaSpec


class KnownBehaviours:
    """What was predicted, for one problem and all its edits."""

    def __init__(self) -> None:
        self._known: dict[object, dict[object, Behaviour]] = {}
        self._held: list[object] = []  # what keys name by identity, so that identities stay theirs

    def of(
        self,
        specs: Sequence[ReplicaSpec],
        lengths: Lengths,
        params: Parameters,
        *,
        rates: Sequence[float] | None = None,
        inflights: Sequence[float] | None = None,
        users: Sequence[float] | None = None,
        think_s: float = 0.0,
    ) -> list[Behaviour]:
        """As ``behaviours``: one replica of each specification at its load, of which one kind is stated."""
        sides = {"rates": rates, "inflights": inflights, "users": users}
        kind, loads = next((name, loads) for name, loads in sides.items() if loads is not None)
        known = self._known.setdefault((id(params), lengths, kind, think_s), {})
        asked = [(content_of_spec(spec), load) for spec, load in zip(specs, loads, strict=True)]
        new = {key: (spec, key[1]) for key, spec in zip(asked, specs, strict=True) if key not in known}
        if new:
            ones = [spec for spec, _ in new.values()]
            stated = {name: [load for _, load in new.values()] if name == kind else None for name in sides}
            found = behaviours(ones, lengths, params, think_s=think_s, **stated)
            known.update(zip(new, found, strict=True))
            self._held += [params, *ones]
        return [known[key] for key in asked]

    def __reduce__(self) -> tuple[type[KnownBehaviours], tuple[()]]:
        """In another process identities mean nothing: it starts afresh there."""
        return (KnownBehaviours, ())
