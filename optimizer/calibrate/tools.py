"""What benchmark tools write, as cells of a measured row: vLLM, SGLang, GuideLLM, genai-perf and aiperf.

Keys that a file lacks, or that hold something else than expected, leave their cell blank; the row then says what is
missing, at the key it would come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from optimizer.documents.nodes import Key

Cells = dict[str, str]
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """Cells of one run; where in the record it stands; the key that each cell comes from, if it is called otherwise."""

    cells: Cells
    path: tuple[Key, ...] = ()
    keys: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)

    def place(self, cell: str) -> tuple[Key, ...]:
        """The path of what a cell was read from."""
        return (*self.path, *self.keys.get(cell, (cell,)))


def results_of(record: object) -> Iterator[Result] | None:
    """The runs of a record; None where it is no benchmark result of a known kind."""
    if not isinstance(record, dict):
        return None
    return next((read(record) for knows, read in _READERS if knows(record)), None)


def _bench_serve(record: Json) -> Iterator[Result]:
    """vLLM ``bench serve`` and SGLang ``bench_serving`` write the same names: totals, and figures in milliseconds."""
    count = _number(record.get("completed"))
    concurrency, rate = _number(record.get("max_concurrency")), _number(record.get("request_rate"))
    closed = concurrency > 0
    low = _number(record.get("random_range_ratio"))
    cells = _filled(
        model=record.get("model_id"),
        engine=record.get("backend") if record.get("backend") in ("vllm", "sglang") else None,
        input_tokens=_each(record.get("total_input_tokens"), count),
        output_tokens=_each(record.get("total_output_tokens"), count),
        load="closed_loop" if closed or not math.isfinite(rate) else "open_loop",
        start="burst" if closed or not math.isfinite(rate) else "steady",
        concurrency=concurrency if closed else count if not math.isfinite(rate) else None,
        request_rate=None if closed or not math.isfinite(rate) else rate,
        requests=count,
        length_low=low if 0 < low < 1 else None,
        output_tokens_per_s=record.get("output_throughput"),
        **{
            f"{figure}_ms_{ours}": record.get(f"{theirs}_{figure}_ms")
            for figure in ("ttft", "tpot")
            for ours, theirs in (("mean", "mean"), ("p50", "median"), ("p99", "p99"))
        },
    )
    yield Result(cells, (), _BENCH_SERVE)


_BENCH_SERVE: Mapping[str, tuple[Key, ...]] = {
    "model": ("model_id",),
    "input_tokens": ("total_input_tokens",),
    "output_tokens": ("total_output_tokens",),
    "concurrency": ("max_concurrency",),
    "requests": ("completed",),
    "output_tokens_per_s": ("output_throughput",),
    "length_low": ("random_range_ratio",),
    **{
        f"{figure}_ms_{ours}": (f"{theirs}_{figure}_ms",)
        for figure in ("ttft", "tpot")
        for ours, theirs in (("mean", "mean"), ("p50", "median"), ("p99", "p99"))
    },
}


def _guidellm(record: Json) -> Iterator[Result]:
    """GuideLLM: one entry per strategy; every figure has a distribution over successful requests."""
    for index, benchmark in enumerate(_list(record["benchmarks"])):
        metrics = _object(_object(benchmark).get("metrics"))
        strategy = _object(_found(benchmark, "strategy"))
        kind = str(strategy.get("type_", "concurrent"))
        streams = _number(strategy.get("streams") or strategy.get("max_concurrency"))
        rate = _number(strategy.get("rate"))
        closed = kind in ("concurrent", "synchronous", "throughput") or not rate > 0
        held = _part(metrics, "request_concurrency", "mean")
        tpot = "time_per_output_token_ms" if "inter_token_latency_ms" not in metrics else "inter_token_latency_ms"
        offered = streams if streams > 0 else held
        sources = {
            "input_tokens": ("prompt_token_count", "mean"),
            "output_tokens": ("output_token_count", "mean"),
            "output_tokens_per_s": ("output_tokens_per_second", "mean"),
            "ttft_ms_mean": ("time_to_first_token_ms", "mean"),
            "ttft_ms_p50": ("time_to_first_token_ms", "median"),
            "tpot_ms_mean": (tpot, "mean"),
            "tpot_ms_p50": (tpot, "median"),
        }
        cells = _filled(
            load="closed_loop" if closed else "open_loop",
            start="burst" if closed else "steady",
            concurrency=max(offered, 1.0) if closed and offered > 0 else None,
            request_rate=None if closed else rate,
            **{cell: _part(metrics, name, stat) for cell, (name, stat) in sources.items()},
        )
        yield Result(cells, ("benchmarks", index), {cell: ("metrics", name) for cell, (name, _) in sources.items()})


def _perf_export(record: Json) -> Iterator[Result]:
    """genai-perf and aiperf: a statistic per figure with its unit; the load stands in the input configuration."""
    concurrency, rate = _number(_found(record, "concurrency")), _number(_found(record, "request_rate"))
    names = _found(record, "model_names")
    sources = {
        "input_tokens": ("input_sequence_length", "avg"),
        "output_tokens": ("output_sequence_length", "avg"),
        "output_tokens_per_s": ("output_token_throughput", "avg"),
        **{
            f"{ours}_ms_{name}": (theirs, stat)
            for ours, theirs in (("ttft", "time_to_first_token"), ("tpot", "inter_token_latency"))
            for name, stat in (("mean", "avg"), ("p50", "p50"), ("p99", "p99"))
        },
    }
    cells = _filled(
        model=names[0] if isinstance(names, list) and names else None,
        load="closed_loop" if concurrency > 0 else "open_loop",
        start="burst" if concurrency > 0 else "steady",
        concurrency=concurrency if concurrency > 0 else None,
        request_rate=rate if not concurrency > 0 else None,
        **{cell: _statistic(record, name, stat) for cell, (name, stat) in sources.items()},
    )
    yield Result(cells, (), {cell: (name,) for cell, (name, _) in sources.items()})


_READERS: tuple[tuple[Callable[[Json], bool], Callable[[Json], Iterator[Result]]], ...] = (
    (lambda record: isinstance(record.get("benchmarks"), list), _guidellm),
    (lambda record: isinstance(record.get("time_to_first_token"), dict), _perf_export),
    (lambda record: "mean_ttft_ms" in record and "completed" in record, _bench_serve),
)


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _statistic(record: Json, name: str, stat: str) -> float:
    """A figure of genai-perf, nanoseconds and seconds turned into milliseconds."""
    entry = _object(record.get(name))
    scale = {"ns": 1e-6, "us": 1e-3, "s": 1e3}.get(str(entry.get("unit", "")), 1.0)
    return _number(entry.get(stat)) * scale


def _part(metrics: Json, name: str, stat: str) -> float:
    entry = _object(metrics.get(name))
    return _number(_object(entry.get("successful") or entry.get("total")).get(stat))


def _found(tree: object, name: str) -> Any:
    """The first value under ``name`` anywhere in a tree, outer ones first within a branch."""
    waiting = [tree]
    while waiting:
        branch = waiting.pop()
        if isinstance(branch, dict):
            if branch.get(name) is not None:
                return branch[name]
            waiting += reversed(list(branch.values()))
        elif isinstance(branch, list):
            waiting += reversed(branch)
    return None


def _each(total: object, count: float) -> float:
    """A total per request."""
    return _number(total) / count if count > 0 else math.nan


def _number(value: object) -> float:
    """A number, or text that is one, such as the ``"inf"`` of a request rate; else not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _filled(**cells: object) -> Cells:
    """Cells that say something, as text."""
    return {
        name: str(value)
        for name, value in cells.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }
