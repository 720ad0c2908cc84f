"""AIConfigurator beside this project, on the same published rows: TPOT and TTFT of requests held in flight.

    python -m benchmarks.peers                        # where aiconfigurator is installed beside this project
    python -m benchmarks.peers --python PATH          # under another interpreter, as that of an environment of its own

Rows are those of which a fit that saw nothing of their source x GPU x model group made a prediction
(``catalogs/performance/left_out.csv``), on the cards, models and engines that AIConfigurator ships tables of. These
were measured on the engines' newest releases, by the publisher of most of these rows; it sees every row's degrees,
formats and load. It is asked in two ways (``WAYS``) and judged by the one that errs least for it on each figure.
Where it cannot be imported one line says so, and nothing is compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.aiconfigurator_worker import NOT_INSTALLED
from optimizer.calibrate.left_out import FOLDS, read_errors
from optimizer.calibrate.own_bands import setup_of
from optimizer.calibrate.rows import RowCase
from optimizer.calibrate.scores import TPOT, TTFT, Error, packaged_cases, weighing
from optimizer.catalog import default_root, load_catalog
from optimizer.files.atomic_write import write_atomic
from optimizer.performance import load_parameters

SYSTEMS = {
    "h100_sxm_80": "h100_sxm", "h200_sxm_141": "h200_sxm", "b200_sxm_180": "b200_sxm", "b300_sxm_288": "b300_sxm",
    "h100_pcie_80": "h100_pcie", "a100_sxm_80": "a100_sxm", "l4_24": "l4", "l40s_48": "l40s",
}  # fmt: skip
ENGINES = ("vllm", "sglang", "trtllm")

NATIVE: Mapping[str, str | None] = {}
"""No formats stated: those of the checkpoint's own configuration."""

BF16 = {"gemm_quant_mode": "bfloat16", "moe_quant_mode": "bfloat16"}
BLOCK = {"gemm_quant_mode": "fp8_block", "moe_quant_mode": "fp8_block"}

_DENSE = {"bf16": {"gemm_quant_mode": "bfloat16"}, "fp8": {"gemm_quant_mode": "fp8"},
          "nvfp4": {"gemm_quant_mode": "nvfp4"}}  # fmt: skip

MODELS: Mapping[str, Mapping[str, tuple[str, Mapping[str, str | None]]]] = {
    "meta-llama/Llama-3.1-8B-Instruct": {q: ("meta-llama/Meta-Llama-3.1-8B", modes) for q, modes in _DENSE.items()},
    "meta-llama/Llama-3.1-70B-Instruct": {q: ("meta-llama/Meta-Llama-3.1-70B", modes) for q, modes in _DENSE.items()},
    "Qwen/Qwen3-32B": {q: ("Qwen/Qwen3-32B", modes) for q, modes in _DENSE.items()},
    "deepseek-ai/DeepSeek-V3": {
        "fp8": ("deepseek-ai/DeepSeek-V3", NATIVE), "nvfp4": ("nvidia/DeepSeek-V3.1-NVFP4", NATIVE),
    },
    "deepseek-ai/DeepSeek-R1": {
        "fp8": ("deepseek-ai/DeepSeek-R1", NATIVE), "nvfp4": ("nvidia/DeepSeek-V3.1-NVFP4", NATIVE),
    },
    "MiniMaxAI/MiniMax-M2": {
        "fp8": ("MiniMaxAI/MiniMax-M2.5", NATIVE), "nvfp4": ("nvidia/MiniMax-M2.5-NVFP4", NATIVE),
    },
    "Qwen/Qwen3.5-397B-A17B": {
        "bf16": ("Qwen/Qwen3.5-397B-A17B", BF16), "fp8": ("Qwen/Qwen3.5-397B-A17B", BLOCK),
        "nvfp4": ("nvidia/Qwen3.5-397B-A17B-NVFP4", NATIVE),
    },
    "moonshotai/Kimi-K2.5": {
        "int4": ("moonshotai/Kimi-K2.5", NATIVE), "nvfp4": ("nvidia/Kimi-K2.5-NVFP4", NATIVE),
    },
    "zai-org/GLM-5": {"fp8": ("zai-org/GLM-5-FP8", NATIVE), "nvfp4": ("nvidia/GLM-5-NVFP4", NATIVE)},
    "openai/gpt-oss-120b": {"mxfp4": ("openai/gpt-oss-120b", NATIVE)},
}  # fmt: skip
"""By model and weight format: the checkpoint of the same shape whose configuration AIConfigurator ships, and how its
formats are stated where that configuration does not say them."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to ask."""

    name: str
    whole_budget: bool  # the engine's token budget as prompt tokens of a step; else its default, one prompt


WAYS = (Way("one prompt a step", False), Way("the engine's token budget a step", True))

MODE = "HYBRID"
"""Its tables wherever they reach (the same answers as ``SILICON``), and what they lack computed from them."""

ROWS = 5
"""Rows of each group, engine and format that are asked about, unless stated otherwise: an answer takes a second."""

