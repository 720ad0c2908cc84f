"""Retention in closed form against exact LRU: the hit rates of ``data/prefix_retention.csv``, by trace and cache size.

    python -m benchmarks.retention            the table of docs/sessions.md
    python -m benchmarks.retention --rows     every row

The session numbers are those of the whole streams that ``data/traces/README.md`` describes, measured on the samples
beside it where it states none. Nothing is fitted to the hit rates but the mean turns of the agents, which follow from
their ceiling (0.958 with memory without end).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from optimizer.demand import Gap
from optimizer.performance.retention import RetentionCurve, SessionShape, session_curve

TRUTH = Path(__file__).resolve().parent.parent / "data" / "prefix_retention.csv"

BINS = ((0.0, 10.0), (10.0, 30.0), (30.0, 100.0), (100.0, float("inf")))
"""Cache of a replica in mean contexts of a request."""

STICKY = ("sticky", "prefix_aware")


@dataclass(frozen=True)
class Recorded:
    """What a stream is made of, as the session formula wants it; tokens and seconds."""

    shape: SessionShape
    turns_per_s: float
    mean_input: float


def _scaled(
    turns: float, first: float, growth: float, mean: float, gap: Gap, shared: float, carry: float
) -> SessionShape:
    """First input and growth in proportion to the mean input: long sessions start shorter and are cut more often."""
    scale = mean / (first + growth * (turns - 1.0))
    return SessionShape(turns, first * scale - shared, growth * scale, (gap,), shared, carry)


RECORDED = {
    # 12,031 requests in an hour; 25 % of the sessions have more than one turn, those 2.98 on average
    "chat_mooncake_conversation": Recorded(
        _scaled(1.495, 11_657, 1_658, 12_340, Gap(p50_s=123, p90_s=453), 512, 1.0), 12_031 / 3_600, 12_340
    ),
    # 507 sessions, one a minute; the rate weighed by its own tokens, as the stream ramps up: 1.12 x the mean
    "agent_claude_code": Recorded(
        _scaled(51, 101_047, 1_577, 116_813, Gap(p50_s=16, p90_s=108), 0, 0.978), 1.12 * 51 / 60, 116_813
    ),
    # passages differ from question to question: only the system prompt is a prefix of another request
    "rag_ragpulse": Recorded(SessionShape(1, 2_038, 0, (Gap(p50_s=41, p90_s=275),), 900), 7_106 / (7 * 86_400), 2_938),
}


@dataclass(frozen=True)
class Row:
    """One exact hit rate and what the closed form says of it."""

    trace: str
    router: str
    replicas: int
    capacity: float  # tokens of a replica
    truth: float
    said: float

    @property
    def contexts(self) -> float:
        """Mean contexts of a request that a replica holds."""
        return self.capacity / RECORDED[self.trace].mean_input


@cache
def _curve(trace: str, replicas: int, sticky: bool) -> RetentionCurve:
    return session_curve(RECORDED[trace].shape, replicas, sticky=sticky)


def rows() -> Iterator[Row]:
    """Every row of a whole stream."""
    with TRUTH.open(encoding="utf-8") as lines:
        for line in csv.DictReader(lines):
            if line["scope"] != "full":
                continue
            trace, router, replicas = line["trace"], line["router"], int(line["replicas"])
            curve, capacity = _curve(trace, replicas, router in STICKY), float(line["capacity_tokens"])
            said = float(curve.hit_rate(capacity, RECORDED[trace].turns_per_s / replicas))
            yield Row(trace, router, replicas, capacity, float(line["hit_rate"]), said)


def table(found: Sequence[Row]) -> Iterator[str]:
    """Mean and largest error of the hit rate, by trace, router and size of the cache."""
    heads = [f"{low:g}-{high:g} contexts" if high < 1e9 else f"{low:g} and more" for low, high in BINS]
    yield f"| stream | routers | {' | '.join(heads)} |"
    yield "|---|---|" + "---|" * len(BINS)
    for trace in RECORDED:
        for label, sticky in (("sticky, prefix aware", True), ("round robin, least loaded", False)):
            mine = [row for row in found if row.trace == trace and (row.router in STICKY) is sticky]
            cells = []
            for low, high in BINS:
                errors = [row.said - row.truth for row in mine if low <= row.contexts < high]
                mean = sum(abs(error) for error in errors) / max(len(errors), 1)
                cells.append(f"{mean:.3f} / {max(errors, key=abs):+.3f}" if errors else "-")
            yield f"| {trace} | {label} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", action="store_true", help="print every row")
    found = list(rows())
    if parser.parse_args().rows:
        for row in found:
            place = f"{row.trace:28} {row.router:13} R{row.replicas:<3} {row.capacity:11,.0f}"
            print(f"{place} exact {row.truth:.3f} closed form {row.said:.3f} {row.said - row.truth:+.3f}")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
