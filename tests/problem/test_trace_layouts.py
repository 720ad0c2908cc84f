"""Traces of other programs: read by what their columns and keys mean, sessions and prompt blocks included."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from optimizer.errors import ProblemError
from optimizer.problem.trace import read_trace

ROWS = [(0.5 * i, 100 + i, 10 + i) for i in range(12)]


@pytest.mark.parametrize(
    "header",
    [
        "arrived_at,num_prefill_tokens,num_decode_tokens",
        "arrival_timestamp,prompt_size,token_size",
        "time,prompt_tokens,completion_tokens",
        "Arrival Time,Input Length,Output Length",
        "ts,num_prompt_tokens,num_generation_tokens",
    ],
)
def test_headers_are_read_by_their_meaning(tmp_path: Path, header: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text("\n".join([f"id,{header}", *(f"x,{t},{a},{b}" for t, a, b in ROWS)]))
    trace = read_trace(file)
    assert trace.arrival_s == tuple(t for t, _, _ in ROWS)
    assert trace.input_tokens == tuple(a for _, a, _ in ROWS)
    assert trace.output_tokens == tuple(b for _, _, b in ROWS)
    assert trace.sessions == trace.blocks == ()


def test_milliseconds_are_told_by_name_and_by_size(tmp_path: Path) -> None:
    for name, start, factor in (("arrival_ms", 0, 1e3), ("timestamp", 1_700_000_000_000, 1e3), ("timestamp", 5, 1)):
        file = tmp_path / "t.csv"
        rows = (f"{start + factor * t:.0f},{a},{b}" for t, a, b in [(2 * t, a, b) for t, a, b in ROWS])
        file.write_text("\n".join([f"{name},input_tokens,output_tokens", *rows]))
        assert read_trace(file).arrival_s[-1] == pytest.approx(11.0)


def mooncake(path: Path) -> Path:
    file = path / "t.jsonl"
    lines = []
    for i, (t, _, made) in enumerate(ROWS):
        ids = list(range(2 + i // 2)) if i % 2 else [100 + i, 200 + i]
        tokens = 512 * len(ids) - 12  # the last block is partial
        lines.append({"timestamp": t * 1000, "input_length": tokens, "output_length": made, "hash_ids": ids})
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def test_mooncake_lines_carry_blocks_and_sessions_are_told_from_them(tmp_path: Path) -> None:
    trace = read_trace(mooncake(tmp_path))
    assert trace.arrival_s[-1] == pytest.approx(5.5)
    full = trace.full_blocks(512)
    assert full[1] == (0,)  # of two listed, one is full
    sessions = trace.sessions_by_prefix(512)
    assert sessions[3] != sessions[1]  # one full block is no session yet
    assert len({sessions[i] for i in (5, 7, 9, 11)}) == 1


def test_aibrix_lines_hold_requests_that_arrive_together(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    moments = [{"timestamp": 1000 * i, "requests": [{"prompt_length": 50, "output_length": 5}] * 2} for i in range(6)]
    file.write_text("\n".join(map(json.dumps, moments)))
    trace = read_trace(file)
    assert (len(trace.arrival_s), trace.arrival_s[-1]) == (12, 5.0)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not an object"),
        ('{"input_length": 1, "output_length": 1}', "no arrival"),
        ('{"timestamp": 9e9, "input_length": "x", "output_length": 1}', "no input tokens"),
        ('{"timestamp": 9e9, "input_length": 1, "output_length": 1, "hash_ids": ["a"]}', "list of whole numbers"),
        ('{"timestamp": -1, "input_length": 1, "output_length": 1}', "no arrival"),
    ],
)
def test_defects_of_lines_are_named(tmp_path: Path, line: str, says: str) -> None:
    file = mooncake(tmp_path)
    file.write_text(file.read_text() + "\n" + line)
    with pytest.raises(ProblemError) as caught:
        read_trace(file)
    assert (caught.value.findings[0].line, says in caught.value.findings[0].message) == (13, True)


def test_block_ranges_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    rows = [f"{i},0,{i},600,5,0-1" for i in range(11)]
    file.write_text("\n".join(["time_s,session,turn,input_tokens,output_tokens,blocks", *rows, "20,0,9,600,5,7-3"]))
    with pytest.raises(ProblemError, match=r"t\.csv:13:14: blocks: '7-3' is no range of blocks"):
        read_trace(file)
