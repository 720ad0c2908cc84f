"""What a tier in host memory does to agents, against a published measurement.

    python -m benchmarks.host_tier        the table of docs/sessions.md

LMCache blog, Benchmarking LMCache for Multi-Turn Agentic Workloads on AMD MI300X (2026-05-12): MiniMax-M2.5 FP8 on two
MI300X under vLLM 0.19, 739 recorded coding agents, contexts of at most 100,000 tokens, 32 users: with host memory 2.3
times the requests, mean TTFT 1/3.0, p95 1/2.1 of the cards' memory alone.

Here: MiniMax-M2, of the same shape; sessions as recorded coding agents have them; gaps of tools alone (p50 2 s, p90
24 s, llm-d blog, 2026-07-22), since the benchmark waits for no people; 512 GiB of host memory, which the source does
not state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from optimizer.calibrate.forward import replica_for
from optimizer.catalog import default_root, load_catalog
from optimizer.demand import Gap, Lengths, SessionLengths, Spread
from optimizer.performance.parameter_files import load_parameters
from optimizer.performance.types import ReplicaSpec
from optimizer.session_turns import means_of
from optimizer.simulate.sessions import attend, of_people
from optimizer.vocabulary import Router

LONGEST = 100_000
AGENTS = SessionLengths(
    turns=Spread(68, 90.0, 155.0),
    first=Spread(10_000, 90.0, 30_000.0),
    fresh=Spread(1_300, 50.0, 650.0),
    output=Spread(440, 90.0, 900.0),
    gaps=(Gap(p50_s=2.0, p90_s=24.0),),
    shared=14_300,
    carry=0.98,
)
HOST_GIB = 512.0
MEASURED = (2.3, 1.0 / 3.0, 1.0 / 2.1)
"""Requests, mean TTFT and its p95 with the tier over without."""


@dataclass(frozen=True, slots=True)
class SeenWithTier:
    """One replica under so many users; seconds, shares of the input."""

    requests_per_second: float
    ttft_mean: float
    ttft_p95: float
    found: float
    brought: float


def replayed(users: int, host_gib: float, requests: int = 6_000) -> SeenWithTier:
    """Two MI300X under a closed population, the first third left out."""
    catalog, params = load_catalog(), load_parameters(default_root())
    means, card = means_of(AGENTS, LONGEST), catalog.gpus["mi300x_192"]
    lengths = Lengths(means.input, means.output, LONGEST, shared_prefix=means.reachable, sessions=AGENTS)
    spec = ReplicaSpec(
        gpu=card,
        model=catalog.models["MiniMaxAI/MiniMax-M2"],
        engine=catalog.engines["vllm"],
        weight_quant="fp8",
        kv_cache="auto",
        tensor_parallel=2,
        pipeline_parallel=1,
        link=card.link,
        gpu_memory_utilization=0.9,
        max_num_seqs=256,
        max_num_batched_tokens=8192,
        max_model_len=LONGEST,
    )
    replica = replica_for(replace(spec, host_kv_gib=host_gib), lengths, params)
    plan = of_people(lengths, users, requests, 5.0, 1)
    served = attend(replica.c, replica.open_loop, plan, 1, Router.PREFIX_AFFINITY, warm=True)
    keep = slice(requests // 3, requests)
    seconds = float(served.finish[keep].max() - served.arrive[keep].min())
    sent = float(served.prompt[keep].sum())
    return SeenWithTier(
        requests_per_second=(requests - requests // 3) / seconds,
        ttft_mean=float(served.ttft[keep].mean()),
        ttft_p95=float(np.percentile(served.ttft[keep], 95)),
        found=float(served.found[keep].sum()) / sent,
        brought=0.0 if served.brought is None else float(served.brought[keep].sum()) / sent,
    )


def ratios(users: int, requests: int = 6_000) -> tuple[float, float, float]:
    """Requests, mean TTFT and its p95 with the tier over without."""
    alone, tier = replayed(users, 0.0, requests), replayed(users, HOST_GIB, requests)
    return (
        tier.requests_per_second / alone.requests_per_second,
        tier.ttft_mean / alone.ttft_mean,
        tier.ttft_p95 / alone.ttft_p95,
    )


def rows() -> Iterator[str]:
    """One line for each number of users, then what was measured."""
    yield "| users | requests/s, cards alone | found | with host | found (from host) | ratio | TTFT mean | TTFT p95 |"
    yield "|---|---|---|---|---|---|---|---|"
    for users in (8, 16, 32):
        alone, tier = replayed(users, 0.0), replayed(users, HOST_GIB)
        more, mean, p95 = ratios(users)
        yield (
            f"| {users} | {alone.requests_per_second:.3f} | {alone.found:.2f} | {tier.requests_per_second:.3f}"
            f" | {tier.found:.2f} ({tier.brought:.2f}) | {more:.2f} | x {mean:.2f} | x {p95:.2f} |"
        )
    more, mean, p95 = MEASURED
    yield f"| 32, measured | | | | | {more:.1f} | x {mean:.2f} | x {p95:.2f} |"


def main() -> None:
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
