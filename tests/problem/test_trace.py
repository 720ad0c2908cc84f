"""Recorded streams of requests: layouts, defects with their lines, scaling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optimizer.decide import solve_problem
from optimizer.demand import Lengths
from optimizer.errors import ProblemError
from optimizer.problem import load_problem
from optimizer.problem.trace import read_trace
from optimizer.simulate.replay import recorded_requests

PROBLEMS = Path(__file__).parents[2] / "problems"


def written(folder: Path, header: str, *rows: str) -> Path:
    path = folder / "trace.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_three_layouts_read_alike(tmp_path: Path) -> None:
    rows = [(i * 0.5, 100 + i, 10 + i) for i in range(12)]
    own = read_trace(written(tmp_path, "arrival_s,input_tokens,output_tokens", *(f"{t},{a},{b}" for t, a, b in rows)))
    day = "2023-11-16 18:15:"
    azure = read_trace(
        written(
            tmp_path, "TIMESTAMP,ContextTokens,GeneratedTokens", *(f"{day}{40 + t:010.7f},{a},{b}" for t, a, b in rows)
        )
    )
    burst = read_trace(
        written(
            tmp_path, "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
            *(f"{7 + t},ChatGPT,{a},{b},{a + b},Conversation log" for t, a, b in rows),
        )
    )  # fmt: skip
    assert own.arrival_s == burst.arrival_s == pytest.approx(azure.arrival_s, abs=1e-5)
    assert own.input_tokens == azure.input_tokens == burst.input_tokens
    assert own.rate == pytest.approx(2.0)


def test_failed_requests_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [f"{i},100,{0 if i == 3 else 5}" for i in range(12)]
    trace = read_trace(written(tmp_path, "arrival_s,input_tokens,output_tokens", *rows))
    assert (len(trace.arrival_s), trace.failed) == (11, 1)


@pytest.mark.parametrize(
    ("rows", "line", "says"),
    [
        (["0,1,1", "1,x,1"], 3, "is not a number"),
        (["0,1,1", "2,1,1", "1,1,1"], 4, "before that of the line above"),
        (["0,1,1", ",1,1"], 3, "is blank"),
        (["0,1,1", "12:99,1,1"], 3, "neither seconds nor a date"),
        (["0,1,1", "1,-4,1"], 3, "outside"),
        (["0,1"], 2, "cells"),
    ],
)
def test_defects_carry_their_line(tmp_path: Path, rows: list[str], line: int, says: str) -> None:
    with pytest.raises(ProblemError) as caught:
        read_trace(written(tmp_path, "arrival_s,input_tokens,output_tokens", *rows))
    finding = caught.value.findings[0]
    assert (finding.line, says in finding.message) == (line, True), finding


def test_an_unknown_header_and_an_empty_trace_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="none of the known layouts"):
        read_trace(written(tmp_path, "a,b,c", "1,2,3"))
    with pytest.raises(ProblemError, match="show no pattern"):
        read_trace(written(tmp_path, "arrival_s,input_tokens,output_tokens", "0,1,1"))


def test_a_bad_trace_is_a_finding_of_the_problem_file(tmp_path: Path) -> None:
    text = (PROBLEMS / "chatbot_100users.yaml").read_text()
    problem = tmp_path / "problem.yaml"
    problem.write_text(text)
    written(tmp_path, "arrival_s,input_tokens,output_tokens", "0,1,1", "1,x,1")
    with pytest.raises(ProblemError, match=r"trace\.csv:3: input_tokens"):
        load_problem(problem, sets=["workloads.chat.traffic.trace=trace.csv"])
    with pytest.raises(ProblemError, match="no such file"):
        load_problem(problem, sets=["workloads.chat.traffic.trace=none.csv"])


def test_a_trace_is_scaled_to_the_rate_and_repeated() -> None:
    trace = read_trace(PROBLEMS / "traces" / "bursty.csv")
    make = recorded_requests(trace.arrival_s, trace.input_tokens, trace.output_tokens, Lengths(1000, 300, 4096))
    stream = make(10.0, 3 * len(trace.arrival_s))
    assert (np.diff(stream.arrive) >= 0).all()
    assert stream.arrive.size / stream.arrive[-1] == pytest.approx(10.0, rel=0.01)
    assert (stream.prompt + stream.output).max() <= 4096
    counts = np.bincount((stream.arrive / 5.0).astype(int))
    assert counts.var() / counts.mean() > 3.0  # Poisson arrivals: 1


def test_bursts_make_the_replay_see_more_than_poisson_arrivals() -> None:
    file = PROBLEMS / "chatbot_100users.yaml"
    sets = ["ranking.top=1", "hardware.gpus=[h100_sxm_80]", "workloads.chat.slo.ttft_ms.p95=20000"]
    calm = solve_problem(file, sets=sets).plans[0]
    bursty = solve_problem(file, sets=[*sets, "workloads.chat.traffic.trace=traces/bursty.csv"]).plans[0]
    assert bursty.monthly_cents > calm.monthly_cents or bursty.simulated[0].ttft_ms.p99 > calm.simulated[0].ttft_ms.p99
