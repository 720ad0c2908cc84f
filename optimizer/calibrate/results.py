"""Benchmark results that people have, as measured rows.

Understood: vLLM ``bench serve`` JSON, SGLang ``bench_serving`` JSON lines, GuideLLM JSON, genai-perf and aiperf JSON,
and CSV with our own columns. What a file does not say (card, parallelism, formats) comes from the command line.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from optimizer.calibrate.parse import parse_row
from optimizer.calibrate.rows import Row
from optimizer.errors import Finding, InputError, UsageError

Cells = dict[str, str]
Json = Mapping[str, Any]


def read_results(path: Path, given: Mapping[str, str]) -> list[Row]:
    """Rows of one results file; ``given`` fills what the file leaves open. All defects are reported at once."""
    rows, findings = [], []
    for number, cells in enumerate(_cells_of(path), start=1):
        try:
            rows.append(parse_row({**{key: value for key, value in given.items() if value}, **cells}))
        except InputError as error:
            findings += [Finding(f"result {number}: {finding.message}", str(path)) for finding in error.findings]
    if findings:
        raise UsageError(findings)
    if not rows:
        raise UsageError([Finding("holds no benchmark result", str(path))])
    return rows


def _cells_of(path: Path) -> Iterator[Cells]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError([Finding(f"cannot be read: {error}", str(path))]) from error
    if path.suffix.lower() == ".csv":
        yield from ({k: v for k, v in row.items() if k and v} for row in csv.DictReader(text.splitlines()))
        return
    for record in _records(text, path):
        found = next((read for knows, read in READERS if knows(record)), None)
        if found is None:
            raise UsageError([Finding("is no benchmark result of a known kind", str(path))])
        yield from found(record)


def _records(text: str, path: Path) -> list[Json]:
    try:
        whole = json.loads(text)
        found = whole if isinstance(whole, list) else [whole]
    except json.JSONDecodeError:
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            raise UsageError([Finding(f"is not JSON: {error.msg}", str(path), error.lineno)]) from error
    if not all(isinstance(record, dict) for record in found):
        raise UsageError([Finding("is no benchmark result of a known kind", str(path))])
    return found


def _bench_serve(record: Json) -> Iterator[Cells]:
    """vLLM ``bench serve`` and SGLang ``bench_serving`` write the same names: totals, and figures in milliseconds."""
    count = _number(record.get("completed"))
    concurrency, rate = _number(record.get("max_concurrency")), _number(record.get("request_rate"))
    closed = concurrency > 0
    yield _filled(
        model=record.get("model_id"),
        engine=record.get("backend") if record.get("backend") in ("vllm", "sglang") else None,
        input_tokens=_number(record.get("total_input_tokens")) / count,
        output_tokens=_number(record.get("total_output_tokens")) / count,
        load="closed_loop" if closed or not math.isfinite(rate) else "open_loop",
        start="burst" if closed or not math.isfinite(rate) else "steady",
        concurrency=concurrency if closed else count if not math.isfinite(rate) else None,
        request_rate=None if closed or not math.isfinite(rate) else rate,
        requests=count,
        length_low=record.get("random_range_ratio") if 0 < _number(record.get("random_range_ratio")) < 1 else None,
        output_tokens_per_s=record.get("output_throughput"),
        **{
            f"{figure}_ms_{ours}": record.get(f"{theirs}_{figure}_ms")
            for figure in ("ttft", "tpot")
            for ours, theirs in (("mean", "mean"), ("p50", "median"), ("p99", "p99"))
        },
    )


def _guidellm(record: Json) -> Iterator[Cells]:
    """GuideLLM: one entry per strategy; every figure has a distribution over successful requests."""
    for benchmark in record["benchmarks"]:
        metrics = benchmark["metrics"]
        strategy = _found(benchmark, "strategy") or {}
        kind = str(strategy.get("type_", "concurrent"))
        streams = _number(strategy.get("streams") or strategy.get("max_concurrency"))
        rate = _number(strategy.get("rate"))
        closed = kind in ("concurrent", "synchronous", "throughput") or not rate > 0
        held = _part(metrics, "request_concurrency", "mean")
        tpot = "time_per_output_token_ms" if "inter_token_latency_ms" not in metrics else "inter_token_latency_ms"
        yield _filled(
            input_tokens=_part(metrics, "prompt_token_count", "mean"),
            output_tokens=_part(metrics, "output_token_count", "mean"),
            load="closed_loop" if closed else "open_loop",
            start="burst" if closed else "steady",
            concurrency=max(streams if streams > 0 else held, 1.0) if closed else None,
            request_rate=None if closed else rate,
            output_tokens_per_s=_part(metrics, "output_tokens_per_second", "mean"),
            ttft_ms_mean=_part(metrics, "time_to_first_token_ms", "mean"),
            ttft_ms_p50=_part(metrics, "time_to_first_token_ms", "median"),
            tpot_ms_mean=_part(metrics, tpot, "mean"),
            tpot_ms_p50=_part(metrics, tpot, "median"),
        )


def _perf_export(record: Json) -> Iterator[Cells]:
    """genai-perf and aiperf: a statistic per figure with its unit; the load stands in the input configuration."""
    concurrency, rate = _number(_found(record, "concurrency")), _number(_found(record, "request_rate"))
    names = _found(record, "model_names")
    yield _filled(
        model=names[0] if isinstance(names, list) and names else None,
        input_tokens=_statistic(record, "input_sequence_length", "avg"),
        output_tokens=_statistic(record, "output_sequence_length", "avg"),
        load="closed_loop" if concurrency > 0 else "open_loop",
        start="burst" if concurrency > 0 else "steady",
        concurrency=concurrency if concurrency > 0 else None,
        request_rate=rate if not concurrency > 0 else None,
        output_tokens_per_s=_statistic(record, "output_token_throughput", "avg"),
        **{
            f"{ours}_ms_{name}": _statistic(record, theirs, stat)
            for ours, theirs in (("ttft", "time_to_first_token"), ("tpot", "inter_token_latency"))
            for name, stat in (("mean", "avg"), ("p50", "p50"), ("p99", "p99"))
        },
    )


READERS: tuple[tuple[Callable[[Json], bool], Callable[[Json], Iterator[Cells]]], ...] = (
    (lambda record: "benchmarks" in record, _guidellm),
    (lambda record: "time_to_first_token" in record, _perf_export),
    (lambda record: "mean_ttft_ms" in record and "completed" in record, _bench_serve),
)


def _statistic(record: Json, name: str, stat: str) -> float:
    """A figure of genai-perf, nanoseconds and seconds turned into milliseconds."""
    entry = record.get(name)
    if not isinstance(entry, dict):
        return math.nan
    scale = {"ns": 1e-6, "us": 1e-3, "s": 1e3}.get(str(entry.get("unit", "")), 1.0)
    return _number(entry.get(stat)) * scale


def _part(metrics: Json, name: str, stat: str) -> float:
    entry = metrics.get(name) or {}
    return _number((entry.get("successful") or entry.get("total") or {}).get(stat))


def _found(tree: Any, name: str) -> Any:
    """The first value under ``name`` anywhere in a tree."""
    if isinstance(tree, dict):
        if tree.get(name) is not None:
            return tree[name]
        tree = list(tree.values())
    if isinstance(tree, list):
        return next((found for branch in tree if (found := _found(branch, name)) is not None), None)
    return None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _filled(**cells: Any) -> Cells:
    """Cells that say something, as text."""
    return {
        name: str(value)
        for name, value in cells.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }
