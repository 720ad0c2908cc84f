"""Lengths of requests as they were counted: pairs of input and output with the share of the requests that have them.

What no law describes (answers of reasoning models, a mix of short and long tasks) is stated so. Input and output of a
request belong together: a long prompt may go with a short answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_ROUNDING = 1e-6
"""By so much shares that add up to a percentile may fall short of it: they were rounded when they were written."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Distinct lengths in ascending order; the shares add up to 1."""

    input: tuple[float, ...]  # tokens
    output: tuple[float, ...]
    share: tuple[float, ...]  # of the requests

    def __hash__(self) -> int:
        """Of a few figures: the lists may be long, and are looked at where those agree."""
        return hash((self.input[-1], self.output[-1], len(self.share), self.input_mean, self.output_mean))

    @property
    def input_mean(self) -> float:
        """Tokens."""
        return math.fsum(share * sent for share, sent in zip(self.share, self.input, strict=True))

    @property
    def output_mean(self) -> float:
        """Tokens."""
        return math.fsum(share * made for share, made in zip(self.share, self.output, strict=True))

    @property
    def input_p95(self) -> float | None:
        """Tokens that 95 % of the inputs are within; None: all are alike."""
        return self._p95(self.input)

    @property
    def output_p95(self) -> float | None:
        """Tokens that 95 % of the outputs are within; None: all are alike."""
        return self._p95(self.output)

    @property
    def longest(self) -> float:
        """Most tokens of input and output of one request."""
        return max(map(sum, zip(self.input, self.output, strict=True)))

    def whole(self, context_max: int) -> tuple[tuple[int, int], ...]:
        """Input and output of each row in whole tokens, at most ``context_max`` together."""
        made = [round(output) for output in self.output]
        return tuple((min(round(sent), context_max - out), out) for sent, out in zip(self.input, made, strict=True))

    def _p95(self, lengths: Sequence[float]) -> float | None:
        if min(lengths) == max(lengths):
            return None
        within = 0.0
        for length, share in sorted(zip(lengths, self.share, strict=True)):
            within += share
            if within >= 0.95 - _ROUNDING:
                return length
        return max(lengths)


def histogram_of(rows: Iterable[tuple[float, float, float]]) -> Histogram:
    """Of input tokens, output tokens and share: rows alike are one, their order does not matter, and shares that do not
    quite add up to 1 are taken in proportion."""
    shares: dict[tuple[float, float], list[float]] = {}
    for sent, made, share in rows:
        shares.setdefault((float(sent), float(made)), []).append(share)
    total = math.fsum(share for each in shares.values() for share in each)
    pairs = sorted(shares)
    return Histogram(
        tuple(sent for sent, _ in pairs),
        tuple(made for _, made in pairs),
        tuple(math.fsum(shares[pair]) / total for pair in pairs),
    )
