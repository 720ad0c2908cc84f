"""Published figures of KV cache in the memory of hosts, against the replay and the law of loads.

    python -m benchmarks.offload_anchors        the table of docs/sessions.md

llm-d, guides/tiered-prefix-cache/cpu/README.md @35b5cfb: Qwen3-32B on 16 H100, eight engines of two cards, a router
that knows what they hold; 45 prompts of 30,000 tokens asked for again and again, 256 more in, 1,024 out, 45 in flight;
room for 24.3 GB of KV cache on the cards of an engine, 100 GB in host memory. And the same with 8,000 tokens, which
fit.

Here: one engine of the eight with its share, six of the prompts and six in flight (45 / 8 = 5.6), each of which asks
for one of them at random. Where the prompts do not fit, the share of the cards' memory that may be used is such that
the stated 24.3 GB are left (0.56); our memory law leaves 41 GB at the stated 0.65 (then 1.19, 0.68 and 0.84).

vLLM blog, Inside vLLM's New KV Offloading Connector (2026-01-08): Llama-3.1-8B on one H100, a prompt brought in from
host memory instead of read: 2 to 22 times the TTFT apart, the more the longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from optimizer.calibrate.forward import replica_for
from optimizer.catalog import default_root, load_catalog
from optimizer.demand import Gap, Lengths, SessionLengths, Spread
from optimizer.performance.host_tier import LOAD_FLOOR_S
from optimizer.performance.parameter_files import load_parameters
from optimizer.performance.step import step_seconds
from optimizer.performance.types import ReplicaSpec
from optimizer.session_turns import means_of
from optimizer.simulate.sessions import attend, of_people
from optimizer.vocabulary import Router

HOST_GIB = 100e9 / 2**30
PROMPTS = 6
BLOCK = 16

GUIDE = ((30_000, 0.56, (46662.5 / 38534.8, 6.7 / 9.0, 31.0 / 37.8)), (8_000, 0.65, (23032.6 / 23389.6, None, None)))
"""Tokens of a prompt, usable share of the cards' memory; throughput, mean TTFT and E2E with the tier over without."""

LADDER = (2_048, 8_192, 32_768, 100_000)
PUBLISHED = (2.0, 22.0)
"""At the shortest and the longest prompt, which the source does not state."""


@dataclass(frozen=True, slots=True)
class Guided:
    """With the tier over without."""

    throughput: float
    ttft: float
    e2e: float


def guided(prompt: int, utilization: float, requests: int = 900) -> Guided:
    """One engine of the guide."""
    sessions = SessionLengths(
        Spread(1), Spread(256), Spread(1), Spread(1024), (Gap(mean_s=0.05),), shared=prompt, groups=PROMPTS
    )
    spec = _replica("Qwen/Qwen3-32B", 2, utilization)
    alone, tier = (_served(replace(spec, host_kv_gib=gib), sessions, requests) for gib in (0.0, HOST_GIB))
    return Guided(*(with_it / without for with_it, without in zip(tier, alone, strict=True)))


def _served(spec: ReplicaSpec, sessions: SessionLengths, requests: int) -> tuple[float, float, float]:
    """Requests per second, mean TTFT and E2E, the first third left out."""
    means = means_of(sessions, spec.max_model_len)
    lengths = Lengths(means.input, means.output, spec.max_model_len, shared_prefix=means.reachable, sessions=sessions)
    replica = replica_for(spec, lengths, load_parameters(default_root()))
    plan = of_people(lengths, PROMPTS, requests, 5.0, 1)
    served = attend(replica.c, replica.open_loop, plan, 1, Router.PREFIX_AFFINITY, warm=True)
    keep = slice(requests // 3, requests)
    seconds = float(served.finish[keep].max() - served.arrive[keep].min())
    e2e = float((served.finish[keep] - served.arrive[keep]).mean())
    return (requests - requests // 3) / seconds, float(served.ttft[keep].mean()), e2e


def times_faster(tokens: int) -> float:
    """TTFT of a prompt that is read over that of one that is brought in, but its last block."""
    spec = _replica("meta-llama/Llama-3.1-8B-Instruct", 1, 0.9)
    lengths = Lengths(tokens, 2, spec.max_model_len)
    replica = replica_for(replace(spec, host_kv_gib=HOST_GIB), lengths, load_parameters(default_root()))
    chunk, read = spec.max_num_batched_tokens, 0.0
    for begin in range(0, tokens, chunk):
        part = min(chunk, tokens - begin)
        read += float(step_seconds(replica.c, 0.0, 0.0, part, begin + part / 2))
    load = LOAD_FLOOR_S + tokens * replica.open_loop.load_s
    last = float(step_seconds(replica.c, 0.0, 0.0, BLOCK, tokens))
    front = replica.open_loop.frontend_s
    return (read + front) / (load + last + front)


def _replica(model: str, tensor_parallel: int, utilization: float) -> ReplicaSpec:
    catalog = load_catalog()
    card = catalog.gpus["h100_sxm_80"]
    return ReplicaSpec(
        gpu=card,
        model=catalog.models[model],
        engine=catalog.engines["vllm"],
        weight_quant="bf16",
        kv_cache="auto",
        tensor_parallel=tensor_parallel,
        pipeline_parallel=1,
        link=card.link,
        gpu_memory_utilization=utilization,
        max_num_seqs=256,
        max_num_batched_tokens=8192,
        max_model_len=131_072 if tensor_parallel == 1 else 40_960,
    )


def rows() -> Iterator[str]:
    """What was published beside what is replayed."""
    yield "| published with host memory over without | published | here |"
    yield "|---|---|---|"
    for prompt, utilization, measured in GUIDE:
        found = guided(prompt, utilization)
        names = ("throughput", "TTFT mean", "E2E mean")
        for name, value, told in zip(names, (found.throughput, found.ttft, found.e2e), measured, strict=True):
            if told is not None:
                yield f"| llm-d, prompts of {prompt:,}: {name} | x {told:.2f} | x {value:.2f} |"
    faster = " / ".join(f"{times_faster(tokens):.1f}" for tokens in LADDER)
    lengths = " / ".join(f"{tokens:,}" for tokens in LADDER)
    published = " to ".join(f"{one:g}" for one in PUBLISHED)
    yield f"| vLLM, one prompt brought in, not read: times faster | {published} | {faster} at {lengths} tokens |"


def main() -> None:
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
