"""What stays as it is of a row of replicas while their promises move, kept from one question to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from optimizer.performance.flow import Array, Flow
    from optimizer.performance.lengths import LengthMoments
    from optimizer.performance.replicas import Replicas
    from optimizer.performance.types import Grade, ReplicaSpec
    from optimizer.workload import Lengths

Content = tuple[object, ...]
"""What tells two specifications apart."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Replicas as columns, alike ones once, with what no promise changes."""

    specs: Sequence[ReplicaSpec]  # held, so that identities of what they are made of stay theirs
    columns: dict[Content, int]  # of those that can run
    replicas: Replicas
    moments: LengthMoments
    limit: Flow  # at saturation
    kinds: tuple[tuple[Grade, str], ...]  # grade and engine profile
    pick: npt.NDArray[np.intp]  # which kind each column is of
    found: dict[object, Array] = field(default_factory=dict)  # largest shares of the saturated batch, by question

    def part(self, contents: Sequence[Content]) -> Prepared | None:
        """Some of the columns; None: none of them."""
        import numpy as np

        kept = [content for content in contents if content in self.columns]
        if not kept:
            return None
        at = np.array([self.columns[content] for content in kept], dtype=np.intp)
        coefficients = self.replicas.c._replace(**{k: v[at] for k, v in self.replicas.c._asdict().items()})
        arrays = {f.name: getattr(self.replicas, f.name)[at] for f in fields(self.replicas) if f.name != "c"}
        return Prepared(
            self.specs,
            {content: number for number, content in enumerate(kept)},
            replace(self.replicas, c=coefficients, **arrays),
            self.moments,
            _flow(self.limit, at),
            self.kinds,
            self.pick[at],
        )


def _flow(flow: Flow, at: npt.NDArray[np.intp]) -> Flow:
    arrays = {f.name: getattr(flow, f.name)[at] for f in fields(flow) if f.name != "classes"}
    return replace(flow, classes=tuple((name, _flow(one, at)) for name, one in flow.classes), **arrays)


class Memo:
    """Rows of replicas that were asked about; one memo for each case that is asked again and again."""

    def __init__(self) -> None:
        self._wide: dict[Lengths, tuple[frozenset[Content], Prepared | None]] = {}
        self._rows: dict[tuple[Lengths, tuple[Content, ...]], Prepared | None] = {}

    def row(
        self, contents: Sequence[Content], lengths: Lengths, prepare: Callable[[], Prepared | None]
    ) -> Prepared | None:
        """The prepared row of these replicas: known, a part of a wider one, or made; None: none of them can run."""
        key = (lengths, tuple(contents))
        if key not in self._rows:
            known, wide = self._wide.get(lengths, (frozenset(), None))
            if known.issuperset(contents):
                self._rows[key] = None if wide is None else wide.part(contents)
            else:
                self._rows[key] = prepare()
                if len(contents) > len(known):
                    self._wide[lengths] = (frozenset(contents), self._rows[key])
        return self._rows[key]

    def __reduce__(self) -> tuple[type[Memo], tuple[()]]:
        """In another process identities mean nothing: it starts afresh there."""
        return (Memo, ())
