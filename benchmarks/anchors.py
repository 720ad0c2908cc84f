"""Published throughputs of mixtures on many ranks beside what the step model says of them; nothing is fitted to them.

    python -m benchmarks.anchors            # the table
    python -m benchmarks.anchors --rows     # the same as rows for `optimize predict`

Each line is one engine step at the published batch, lengths and degrees: a decode worker without prompts, or a prompt
step at the published chunk. As a row of ``predict`` each is the worker in question beside so many of the other kind
that they never wait for them. Sources: LMSYS, "Deploying DeepSeek with PD disaggregation and large-scale expert
parallelism on 96 H100 GPUs", 2025-05-05; deepseek-ai/open-infra-index, day 6, 2025-03-01; vLLM, "Large scale serving:
DeepSeek with wide-EP on H200", 2025-12-17.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, replace

from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.types import Catalog
from optimizer.performance import load_parameters
from optimizer.performance.parameters import Parameters
from optimizer.performance.replicas import coefficients
from optimizer.performance.startup import default_share
from optimizer.performance.step import step_seconds
from optimizer.performance.types import ReplicaSpec


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
    prompt: float  # tokens of one prompt
    gpus: int
    published: float
    within: float
    left: str  # what explains the rest
    is_average: bool = False  # of a day: less than what the same worker can do


ANCHORS = (
    Anchor("LMSYS, decode, EP72", "h100_sxm_80", "sglang", 72, True, 256, 2050, 0, 8, 22_300, 0.20, ""),
    Anchor(
        "DeepSeek day 6, decode, EP144", "h800_sxm_80", "sglang", 144, True, 90, 4989, 0, 8, 14_800, 0.20,
        "the batch is not published: 20 to 22 tokens/s a user and the throughput give some 90 a rank",
    ),
    Anchor(
        "vLLM, wide EP, decode, EP32", "h200_sxm_141", "vllm", 32, False, 256, 2100, 0, 1, 2_200, 0.20,
        "ranks, batch and lengths are not all published",
    ),
    Anchor(
        "LMSYS, prompts, EP32", "h100_sxm_80", "sglang", 32, True, 0, 16_384, 4096, 8, 52_300, 0.30,
        "",
    ),
    Anchor(
        "DeepSeek profile, prompts, EP32", "h800_sxm_80", "sglang", 32, True, 0, 16_384, 4096, 8, 62_713, 0.30,
        "the profile runs with perfectly balanced experts (quoted by LMSYS, as above)",
    ),
    Anchor(
        "DeepSeek day 6, prompts computed, EP32", "h800_sxm_80", "sglang", 32, True, 0, 16_384, 4989, 8, 32_200, 0.30,
        "the average of a day, not a capacity: the same deployment's profile is 62,713, and the nodes of a day are not "
        "busy at all hours; cached prefixes are attended to as well", is_average=True,
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
    if anchor.batch:
        seconds = float(step_seconds(c, anchor.batch, anchor.batch * anchor.tokens, 0.0, 0.0))
        return anchor.gpus * anchor.batch / seconds
    return anchor.gpus * anchor.tokens / float(step_seconds(c, 0.0, 0.0, anchor.tokens, anchor.prompt / 2))


OTHERS = 64
"""Workers of the other kind in a row."""

WRITTEN = {True: 128, False: 2}
"""Output tokens of a row: of one that decodes, of one that only reads prompts."""


def row_of(anchor: Anchor) -> dict[str, str]:
    """The anchor as a row of ``predict``: tokens per second of its GPUs follow from the output rate (of prompts: times
    prompt over output)."""
    decodes = anchor.batch > 0
    mine, other = ("decode", "prefill") if decodes else ("prefill", "decode")
    ranks = str(anchor.ranks)
    written = WRITTEN[decodes]
    prompt = anchor.tokens - written / 2 if decodes else anchor.prompt
    held = anchor.batch * anchor.ranks if decodes else 16 * anchor.ranks * anchor.tokens / anchor.prompt
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
