"""The row to complete after the benchmark: the settings, in the columns that ``optimize predict`` reads."""

from __future__ import annotations

import csv
import io
from itertools import pairwise
from typing import TYPE_CHECKING

from optimizer.handover.names import plain
from optimizer.report.csv_report import safe_cell

if TYPE_CHECKING:
    from optimizer.handover.launch.server import Server

_LATENCIES = ("ttft_ms_mean", "ttft_ms_p50", "ttft_ms_p99", "tpot_ms_mean", "tpot_ms_p50", "tpot_ms_p99")
_MEASURED = ("output_tokens_per_s", *_LATENCIES)
"""Blank: to be filled in from the benchmark's result."""


def measurement_csv(server: Server) -> str:
    """One row: one server under its share of the load. A mix of length classes is no such row."""
    group, options = server.group, _options(server.bench[0])
    row = {
        "gpu": group.gpu,
        "gpu_count": str(server.gpus),
        "interconnect": group.interconnect,
        "engine": group.engine,
        "engine_version": "",
        "model": group.model,
        "weight_quant": group.weight_quant,
        "kv_cache": group.kv_cache,
        "tp": str(group.tensor_parallel),
        "pp": str(group.pipeline_parallel),
        "dp": "1",
        "input_tokens": options["--random-input-len"],
        "output_tokens": options["--random-output-len"],
        "load": "open_loop" if "--request-rate" in options else "closed_loop",
        "start": "unknown" if "--request-rate" in options else "burst",
        "requests": options["--num-prompts"],
        "length_low": "1",
        "concurrency": options.get("--max-concurrency", ""),
        "request_rate": options.get("--request-rate", ""),
        **dict.fromkeys(_MEASURED, ""),
    }
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(row)
    writer.writerow([safe_cell(plain(cell)) for cell in row.values()])
    return stream.getvalue()


def _options(words: tuple[str, ...]) -> dict[str, str]:
    """Options of a command with their values."""
    return {name: value for name, value in pairwise(words) if name.startswith("--")}
