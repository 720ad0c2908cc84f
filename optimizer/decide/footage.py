"""What charts show of the replay of one group: latencies of all loads, queue and cache around the longest wait."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.plan.types import Footage
from optimizer.simulate.estimate import Seen
from optimizer.simulate.footage import PERCENTILES, curve, stretch
from optimizer.simulate.replay import MOST_REPLICAS, Replica


def footage_of(fleet: Sequence[Seen], held: Seen | None, replica: Replica, replicas: int, *, people: bool) -> Footage:
    """The worst of the loads at every percentile, as promises are judged.

    Over time what the whole ``fleet`` saw (arrivals, else ``people``), if anything; else requests held.
    """
    seen = [*fleet, *([] if held is None else [held])]
    settings = replica.open_loop if fleet else replica.closed_loop
    shown = stretch(seen[0], settings.kv_tokens)
    return Footage(
        percentiles=PERCENTILES,
        ttft_s=_worst([curve(one, "ttft") for one in seen]),
        tpot_s=_worst([curve(one, "tpot") for one in seen]),
        seconds=shown.seconds,
        waiting=shown.waiting,
        running=shown.running,
        kv_share=shown.kv_share,
        replicas=min(replicas, MOST_REPLICAS) if fleet else 1,
        held=not fleet,
        people=people,
    )


def _worst(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(max(values) for values in zip(*curves, strict=True))
