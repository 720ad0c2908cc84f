"""Lengths that were counted, worked out a second time from the rows as the problem states them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from optimizer.demand import KvSizing
from optimizer.performance.lengths import moments_of
from optimizer.verify.case import CheckedCase, GroupCase, Mismatch

TOLERANCE = 1e-6
"""Relative; the two ways round differently."""


def counted_lengths(case: CheckedCase) -> Iterator[Mismatch]:
    """Mean lengths, and the KV tokens of a request while it is being answered, are those of the rows.

    A request holds its input and, on average over its answer, half its output, for as many steps as it has output
    tokens after the first: long answers are met more often than their share.
    """
    seen: set[str] = set()
    for group in case.groups:
        if group.workload.tokens.histogram and group.name not in seen:
            seen.add(group.name)
            yield from _of_group(group)


def _of_group(group: GroupCase) -> Iterator[Mismatch]:
    """In exact fractions, so that no sum depends on the order of the rows."""
    rows = [(Fraction(row.input), Fraction(row.output), Fraction(row.share)) for row in group.workload.tokens.histogram]
    total = sum(share for _, _, share in rows)
    steps = [share * max(made - 1, Fraction(1)) for _, made, share in rows]
    held = sum(step * (sent + made / 2) for step, (sent, made, _) in zip(steps, rows, strict=True)) / sum(steps)
    lengths, moments = group.lengths, moments_of(group.lengths)
    worst = group.workload.tokens.kv_sizing is KvSizing.WORST_CASE
    for what, expected, found in (
        ("mean input", sum(share * sent for sent, _, share in rows) / total, lengths.input_mean),
        ("mean output", sum(share * made for _, made, share in rows) / total, lengths.output_mean),
        ("KV tokens of a request", held, moments.resident_seen),
        ("KV tokens planned for a request", lengths.context_max if worst else held, moments.resident),
    ):
        if abs(float(expected) - found) > TOLERANCE * float(expected):
            path = f"workloads.{group.workload.name}.tokens.histogram"
            yield Mismatch("counted lengths", path, float(expected), found, what)
