"""What benchmark tools write, as cells of a measured row: vLLM, SGLang, GuideLLM, genai-perf, aiperf, trtllm-bench.

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
    refusals: tuple[tuple[str, str], ...] = ()  # why nothing may be fitted to it: the cell it shows at, and a sentence

    def place(self, cell: str) -> tuple[Key, ...]:
        """The path of what a cell was read from."""
        return (*self.path, *self.keys.get(cell, (cell,)))


def results_of(record: object) -> Iterator[Result] | None:
    """The runs of a record; None where it is no benchmark result of a known kind."""
    if not isinstance(record, dict):
        return None
    return next((read(record) for knows, read in _READERS if knows(record)), None)


def why_unusable(record: object) -> str | None:
    """Why a record of a known kind holds nothing that can be fitted to; None for records of an unknown kind."""
    if not isinstance(record, dict):
        return None
    return next((why for knows, why in UNUSABLE if knows(record)), None)


def _bench_serve(record: Json) -> Iterator[Result]:
    """vLLM ``bench serve`` and SGLang ``bench_serving`` write the same names: totals, and figures in milliseconds.

    ``max_concurrency`` beside a rate is what the client lets be in flight at most; without one, so many are always.
    """
    count = _number(record.get("completed"))
    cap, rate = _number(record.get("max_concurrency")), _number(record.get("request_rate"))
    arrivals = 0 < rate < math.inf
    low = _number(record.get("random_range_ratio"))
    cells = _filled(
        model=record.get("model_id"),
        engine=_ENGINES.get(str(record.get("backend")).partition("-oai")[0]),
        input_tokens=_each(record.get("total_input_tokens"), count),
        output_tokens=_each(record.get("total_output_tokens"), count),
        load="open_loop" if arrivals else "closed_loop",
        start="steady" if arrivals else "burst",
        concurrency=cap if cap > 0 else None if arrivals else count,
        request_rate=rate if arrivals else None,
        requests=count,
        length_low=low if 0 < low < 1 else None,
        output_tokens_per_s=record.get("output_throughput"),
        **{cell: record.get(key) for cell, (key,) in _SERVED.items()},
    )
    yield Result(cells, (), _BENCH_SERVE, tuple(_bench_serve_refusals(record, cells, count, arrivals)))


def _bench_serve_refusals(record: Json, cells: Cells, count: float, arrivals: bool) -> Iterator[tuple[str, str]]:
    failed, asked = _number(record.get("failed")), _number(record.get("num_prompts"))
    yield from _failures("requests", failed if failed >= 0 else asked - count, count)
    burstiness = _number(record.get("burstiness"))
    if arrivals and burstiness >= 0 and burstiness != 1.0:
        yield "request_rate", f"arrivals of burstiness {burstiness:g}: only Poisson arrivals (1.0) are modelled"
    ttft, whole = _number(record.get("mean_ttft_ms")), _number(record.get("mean_e2el_ms"))
    tpot, tokens = _number(record.get("mean_tpot_ms")), _number(cells.get("output_tokens"))
    if tokens > 1.5 and (tpot == 0 or ttft >= _WHOLE * whole):
        yield "ttft_ms_mean", NOT_STREAMED


_WHOLE = 0.98
"""A first token that takes so much of the whole answer came with the last one."""

NOT_STREAMED = "the run did not stream: its first tokens came with the last ones; run it again with streaming"

_ENGINES: Mapping[str, str] = {
    "vllm": "vllm",
    "vllm-chat": "vllm",
    "sglang": "sglang",
    "sglang-native": "sglang",
    "tensorrt-llm": "trtllm",
    "trt": "trtllm",
}
"""Engines by the client's name for them; a client that speaks to any OpenAI-compatible server names none."""

_SERVED: Mapping[str, tuple[str]] = {
    f"{figure}_ms_{ours}": (f"{theirs}_{figure}_ms",)
    for figure in ("ttft", "tpot")
    for ours, theirs in (("mean", "mean"), ("p50", "median"), ("p95", "p95"), ("p99", "p99"))
}

_BENCH_SERVE: Mapping[str, tuple[Key, ...]] = {
    "model": ("model_id",),
    "engine": ("backend",),
    "input_tokens": ("total_input_tokens",),
    "output_tokens": ("total_output_tokens",),
    "concurrency": ("max_concurrency",),
    "requests": ("completed",),
    "output_tokens_per_s": ("output_throughput",),
    "length_low": ("random_range_ratio",),
    **_SERVED,
}


