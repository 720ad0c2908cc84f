"""Reading the cells of a row: everything that is wrong with them at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from optimizer.calibrate.rows import LOADS, SPECULATIVE, STARTS, Row, RowError
from optimizer.documents.scalars import shown

MAX_TOKENS = 1e8
"""Longest length that is believed."""


MOST_IN_FLIGHT = 100_000
"""Most requests in flight that are replayed."""

MOST_REQUESTS = 1_000_000
"""Most requests of a run that are replayed."""

MOST_GPUS = 1024
"""Largest size of a kind of parallelism that is believed."""


class _Cells:
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


def parse_row(cells: Mapping[str, str | None]) -> Row:
    """Read one line of a table; only gpu, model, input_tokens and output_tokens are needed. Raises RowError."""
    c = _Cells(cells)
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
    utilization = c.number("gpu_memory_utilization", most=1.0)
    if utilization == 0:
        c.error("gpu_memory_utilization", "gpu_memory_utilization has to be above 0")
    endings = ("_ms", "_mean", "_p50", "_p95", "_p99")
    measured = {name: c.measured(name) for name in Row.__dataclass_fields__ if name.endswith(endings)}
    row = Row(
        row_id=c.text("row_id"), source=c.text("source"), gpu=c.text("gpu"),
        gpu_count=c.whole("gpu_count", tp * pp * dp, MOST_GPUS**3), interconnect=c.text("interconnect"),
        engine=c.text("engine"), engine_version=c.text("engine_version"), model=c.text("model"),
        weight_quant=c.text("weight_quant"), kv_cache=c.text("kv_cache"), tp=tp, pp=pp, dp=dp,
        input_tokens=inputs, output_tokens=outputs, load=load, start=start,
        requests=c.number("requests", most=MOST_REQUESTS), length_low=low, concurrency=concurrency, request_rate=rate,
        output_tokens_per_s=c.measured("output_tokens_per_s"), date=c.text("date"),
        replicas=c.degree("replicas"), attention_dp=c.degree("attention_dp"),
        expert_parallel=c.degree("expert_parallel"), moe_tensor_parallel=c.degree("moe_tensor_parallel"),
        speculative=c.word("speculative", "none", SPECULATIVE), gpu_memory_utilization=utilization,
        max_num_seqs=c.degree("max_num_seqs", MOST_IN_FLIGHT),
        max_num_batched_tokens=c.degree("max_num_batched_tokens", MOST_REQUESTS), **measured,
    )  # fmt: skip
    if c.defects:
        raise RowError(c.defects)
    return row
