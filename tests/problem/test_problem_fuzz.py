"""Mangled files: only ProblemError, always with a place, never another exception."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from optimizer.errors import ProblemError
from optimizer.problem import problem_from_bytes

FULL = (Path(__file__).parent / "full.yaml").read_bytes()
LINES = FULL.splitlines(keepends=True)
JUNK = [
    b"\t",
    b"\0",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b"!!",
    b"'",
    b'"',
    b"|",
    b">",
    b"#",
    b"%",
    b"\xff",
    b"\xc3",
    "：".encode(),
    "，".encode(),
    b"\n",
    b"\r",
    b"---\n",
    b"...\n",
    b"? ",
    b"<<: ",
    b".nan",
    b"-1",
    b"\\U11111111",
    b"1e400",
    b"null",
    b"~",
    b"yes",
    b"2026-01-01",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"9" * 50,
]


def holds(data: bytes, *sets: str) -> None:
    """Either sound, or findings that all have a place."""
    try:
        problem_from_bytes(data, path=Path("fuzz.yaml"), sets=sets)
    except ProblemError as error:
        assert error.findings
        for finding in error.findings:
            assert finding.message
            assert (finding.line is not None and finding.line >= 1) or finding.file != "fuzz.yaml"
            assert finding.line is None or finding.line <= data.count(b"\n") + data.count(b"\r") + 2


@settings(max_examples=250, deadline=None)
@given(st.integers(0, len(FULL)), st.integers(0, 40), st.sampled_from(JUNK) | st.binary(max_size=4))
@example(0, 0, b"")
def test_bytes_replaced(start: int, length: int, junk: bytes) -> None:
    holds(FULL[:start] + junk + FULL[start + length :])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(LINES) - 1), st.integers(0, 8), st.integers(0, len(LINES) - 1))
def test_lines_moved_and_indented(line: int, spaces: int, other: int) -> None:
    lines = list(LINES)
    lines[line], lines[other] = b" " * spaces + lines[other].lstrip(), lines[line]
    holds(b"".join(lines))


VALUES = [
    b"5",
    b"-5",
    b"text",
    b"[1, 2]",
    b"{a: 1}",
    b"null",
    b"''",
    b"yes",
    b"1.5",
    b"[[[]]]",
    b"2026-01-01",
    b"[{}]",
    b"{}",
]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(LINES) - 1), st.sampled_from(VALUES))
def test_types_swapped(line: int, value: bytes) -> None:
    lines = list(LINES)
    key, colon, _ = lines[line].partition(b":")
    lines[line] = key + colon + b" " + value + b"\n"
    holds(b"".join(lines))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(FULL)))
def test_cut_short(length: int) -> None:
    holds(FULL[:length])


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_options(text: str) -> None:
    holds(FULL, text)
    holds(FULL, f"workloads.chat.slo.ttft_ms={text}")
    holds(FULL, f"{text}=5")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_anything(data: bytes) -> None:
    holds(data)
