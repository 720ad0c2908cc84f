"""Traces of other programs: read by what their columns and keys mean, sessions and prompt blocks included."""

from __future__ import annotations

import gzip
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


DAY = "2026-10-01"

LOGS = {
    "TIMESTAMP,ContextTokens,GeneratedTokens": lambda t: f"{DAY} 18:01:{t:010.7f}",
    "Timestamp,Request tokens,Response tokens": lambda t: f"{5 + t}",
    "arrival_time,prompt_tokens,generation_tokens": lambda t: f"{1.7e9 + t}",
    "created_at,usage.prompt_tokens,usage.completion_tokens": lambda t: f"{DAY}T08:00:{t:06.3f}Z",
    "startTime,prompt_tokens,completion_tokens": lambda t: f"{DAY}T08:00:{t:06.3f}+08:00",
    "start_time_unix_nano,gen_ai.usage.input_tokens,gen_ai.usage.output_tokens": lambda t: f"{int((1.7e9 + t) * 1e9)}",
    "arrival (us),Prompt Token Count,Completion Token Count": lambda t: f"{t * 1e6:.0f}",
    "time,input_len,output_len": lambda t: f"{DAY.replace('-', '/')} 08:00:{t:06.3f}",
    " Arrival Time (ms) , Input Tokens , Output Tokens ": lambda t: f" {t * 1000} ",
}


@pytest.mark.parametrize("header", LOGS)
def test_logs_are_read_whatever_their_clock(tmp_path: Path, header: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text("\n".join([header, *(f"{LOGS[header](t)},{a} ,{b}" for t, a, b in ROWS)]))
    trace = read_trace(file)
    assert trace.arrival_s == pytest.approx([t for t, _, _ in ROWS], abs=1e-5)
    assert (trace.input_tokens[3], trace.output_tokens[3]) == (103.0, 13.0)
    assert [name for _, name in trace.read_as][1:] == [name.strip() for name in header.split(",")[1:]]


def test_web_servers_log_their_own_dates(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    rows = (f"[10/Oct/2026:13:55:{2 * t:02.0f} +0800],{a},{b},7.5" for t, a, b in ROWS)
    file.write_text("\n".join(["time_local,prompt_tokens,completion_tokens,request_time", *rows]))
    assert read_trace(file).arrival_s == tuple(2 * t for t, _, _ in ROWS)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_a_packed_file_is_opened(tmp_path: Path, mark: str, end: str) -> None:
    file = tmp_path / "t.csv.gz"
    text = end.join([f"{mark}arrival_s,input_tokens,output_tokens", *(f"{t},{a},{b}" for t, a, b in ROWS)])
    file.write_bytes(gzip.compress(text.encode()))
    assert read_trace(file).input_tokens == tuple(a for _, a, _ in ROWS)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (gzip.compress(b"arrival_s,x\n" * 20)[:30], r"t\.csv:1:1: cannot be unpacked"),
        (b"PK\x03\x04abc", r"t\.csv:1:1: is packed as zip"),
        ("arrival_s，input_tokens，output_tokens\n1，2，3".encode(), r"t\.csv:1:10: '，' between .* has a comma"),
        (b"arrival_s;input_tokens;output_tokens\n1;2;3", r"t\.csv:1:10: ';' between"),
        ("arrival_s,input_tokens,output_tokens\n1，2，3".encode(), r"t\.csv:2:1: 1 cells .*\n.*by commas"),
        (b"arrival_s,input_tokens,output_tokens\n1,,3", r"t\.csv:2:3: input_tokens is blank"),
        (b"created,prompt_tokens,completion_tokens\n10/01/2026 8:00,1,3", r"t\.csv:2:1: .*\n.*write it as 2026"),
        (b"start_time,num_model_requests,input_tokens,output_tokens\n1,12,4,3", r"t\.csv:2:3: stands for several"),
        (b'[{"timestamp": 1}]', r"t\.csv:1:1: is one JSON list"),
        (b'{"timestamp": 1, "input_length": "a", "output_length": 1}', r"t\.csv:1:18: no input tokens"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(tmp_path: Path, data: bytes, says: str) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(data)
    with pytest.raises(ProblemError, match=says):
        read_trace(file)


def test_conversations_follow_their_parents_and_their_clock_is_in_seconds(tmp_path: Path) -> None:
    """Qwen-Bailian: every request has an id of its own; ``parent_chat_id`` is the one that it continues."""
    file = tmp_path / "t.jsonl"
    lines = []
    for i, (t, sent, made) in enumerate(ROWS):
        who = {"chat_id": 100 + i, "parent_chat_id": 99 + i if i % 3 else -1, "timestamp": t}
        lines.append({**who, "input_length": sent, "output_length": made, "hash_ids": list(range(sent // 16))})
    file.write_text("\n".join(map(json.dumps, lines)))
    trace = read_trace(file)
    assert trace.arrival_s[-1] == 5.5
    assert trace.sessions == tuple(100 + i - i % 3 for i in range(12))


def test_requests_of_no_session_are_each_one_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    rows = [f"{t},{i % 2 if i < 6 else ''},{a},{b}" for i, (t, a, b) in enumerate(ROWS)]
    file.write_text("\n".join(["Timestamp,Session ID,Request tokens,Response tokens", *rows]))
    assert len(set(read_trace(file).sessions)) == 8


def test_keys_inside_others_are_found(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    usage = [{"created": 1.7e9 + t, "usage": {"prompt_tokens": a, "completion_tokens": b}} for t, a, b in ROWS]
    file.write_text("\n".join(map(json.dumps, usage)))
    assert read_trace(file).input_tokens == tuple(a for _, a, _ in ROWS)


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
