"""Published throughputs of mixtures on many ranks beside what the step model says of them; nothing is fitted to them.

    python -m benchmarks.anchors            # the table
    python -m benchmarks.anchors --rows     # the same as rows for `optimize predict`

Each line is one engine step at the published batch, lengths and degrees: a decode worker without prompts, or a prompt
step at the published chunk. As a row of ``predict`` each is the worker in question beside so many of the other kind
that they never wait for them. Sources: LMSYS, "Deploying DeepSeek with PD disaggregation and large-scale expert
parallelism on 96 H100 GPUs", 2025-05-05 (prompts: section "End-to-end performance" by length, table "Overall
throughput" for balanced experts and DeepSeek's profile); deepseek-ai/open-infra-index, day 6, 2025-03-01; vLLM, "Large
scale serving: DeepSeek with wide-EP on H200", 2025-12-17.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.types import Catalog
from optimizer.performance import load_parameters
from optimizer.performance.parameters import Parameters
from optimizer.performance.replicas import coefficients
from optimizer.performance.startup import default_share
from optimizer.performance.step import step_seconds
from optimizer.performance.types import ReplicaSpec
from optimizer.problem.trace import MOONCAKE_BLOCK, read_trace

CHAT = Path(__file__).resolve().parent.parent / "data" / "traces" / "chat_mooncake_conversation.csv"


@dataclass(frozen=True, slots=True)
class Anchor:
    """One published throughput: tokens per second of ``gpus`` GPUs."""

    name: str
    gpu: str
    engine: str
    ranks: int
    overlap: bool
    batch: float  # decoding sequences of a rank; 0: a prompt step
    tokens: float  # held by each sequence, or prompt tokens of a rank in a step
    attended: float  # tokens that a prompt token attends to on average: half of a whole prompt
    gpus: int
    published: float
    within: float
    left: str  # what explains the rest
    balanced: bool = False  # every expert got the same number of tokens, as in a profile of random routing
    is_average: bool = False  # of a day: less than what the same worker can do


@cache
def attended_share() -> float:
    """Tokens that a computed prompt token attends to, over those that a decoding sequence holds, each on average.

    DeepSeek's day 6 publishes the second (4,989) and the share of input found in the cache (56 %), and not how prompt
    lengths scatter. Long prompts bring most of the tokens, and what is computed of a conversation is its end, so the
    computed tokens see more than half of a prompt. This is the figure of the packaged trace of another chat service
    (Mooncake's conversations), with a cache that loses nothing: 36 % of the input is found.
    """
    trace, known = read_trace(CHAT), set[int]()
    computed = seen = held = written = 0.0
    for prompt, output, blocks in zip(
        trace.input_tokens, trace.output_tokens, trace.full_blocks(MOONCAKE_BLOCK), strict=True
    ):
        found = next((i for i, block in enumerate(blocks) if block not in known), len(blocks))
        known.update(blocks)
        new = prompt - min(found * MOONCAKE_BLOCK, prompt - 1.0)
        computed, seen = computed + new, seen + new * (prompt - new / 2.0)
        written, held = written + output, held + output * (prompt + output / 2.0)
    return (seen / computed) / (held / written)


HELD_DAY_6 = 4989.0
"""Tokens that a decoding sequence holds on average (day 6)."""

_BALANCED = "simulated with perfectly balanced experts"

ANCHORS = (
    Anchor("LMSYS, decode, EP72", "h100_sxm_80", "sglang", 72, True, 256, 2050, 0, 8, 22_300, 0.20, ""),
    Anchor(
        "DeepSeek day 6, decode, EP144", "h800_sxm_80", "sglang", 144, True, 90, HELD_DAY_6, 0, 8, 14_800, 0.20,
        "the batch is not published: 20 to 22 tokens/s a user and the throughput give some 90 a rank",
    ),
    Anchor(
        "DeepSeek profile, decode, EP128", "h800_sxm_80", "sglang", 128, True, 128, 4096, 0, 8, 18_598, 0.20,
        "runs with perfectly balanced experts (as quoted by LMSYS)", balanced=True,
    ),
    Anchor(
        "vLLM, wide EP, decode, EP32", "h200_sxm_141", "vllm", 32, False, 256, 2100, 0, 1, 2_200, 0.20,
        "ranks, batch and lengths are not all published",
    ),
    Anchor("LMSYS, prompts of 1k, EP32", "h100_sxm_80", "sglang", 32, True, 0, 16_384, 512, 8, 57_674, 0.30, ""),
    Anchor("LMSYS, prompts of 2k, EP32", "h100_sxm_80", "sglang", 32, True, 0, 16_384, 1024, 8, 54_543, 0.30, ""),
    Anchor("LMSYS, prompts of 4k, EP32", "h100_sxm_80", "sglang", 32, True, 0, 16_384, 2048, 8, 50_302, 0.30, ""),
    Anchor(
        "LMSYS, balanced prompts of 4k, EP32", "h100_sxm_80", "sglang", 32, True, 0, 16_384, 2048, 8, 59_337, 0.30,
        _BALANCED, balanced=True,
    ),
    Anchor(
        "DeepSeek profile, prompts of 4k, EP32", "h800_sxm_80", "sglang", 32, True, 0, 16_384, 2048, 8, 62_713, 0.30,
        "runs with perfectly balanced experts (as quoted by LMSYS)", balanced=True,
    ),
    Anchor(
        "DeepSeek day 6, prompts computed, EP32", "h800_sxm_80", "sglang", 32, True, 0, 16_384,
        attended_share() * HELD_DAY_6, 8, 32_206, 0.30,
        "the average of a day, not a capacity: nodes of a day are not busy at all hours; how prompt lengths scatter is "
        "taken from another chat service (alike prompts would attend to 3,400 tokens: 39 % above)", is_average=True,
    ),
)  # fmt: skip


def predicted(anchor: Anchor, catalog: Catalog, params: Parameters) -> float:
    """Tokens per second of the anchor's GPUs by the step model."""
    card, engine = catalog.gpus[anchor.gpu], catalog.engines[anchor.engine]
    spec = ReplicaSpec(
        gpu=card, model=catalog.models["deepseek-ai/DeepSeek-V3"], engine=engine, weight_quant="fp8", kv_cache="auto",
        tensor_parallel=1, pipeline_parallel=1, link=card.link, gpu_memory_utilization=default_share(engine, card),
        max_num_seqs=1024, max_num_batched_tokens=16_384, max_model_len=8192, attention_dp=anchor.ranks,
        expert_parallel=anchor.ranks, overlap=anchor.overlap,
    )  # fmt: skip
    c = coefficients([spec], params).row(0)
    if anchor.balanced:
        c = c._replace(skew_choice=0.0, skew_kept=0.0)
    if anchor.batch:
        seconds = float(step_seconds(c, anchor.batch, anchor.batch * anchor.tokens, 0.0, 0.0))
        return anchor.gpus * anchor.batch / seconds
    return anchor.gpus * anchor.tokens / float(step_seconds(c, 0.0, 0.0, anchor.tokens, anchor.attended))


OTHERS = 64
"""Workers of the other kind in a row."""

WRITTEN = {True: 128, False: 2}
"""Output tokens of a row: of one that decodes, of one that only reads prompts."""


def row_of(anchor: Anchor) -> dict[str, str]:
    """The anchor as a row of ``predict``: tokens per second of its GPUs follow from the output rate (of prompts: times
    prompt over output). A row has whole prompts: where prefixes are cached, ones of the same mean context; and experts
    as they come, balanced or not."""
    decodes = anchor.batch > 0
    mine, other = ("decode", "prefill") if decodes else ("prefill", "decode")
    ranks = str(anchor.ranks)
    written = WRITTEN[decodes]
    prompt = anchor.tokens - written / 2 if decodes else 2.0 * anchor.attended
    held = anchor.batch * anchor.ranks if decodes else 16 * anchor.ranks * anchor.tokens / prompt
    return {
        "row_id": anchor.name, "gpu": anchor.gpu, "engine": anchor.engine, "model": "deepseek-ai/DeepSeek-V3",
        "weight_quant": "fp8", "input_tokens": f"{prompt:.0f}", "output_tokens": str(written), "start": "steady",
        "concurrency": f"{held:.0f}", "requests": f"{2 * held:.0f}", "decode_slots": f"{held:.0f}",
        f"{mine}_workers": "1", f"{other}_workers": str(OTHERS), f"{mine}_overlap": "on" if anchor.overlap else "off",
        "max_num_batched_tokens": "16384",
        **{f"{pool}_tensor_parallel": "1" for pool in ("prefill", "decode")},
        **{f"{pool}_{name}": ranks for pool in ("prefill", "decode") for name in ("attention_dp", "expert_parallel")},
    }  # fmt: skip


def main() -> None:
    """Print the table, or the rows."""
    if "--rows" in sys.argv[1:]:
        rows = [row_of(anchor) for anchor in ANCHORS]
        writer = csv.DictWriter(sys.stdout, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
        return
    catalog, params = load_catalog(), load_parameters(default_root())
    print(f"{'anchor':40s} {'overlap':>7s} {'published':>10s} {'predicted':>10s} {'error':>6s} {'without':>10s}")
    for anchor in ANCHORS:
        found = predicted(anchor, catalog, params)
        without = predicted(replace(anchor, overlap=False), catalog, params)
        error = 100 * (found / anchor.published - 1)
        overlap = "on" if anchor.overlap else "off"
        print(
            f"{anchor.name:40s} {overlap:>7s} {anchor.published:10,.0f} {found:10,.0f} {error:+5.0f} % {without:9,.0f}"
        )
        if anchor.left:
            print(f"    {anchor.left}")


if __name__ == "__main__":
    main()
