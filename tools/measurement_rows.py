"""Published measurements with what each row says of its parallelism: ``catalogs/measurements``.

``dp`` of the collected rows has two meanings: copies of a dense model, ranks of a mixture that share its experts. The
catalog has a column for each. Degrees of experts come from the labels where they multiply to the GPUs of a rank group;
a degree of zero, or a product that does not, means not stated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.source_tables import Row, read

DEGREES = ("replicas", "attention_dp", "expert_parallel", "moe_tensor_parallel")

SERVED = (
    "row_id", "source", "date", "gpu", "gpu_form_factor_assumed", "gpu_count", "interconnect", "engine",
    "engine_version", "model", "weight_quant", "kv_cache", "tp", "pp", *DEGREES, "input_tokens", "output_tokens",
    "load", "start", "requests", "length_low", "concurrency", "request_rate", "output_tokens_per_s", "ttft_ms_mean",
    "ttft_ms_p50", "ttft_ms_p99", "tpot_ms_mean", "tpot_ms_p50", "tpot_ms_p99", "e2e_ms",
)  # fmt: skip

STEPS = (
    "row_id", "date", "gpu", "gpu_inferred", "engine", "engine_version", "model", "weight_quant", "tp", "attention_dp",
    "expert_parallel", "phase", "requests_per_rank", "tokens", "step_ms_median", "steps_seen",
)  # fmt: skip

SAME_SHAPE = {"Qwen/Qwen3.6-35B-A3B": "Qwen/Qwen3.5-35B-A3B"}
"""Models that the catalog has under the name of another release of the same shape."""

UNSOUND = ("duplicate", "load", "truth", "ttft", "label")
"""Beginnings of remarks after which a row, or its label, says nothing that can be relied on."""

MOST_TENSOR_PARALLEL = 16
"""Labels of more are products: an expert's width does not divide by 72."""


def unsound(data: Path, file: str) -> frozenset[str]:
    """Rows of a file with a remark that takes their figures or labels away."""
    remarks = [row for row in read(data / "doubtful_rows.csv") if row["file"] == file]
    return frozenset(row["row_id"] for row in remarks if row["why"].startswith(UNSOUND))


def measured_rows(data: Path, mixtures: frozenset[str]) -> Iterator[Row]:
    """Collected rows with their labels, then the sound plain serving rows of round two."""
    doubtful = unsound(data, "parallelism_labels.csv")
    labels = {row["row_id"]: row for row in read(data / "parallelism_labels.csv") if row["row_id"] not in doubtful}
    for row in read(data / "measurements.csv"):
        copies = row["dp"] if row["dp"] not in ("", "1") else ""
        mixture = row["model"] in mixtures
        degrees = {"replicas": "" if mixture else copies, "attention_dp": copies if mixture else ""}
        stated = _experts(labels.get(row["row_id"], {}), int(row["tp"] or 1) * int(copies or 1)) if mixture else {}
        yield {name: {**row, **degrees, **stated}.get(name, "") for name in SERVED}
    left_out = unsound(data, "serving.csv")
    for row in read(data / "serving.csv"):
        tp = int(row["repaired_tensor_parallel"])
        if row["speculative"] == "plain" and row["row_id"] not in left_out and tp <= MOST_TENSOR_PARALLEL:
            yield _served(row, row["model"] in mixtures)


def _served(row: Row, mixture: bool) -> Row:
    degrees = {"tp": row["repaired_tensor_parallel"], "gpu_count": row["repaired_gpus"]}
    if mixture:
        degrees |= {name: row[f"repaired_{name}"] for name in DEGREES[1:]}
    stated = {name: cell for name, cell in row.items() if name not in DEGREES}
    return {name: {**stated, **degrees}.get(name, "") for name in SERVED}


def _experts(label: Row, gpus: int) -> Row:
    dealt, cut = (int(float(label.get(name) or 0)) for name in ("expert_parallel", "moe_tensor_parallel"))
    return {"expert_parallel": str(dealt), "moe_tensor_parallel": str(cut)} if dealt * cut == gpus else {}


def step_rows(data: Path) -> Iterator[Row]:
    """Median engine steps, those left out whose figure cannot be true."""
    left_out = unsound(data, "engine_steps.csv")
    for row in read(data / "engine_steps.csv"):
        if row["row_id"] not in left_out:
            model = SAME_SHAPE.get(row["model"], row["model"])
            yield {name: {**row, "model": model, "tp": row["tensor_parallel"]}[name] for name in STEPS}


def written(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Rows in a fixed order, each id once."""
    ids = [row["row_id"] for row in rows]
    if len(set(ids)) != len(ids):
        raise SystemExit("measurements: a row id stands twice")
    return tuple(rows)


def with_counts(sources: Sequence[Row], measured: Sequence[Row]) -> list[dict[str, str]]:
    """Sources with the number of their rows behind the version."""
    counts = Counter(row["source"] for row in measured)
    found: list[dict[str, str]] = []
    for source in sources:
        told = {"source": source["source"], "version": source["version"], "rows": str(counts[source["source"]])}
        found.append({**told, **source})
    return found
