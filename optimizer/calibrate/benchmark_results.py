"""Benchmark results that people have, as measured rows.

Understood: vLLM ``bench serve`` JSON, SGLang ``bench_serving`` JSON lines, what both print, GuideLLM JSON, genai-perf
and aiperf JSON, ``trtllm-bench`` reports, and CSV with our own columns. What a file does not say (card, engine,
parallelism, formats) comes from the command line, which also overrides what it says; nothing is taken for granted.

What benchmark tools write, as cells of a measured row: vLLM, SGLang, GuideLLM, genai-perf, aiperf, trtllm-bench.

Keys that a file lacks, or that hold something else than expected, leave their cell blank; the row then says what is
missing, at the key it would come from.

Reading the cells of a row: everything that is wrong with them at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from optimizer.calibrate.checkpoint_names import format_in, named
from optimizer.calibrate.rows import LOADS, OVERLAPS, SPECULATIVE, STARTS, MeasuredRow, RowCase, RowError, case_of
from optimizer.calibrate.text_results import TextRecord, text_records
from optimizer.catalog.types import Catalog
from optimizer.demand import LARGEST_P95_TO_MEAN
from optimizer.errors import Finding, InputError, UsageError
from optimizer.files.csv_file import read_open_table
from optimizer.files.json_file import JsonDocument, parse_json
from optimizer.files.nodes import Key, shown
from optimizer.files.text_file import decode_mild, read_bytes
from optimizer.vocabulary import Router

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
    cells |= _told_to_the_client(record)
    if cells["load"] != "open_loop" and cap > 0:
        cells.pop("request_rate", None)  # it only staggers how the requests that are held begin
    at_random = arrivals and cells["load"] == "open_loop"
    yield Result(cells, (), _BENCH_SERVE, tuple(_bench_serve_refusals(record, cells, count, at_random)))


_TOLD = (
    "gpu", "gpu_count", "interconnect", "nodes", "engine", "engine_version", "weight_quant", "kv_cache", "tp", "pp",
    "replicas", "gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens", "load", "start", "length_low",
    "router", "input_p95", "output_p95", "context_max", "shared_prefix", "requests_per_prefix",
)  # fmt: skip
"""What our benchmark scripts tell a client that it cannot know: ``--metadata`` of vLLM and TensorRT-LLM, which stands
at the top of the result, and ``--tag`` of SGLang."""


def _told_to_the_client(record: Json) -> Cells:
    tag = dict(pair.split("=", 1) for pair in str(record.get("tag") or "").split() if "=" in pair)
    known = {**tag, **{name: record[name] for name in _TOLD if isinstance(record.get(name), str)}}
    return {name: known[name] for name in _TOLD if known.get(name)}


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


T = TypeVar("T")

MAX_BYTES = 256 * 1024 * 1024
"""Largest file read: results may hold every single request."""

_KIND = "benchmark result"


@dataclass(frozen=True, slots=True)
class _Stated:
    """One run as its file states it, and where each of its cells stands."""

    cells: Cells
    finding: Callable[[str, str], Finding]  # (cell, message)
    refusals: tuple[tuple[str, str], ...] = ()


def read_results(path: Path, given: Mapping[str, str]) -> list[MeasuredRow]:
    """Rows of one results file; ``given`` overrides what the file says. All defects are reported at once."""
    model = given.get("model")
    return _all_of([path], given, lambda cells: parse_row({**cells, "model": model} if model else cells))


def read_cases(
    paths: Sequence[Path], given: Mapping[str, str], catalog: Catalog, *, accept_failures: bool = False
) -> list[RowCase]:
    """The runs of several files in the terms of the model. Raises ``UsageError`` with everything that is missing.

    ``accept_failures`` takes runs of which some requests failed, or that did not stream, all the same.
    """

    def understood(cells: Cells) -> RowCase:
        complete = _with_checkpoint(cells, given, catalog)
        try:
            row = parse_row(complete)
        except RowError as error:
            raise RowError([*_missing(complete, catalog), *error.defects]) from None
        missing = _missing(complete, catalog)
        if missing:
            raise RowError(missing)
        return case_of(row, catalog)

    return _all_of(paths, given, understood, refuse=not accept_failures)


_ASKED: Mapping[str, str] = {
    "gpu": "the card is not stated; name it with --gpu",
    "model": "the model is not stated; name it with --model",
    "engine": "the engine is not stated (the client speaks to any server); name it with --engine",
    "weight_quant": "the weight format is not stated; name it with --weight-quant",
    "tp": "the tensor parallel size is not stated; give it with --tp, 1 for one card",
}
"""What decides a prediction and that nobody may guess."""


def _missing(cells: Cells, catalog: Catalog) -> list[tuple[str, str]]:
    """What a run leaves open, and engines that nobody knows."""
    missing = [(name, question) for name, question in _ASKED.items() if not (cells.get(name) or "").strip()]
    engine = cells.get("engine", "")
    if engine and engine not in catalog.engines:
        known = ", ".join(sorted(catalog.engines))
        missing.append(("engine", f"unknown engine {shown(engine)}: one of {known}"))
    return missing


def _with_checkpoint(cells: Cells, given: Mapping[str, str], catalog: Catalog) -> Cells:
    """The catalog's model, and the weight format as far as it is stated: as such, or by the name of what was served.

    The id of a model stands for its weights as published. A name that says nothing leaves the format open, also where
    the command line tells which model it means.
    """
    served = cells.get("model") or given.get("model", "")
    names = [name for name in (given.get("model"), cells.get("model")) if name]
    known = [named(name, catalog) for name in names]
    model = next((one.model for one in known[:1] if one), names[0] if names else "")
    stated = (cells.get("weight_quant"), *(one.weight_quant for one in known if one), *map(format_in, names))
    quant = next((one for one in stated if one), "native" if named(served, catalog) else "")
    return {**cells, "model": model, "weight_quant": quant}


def _all_of(
    paths: Sequence[Path], given: Mapping[str, str], understood: Callable[[Cells], T], *, refuse: bool = False
) -> list[T]:
    """Every run of every file; or everything that is wrong with them."""
    flags = {key: value for key, value in given.items() if value}
    found: list[T] = []
    findings: list[Finding] = []
    for path in paths:
        try:
            stated = list(_stated(path))
        except InputError as error:
            findings += error.findings
            continue
        for one in stated:
            refusals = one.refusals if refuse else ()
            findings += [replace(one.finding(cell, message), hint=_ANYHOW) for cell, message in refusals]
            try:
                found.append(understood({**one.cells, **{k: v for k, v in flags.items() if k != "model"}}))
            except RowError as error:
                findings += [_finding(one, flags, cell, message) for cell, message in error.defects]
    if findings:
        raise UsageError(tuple(dict.fromkeys(findings)))
    return found


_ANYHOW = "--accept-failures fits to it all the same"


def _finding(stated: _Stated, flags: Mapping[str, str], cell: str, message: str) -> Finding:
    """A defect of an option where the option is to blame, else of the file."""
    if cell in flags:
        return Finding(message, f"--{cell.replace('_', '-')} {flags[cell]}")
    return stated.finding(cell, message)


def _stated(path: Path) -> Iterator[_Stated]:
    """The runs of a file. Raises InputError where it holds none that can be read."""
    any_read = False
    for one in _rows_of_csv(path) if path.suffix.lower() == ".csv" else _runs_of_text(path):
        any_read = True
        yield one
    if not any_read:
        raise UsageError([Finding("holds no benchmark result", str(path), 1, 1)])


def _rows_of_csv(path: Path) -> Iterator[_Stated]:
    table = read_open_table(path)
    if table.findings:
        raise UsageError(table.findings)
    for line, cells in table.lines:
        named = {name: cells[at] for name, at in table.index.items() if name and cells[at]}

        def finding(cell: str, message: str, line: int = line) -> Finding:
            place = table.place(line, table.index.get(cell, 0))
            return Finding(message, str(path), *place)

        if named:
            yield _Stated(named, finding)


def _runs_of_text(path: Path) -> Iterator[_Stated]:
    """The runs of a file that is JSON, JSON lines, or what a client printed."""
    raw = read_bytes(path, _KIND, MAX_BYTES)
    text = raw if isinstance(raw, Finding) else decode_mild(raw, str(path))
    if isinstance(text, Finding):
        raise UsageError([text])
    printed = text_records(text)
    return _runs_of_print(path, printed) if printed else _runs_of_json(path, text)


def _runs_of_print(path: Path, printed: Sequence[TextRecord]) -> Iterator[_Stated]:
    for record in printed:
        runs = results_of(record.values)
        if runs is None:
            raise UsageError([Finding("the table lacks its figures", str(path), record.first_line, 1)])
        for run in runs:

            def finding(cell: str, message: str, record: TextRecord = record, run: Result = run) -> Finding:
                line = record.lines.get(str(run.place(cell)[-1]), record.first_line)
                return Finding(message, str(path), line, 1)

            yield _Stated(run.cells, finding, run.refusals)


def _runs_of_json(path: Path, text: str) -> Iterator[_Stated]:
    for record in _records(path, text):
        items = record.value if isinstance(record.value, list) else [record.value]
        for index, item in enumerate(items):
            inside = (index,) if isinstance(record.value, list) else ()
            runs = results_of(item)
            if runs is None:
                why = why_unusable(item) or "is no benchmark result of a known kind"
                raise UsageError([record.finding(why, inside, _KNOWN)])
            for run in runs:

                def finding(
                    cell: str,
                    message: str,
                    record: JsonDocument = record,
                    inside: tuple[int, ...] = inside,
                    run: Result = run,
                ) -> Finding:
                    return record.finding(message, (*inside, *run.place(cell)))

                yield _Stated(run.cells, finding, run.refusals)


_KNOWN = "known: vLLM bench serve, SGLang bench_serving, GuideLLM, genai-perf, aiperf, trtllm-bench; or a .csv"


def _records(path: Path, text: str) -> list[JsonDocument]:
    """The document of a JSON file, or one for each line of a file of JSON lines."""
    whole = parse_json(text, str(path), strict=False)
    if isinstance(whole, JsonDocument):
        return [whole]
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    parsed = [parse_json(line, str(path), number, strict=False) for number, line in lines]
    documents = [one for one in parsed if isinstance(one, JsonDocument)]
    findings = [one for one in parsed if isinstance(one, Finding)]
    if not documents:
        raise UsageError([whole])  # no line is a record: it was meant as one document
    if findings:
        raise UsageError(findings)
    return documents


MAX_TOKENS = 1e8
"""Longest length that is believed."""


MOST_IN_FLIGHT = 100_000
"""Most requests in flight that are replayed."""

MOST_REQUESTS = 1_000_000
"""Most requests of a run that are replayed."""

MOST_GPUS = 1024
"""Largest size of a kind of parallelism that is believed."""


MOST_DRAFTS = 64
"""Most drafted tokens of a step that are believed."""


class RowCells:
    """Cells of a row as numbers and words; what is wrong with them is gathered."""

    def __init__(self, cells: Mapping[str, str | None]) -> None:
        self._cells = cells
        self.defects: list[tuple[str, str]] = []

    def error(self, cell: str, message: str) -> None:
        """Note a defect."""
        self.defects.append((cell, message))

    def text(self, name: str, default: str = "") -> str:
        """A word; blank and nan count as absent."""
        value = (self._cells.get(name) or "").strip()
        return value if value and value.lower() != "nan" else default

    def number(self, name: str, default: float = math.nan, most: float = math.inf) -> float:
        """A number from 0 to ``most``; infinity only where it is asked for in so many words."""
        raw = self.text(name)
        if not raw:
            return default
        try:
            value = float(raw) if raw.isascii() and "_" not in raw else math.nan
        except ValueError:
            value = math.nan
        if math.isnan(value):
            self.error(name, f"{name} is not a number: {shown(raw)}")
            return default
        if math.isinf(value) and raw.lower().strip("+-") not in ("inf", "infinity"):
            self.error(name, f"{name} is beyond every use: {shown(raw)}")
            return default
        if not 0 <= value <= most:
            limit = "0 or above" if value < 0 else f"at most {most:,.0f}"
            self.error(name, f"{name} has to be {limit}, not {shown(raw)}")
            return default
        return value

    def measured(self, name: str) -> float:
        """A measured figure: finite."""
        value = self.number(name)
        if math.isinf(value):
            self.error(name, f"{name} is not finite: {shown(self.text(name))}")
        return value

    def whole(self, name: str, default: int, most: int = MOST_GPUS) -> int:
        """A whole number from 1 to ``most``."""
        value = self.number(name, default)
        if not (math.isfinite(value) and 1 <= value <= most and value == int(value)):
            self.error(name, f"{name} must be a whole number from 1 to {most:,}, not {self.text(name)}")
            return default
        return int(value)

    def degree(self, name: str, most: int = MOST_GPUS) -> int:
        """A whole number from 1 to ``most``; 0 where the cell is blank."""
        return self.whole(name, 1, most) if self.text(name) else 0

    def tokens(self, name: str) -> float:
        """A length that is believed."""
        known = len(self.defects)
        value = self.number(name)
        if not 1 <= value <= MAX_TOKENS and len(self.defects) == known:
            seen = shown(self.text(name)) if self.text(name) else "nothing"
            self.error(name, f"{name} must be a number from 1 to {MAX_TOKENS:,.0f}, not {seen}")
        return value

    def word(self, name: str, default: str, known: Sequence[str]) -> str:
        """One of the known words."""
        word = self.text(name, default)
        if word not in known:
            self.error(name, f"{name} must be one of {', '.join(known)}, not {shown(word)}")
        return word


ROUTERS = tuple(str(one) for one in Router)
_OF_A_TEST = ("router", "input_p95", "output_p95", "shared_prefix", "requests_per_prefix")
"""A row that states one of these is predicted as a test that is sent as described, from an idle server to the end."""


def parse_row(cells: Mapping[str, str | None]) -> MeasuredRow:
    """Read one line of a table; only gpu, model, input_tokens and output_tokens are needed. Raises RowError."""
    c = RowCells(cells)
    tp, pp, dp = c.whole("tp", 1), c.whole("pp", 1), c.whole("dp", 1)
    inputs, outputs = c.tokens("input_tokens"), c.tokens("output_tokens")
    concurrency, rate = c.number("concurrency", most=MOST_IN_FLIGHT), c.number("request_rate")
    load = c.word("load", "open_loop" if 0 < rate < math.inf else "closed_loop", LOADS)
    start = c.word(
        "start", "steady" if load == "open_loop" else "unknown" if load == "closed_loop" else "burst", STARTS
    )
    refused = {cell for cell, _ in c.defects}
    if load in ("closed_loop", "static_batch") and not concurrency >= 1 and "concurrency" not in refused:
        c.error("concurrency", f"{load} needs a concurrency of at least 1")
    if load == "open_loop" and not 0 < rate < math.inf and "request_rate" not in refused:
        c.error("request_rate", "open_loop needs a request_rate above 0")
    if load == "open_loop" and concurrency < 1:
        c.error("concurrency", "concurrency of an open_loop is the most that the client lets be in flight: at least 1")
    low = c.number("length_low", 1.0)
    if not 0 < low <= 1:
        c.error("length_low", "length_low must lie in (0, 1]")
    described = any(c.text(name) for name in _OF_A_TEST)
    router = c.word("router", Router.ROUND_ROBIN, ROUTERS) if described else ""
    spread = {name: c.number(name) for name in ("input_p95", "output_p95")}
    for (name, p95), mean in zip(spread.items(), (inputs, outputs), strict=True):
        if p95 > LARGEST_P95_TO_MEAN * mean:
            times = f"more than {LARGEST_P95_TO_MEAN:.2f} times the mean of {mean:g}"
            c.error(name, f"{name} of {p95:g} is {times}: lengths that spread so are not predicted row by row")
    prefixes = c.degree("requests_per_prefix", MOST_REQUESTS)
    if prefixes == 1:
        c.error("requests_per_prefix", "requests_per_prefix 1 shares nothing: leave shared_prefix out")
    utilization = c.number("gpu_memory_utilization", most=1.0)
    if utilization == 0:
        c.error("gpu_memory_utilization", "gpu_memory_utilization has to be above 0")
    endings = ("_ms", "_mean", "_p50", "_p95", "_p99")
    latencies = [name for name in MeasuredRow.__dataclass_fields__ if name.endswith(endings)]
    measured = {name: c.measured(name) for name in latencies if name not in _OF_A_TEST}
    row = MeasuredRow(
        row_id=c.text("row_id"), source=c.text("source"), gpu=c.text("gpu"),
        gpu_count=c.whole("gpu_count", tp * pp * dp, MOST_GPUS**3), interconnect=c.text("interconnect"),
        engine=c.text("engine"), engine_version=c.text("engine_version"), model=c.text("model"),
        weight_quant=c.text("weight_quant"), kv_cache=c.text("kv_cache"), tp=tp, pp=pp, dp=dp,
        input_tokens=inputs, output_tokens=outputs, load=load, start=start,
        requests=c.number("requests", most=MOST_REQUESTS), length_low=low, concurrency=concurrency, request_rate=rate,
        output_tokens_per_s=c.measured("output_tokens_per_s"), date=c.text("date"),
        replicas=c.degree("replicas"), attention_dp=c.degree("attention_dp"),
        expert_parallel=c.degree("expert_parallel"), moe_tensor_parallel=c.degree("moe_tensor_parallel"),
        overlap=c.word("overlap", "off", OVERLAPS), speculative=c.word("speculative", "none", SPECULATIVE),
        speculative_tokens=c.degree("speculative_tokens", MOST_DRAFTS), acceptance=c.number("acceptance", most=1.0),
        task=c.text("task"), draft_model=c.text("draft_model"),
        gpu_memory_utilization=utilization,
        max_num_seqs=c.degree("max_num_seqs", MOST_IN_FLIGHT),
        max_num_batched_tokens=c.degree("max_num_batched_tokens", MOST_REQUESTS),
        nodes=c.degree("nodes"), router=router, **spread,
        context_max=c.degree("context_max", MOST_REQUESTS), shared_prefix=c.number("shared_prefix", 0.0, most=1.0),
        requests_per_prefix=prefixes, **measured,
    )  # fmt: skip
    if c.defects:
        raise RowError(c.defects)
    return row