def _failures(cell: str, failed: float, came: float) -> Iterator[tuple[str, str]]:
    if failed > 0:
        of = f" of {failed + came:,.0f}" if came >= 0 else ""
        yield cell, f"{failed:,.0f}{of} requests failed: the figures speak for those that came through only"


def _guidellm(record: Json) -> Iterator[Result]:
    """GuideLLM: one entry per strategy; every figure has a distribution over successful requests."""
    for index, benchmark in enumerate(_list(record["benchmarks"])):
        metrics = _object(_object(benchmark).get("metrics"))
        strategy = _object(_found(benchmark, "strategy"))
        kind = str(strategy.get("type_", "concurrent"))
        streams = _number(strategy.get("streams") or strategy.get("max_concurrency"))
        rate = _number(strategy.get("rate"))
        closed = kind in ("concurrent", "synchronous", "throughput") or not 0 < rate < math.inf
        held = _part(metrics, "request_concurrency", "mean")
        tpot = "time_per_output_token_ms" if "inter_token_latency_ms" not in metrics else "inter_token_latency_ms"
        offered = streams if streams > 0 else held
        sources = {
            "input_tokens": ("prompt_token_count", "mean"),
            "output_tokens": ("output_token_count", "mean"),
            "output_tokens_per_s": ("output_tokens_per_second", "mean"),
            "ttft_ms_mean": ("time_to_first_token_ms", "mean"),
            "ttft_ms_p50": ("time_to_first_token_ms", "median"),
            "ttft_ms_p95": ("time_to_first_token_ms", "p95"),
            "tpot_ms_mean": (tpot, "mean"),
            "tpot_ms_p50": (tpot, "median"),
            "tpot_ms_p95": (tpot, "p95"),
        }
        cells = _filled(
            load="closed_loop" if closed else "open_loop",
            start="burst" if closed else "steady",
            concurrency=(max(offered, 1.0) if offered > 0 else None) if closed else streams if streams > 0 else None,
            request_rate=None if closed else rate,
            **{cell: _part(metrics, name, stat) for cell, (name, stat) in sources.items()},
        )
        keys: dict[str, tuple[Key, ...]] = {cell: ("metrics", name) for cell, (name, _) in sources.items()}
        totals = _object(_found(benchmark, "request_totals"))
        refusals = [*_failures("load", _number(totals.get("errored")), _number(totals.get("successful")))]
        written = _part(metrics, "output_token_count", "mean")
        if written > 1 and not _part(metrics, "time_to_first_token_ms", "mean") > 0:
            refusals.append(("ttft_ms_mean", NOT_STREAMED))
        yield Result(cells, ("benchmarks", index), keys, tuple(refusals))


def _perf_export(record: Json) -> Iterator[Result]:
    """genai-perf and aiperf: a statistic per figure with its unit; the load stands in the input configuration."""
    concurrency, rate = _number(_found(record, "concurrency")), _number(_found(record, "request_rate"))
    arrivals = 0 < rate < math.inf
    names = _found(record, "model_names")
    sources = {
        "input_tokens": ("input_sequence_length", "avg"),
        "output_tokens": ("output_sequence_length", "avg"),
        "output_tokens_per_s": ("output_token_throughput", "avg"),
        **{
            f"{ours}_ms_{name}": (theirs, stat)
            for ours, theirs in (("ttft", "time_to_first_token"), ("tpot", "inter_token_latency"))
            for name, stat in (("mean", "avg"), ("p50", "p50"), ("p95", "p95"), ("p99", "p99"))
        },
    }
    cells = _filled(
        model=names[0] if isinstance(names, list) and names else None,
        load="open_loop" if arrivals else "closed_loop",
        start="steady" if arrivals else "burst",
        concurrency=concurrency if concurrency > 0 else None,
        request_rate=rate if arrivals else None,
        **{cell: _statistic(record, name, stat) for cell, (name, stat) in sources.items()},
    )
    failed = _number(_object(record.get("error_request_count")).get("avg"))
    refusals = [*_failures("load", failed, _number(_object(record.get("request_count")).get("avg")))]
    if not isinstance(record.get("time_to_first_token"), dict):
        refusals.append(("ttft_ms_mean", NOT_STREAMED))
    yield Result(cells, (), {cell: (name,) for cell, (name, _) in sources.items()}, tuple(refusals))