SEED = 3


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of one row: measured, and as both predict it, in milliseconds."""

    case: RowCase
    figure: str
    measured: float
    ours: float
    peers: tuple[float | None, ...]  # by way; None: refused


def question(case: RowCase, way: Way) -> dict[str, object] | None:
    """What the peer is asked of a row; None where it ships no such card, engine, model or format."""
    spec, row = case.spec, case.row
    known = MODELS.get(spec.model.id, {}).get(spec.weight_quant)
    if known is None or spec.gpu.id not in SYSTEMS or row.engine not in ENGINES or row.load != "closed_loop":
        return None
    model, modes = known
    mixture = {}
    if spec.model.is_moe:
        ranks = spec.tensor_parallel * spec.attention_dp
        mixture = {"moe_ep_size": spec.expert_parallel, "moe_tp_size": max(ranks // spec.expert_parallel, 1)}
    return {
        "model_path": model, "system_name": SYSTEMS[spec.gpu.id], "backend_name": row.engine,
        "database_mode": MODE, "isl": round(row.input_tokens), "osl": max(round(row.output_tokens), 2),
        "batch_size": max(round(row.concurrency / case.replicas), 1), "tp_size": spec.tensor_parallel,
        "pp_size": spec.pipeline_parallel, "attention_dp_size": spec.attention_dp,
        "kvcache_quant_mode": "fp8" if spec.kv_cache == "fp8" else "bfloat16",
        "ctx_tokens": spec.max_num_batched_tokens if way.whole_budget else None, **modes, **mixture,
    }  # fmt: skip


def asked(questions: Sequence[dict[str, object]], python: str) -> list[dict[str, object]] | None:
    """The answers, each question asked once; None where the peer is not installed."""
    lines = [json.dumps(question, sort_keys=True) for question in questions]
    once = list(dict.fromkeys(lines))
    worker = Path(__file__).with_name("aiconfigurator_worker.py")
    run = subprocess.run(
        [python, str(worker)], input="\n".join(once), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        check=False,
    )  # fmt: skip
    if run.returncode == NOT_INSTALLED:
        return None
    run.check_returncode()
    answers = dict(zip(once, map(json.loads, run.stdout.splitlines()), strict=True))
    return [answers[line] for line in lines]


def drawn(errors: Sequence[Error], rows: int) -> list[Error]:
    """The errors of TPOT and TTFT of at most so many rows of each group, engine and format that the peer has."""
    cells: dict[str, dict[str, list[Error]]] = {}
    for error in errors:
        if error.metric in (TPOT, TTFT) and question(error.case, WAYS[0]) is not None:
            cells.setdefault(setup_of(error), {}).setdefault(error.case.row.row_id, []).append(error)
    found, draws = [], np.random.default_rng(SEED)
    for _, by_row in sorted(cells.items()):
        chosen = draws.permutation(sorted(by_row))[:rows]
        found += [error for name in sorted(chosen.tolist()) for error in by_row[name]]
    return found


def compared(errors: Sequence[Error], python: str) -> list[Compared] | None:
    """Errors that the peer can be asked about, beside its answers; None where it is not installed."""
    questions = [found for e in errors for way in WAYS if (found := question(e.case, way)) is not None]
    answers = asked(questions, python)
    if answers is None:
        return None
    result = []
    for number, error in enumerate(errors):
        mine = answers[number * len(WAYS) : (number + 1) * len(WAYS)]
        values = tuple(_positive(answer.get(f"{error.metric}_ms")) for answer in mine)
        result.append(Compared(error.case, error.metric, error.measured, error.predicted, values))
    return result


def _positive(value: object) -> float | None:
    return value if isinstance(value, float) and 0.0 < value < float("inf") else None


def kind(case: RowCase) -> str:
    """Engine, and dense or mixture."""
    return f"{case.row.engine}, {'mixture' if case.spec.model.is_moe else 'dense'}"


def lines(found: Sequence[Compared]) -> Iterator[str]:
    """Median errors on rows that both answer, by figure, way and kind; the peer's best way of each figure last."""
    yield "| figure | rows | asked | answered | here, median % | AIConfigurator, median % | here nearer, % of rows |"
    yield "| --- | --- |" + " ---: |" * 5
    for figure in (TPOT, TTFT):
        mine = [one for one in found if one.figure == figure]
        scores = {}
        for number, way in enumerate(WAYS):
            yield _line(figure, f"all, {way.name}", mine, number)
            if both := [one for one in mine if one.peers[number] is not None]:
                scores[number] = float(np.median([_off(one.peers[number], one) for one in both]))
        if scores:
            best = min(scores, key=lambda number: scores[number])
            for name in sorted({kind(one.case) for one in mine}):
                part = [one for one in mine if kind(one.case) == name]
                yield _line(figure, f"{name}, {WAYS[best].name}", part, best)


def _line(figure: str, name: str, mine: Sequence[Compared], way: int) -> str:
    both = [one for one in mine if one.peers[way] is not None]
    if not both:
        return f"| {figure} | {name} | {len(mine)} | 0 | | | |"
    ours = np.array([_off(one.ours, one) for one in both])
    peers = np.array([_off(one.peers[way], one) for one in both])
    numbers = f"{np.median(ours):.1f} | {np.median(peers):.1f} | {100 * np.mean(ours < peers):.0f}"
    return f"| {figure} | {name} | {len(mine)} | {len(both)} | {numbers} |"


def _off(predicted: float | None, one: Compared) -> float:
    """Percent that a prediction is off."""
    return float("nan") if predicted is None else 100.0 * abs(predicted / one.measured - 1.0)


def main(arguments: Sequence[str]) -> None:
    """Print the comparison, or why there is none."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="AIConfigurator on the same rows")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has aiconfigurator")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of each group, engine and format")
    parser.add_argument("-o", dest="output", type=Path, help="write the table there (docs/tables/peers.md)")
    chosen = parser.parse_args(arguments)
    root, python = default_root(), chosen.python
    params, weight = load_parameters(root), weighing(root)
    every = read_errors(root / "performance" / "left_out.csv", packaged_cases(root, load_catalog(), params), params)
    rows = [error for error in every if error.unseen == FOLDS and weight(error.case.row) > 0]
    found = compared(drawn(rows, chosen.rows), python)
    if found is None:
        print(f"skipped: {python} has no aiconfigurator (pip install aiconfigurator, or --python PATH)")
        return
    text = "\n".join(lines(found))
    print(text)
    if chosen.output:
        write_atomic(chosen.output, text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