def _trtllm_bench(record: Json) -> Iterator[Result]:
    """``trtllm-bench throughput --report_json``: requests are sent at once, as many in flight as the report says.

    ``world_info`` has the degrees, ``engine`` the formats.
    """
    engine, world, asked = (_object(record.get(name)) for name in ("engine", "world_info", "request_info"))
    figures, streamed = _object(record.get("performance")), _object(record.get("streaming_metrics"))
    held, requests = _number(asked.get("avg_num_concurrent_requests")), _number(asked.get("num_requests"))
    sources: dict[str, tuple[Json, str, str]] = {
        "model": (engine, "engine", "model"),
        "tp": (world, "world_info", "tp_size"),
        "pp": (world, "world_info", "pp_size"),
        "requests": (asked, "request_info", "num_requests"),
        "input_tokens": (asked, "request_info", "avg_input_length"),
        "output_tokens": (asked, "request_info", "avg_output_length"),
        "concurrency": (asked, "request_info", "avg_num_concurrent_requests"),
        "output_tokens_per_s": (figures, "performance", "system_output_throughput_tok_s"),
        "ttft_ms_mean": (streamed, "streaming_metrics", "avg_ttft_ms"),
        "tpot_ms_mean": (streamed, "streaming_metrics", "avg_tpot_ms"),
    }
    cells = _filled(
        engine="trtllm",
        load="closed_loop",
        start="burst",
        weight_quant=_trtllm_format(engine),
        kv_cache=None if str(engine.get("kv_cache_dtype")) in ("auto", "None") else engine.get("kv_cache_dtype"),
        **{name: part.get(key) for name, (part, _, key) in sources.items()},
    )
    if held > 0:  # an average: the run holds at least that many for most of its time
        cells["concurrency"] = str(min(math.ceil(held), requests) if requests > 0 else math.ceil(held))
    keys: dict[str, tuple[Key, ...]] = {name: (room, key) for name, (_, room, key) in sources.items()}
    refusals = []
    if not _number(streamed.get("avg_ttft_ms")) > 0:
        refusals.append(("output_tokens_per_s", NOT_STREAMED))
    if _number(world.get("ep_size")) > 1:
        refusals.append(("tp", "expert parallel runs of trtllm-bench are not read; give the figures as .csv"))
    yield Result(cells, (), keys, tuple(refusals))


def _trtllm_format(engine: Json) -> str | None:
    """The weight format of a report; None where it names one that the model does not have."""
    stated = str(engine.get("quantization") or "").lower().replace("_", "")
    if not stated or stated in ("none", "noquant"):
        return "bf16" if str(engine.get("dtype")).lower() in ("bfloat16", "float16") else None
    known = (("nvfp4", "nvfp4"), ("w4a16", "int4"), ("mxfp4", "mxfp4"), ("fp8", "fp8"), ("w8a8", "int8"))
    return next((ours for theirs, ours in known if stated.startswith(theirs)), None)


UNUSABLE: tuple[tuple[Callable[[Json], bool], str], ...] = (
    (
        lambda record: "tokens_per_second" in record and "elapsed_time" in record,
        "is a result of vLLM bench throughput: it has no latencies; run bench serve",
    ),
    (
        lambda record: "avg_latency" in record and "latencies" in record,
        "is a result of vLLM bench latency: it tells no first tokens apart; run bench serve",
    ),
)
"""What is known, and holds nothing that can be fitted to."""

_READERS: tuple[tuple[Callable[[Json], bool], Callable[[Json], Iterator[Result]]], ...] = (
    (lambda record: isinstance(record.get("benchmarks"), list), _guidellm),
    (
        lambda record: any(isinstance(record.get(name), dict) for name in ("time_to_first_token", "request_latency")),
        _perf_export,
    ),
    (lambda record: isinstance(record.get("request_info"), dict) and "performance" in record, _trtllm_bench),
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
    figures = _object(entry.get("successful") or entry.get("total"))
    return _number(figures.get(stat, _object(figures.get("percentiles")).get(stat)))


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
