"""``optimize check``: what was understood, exit codes, no heavy imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.commands import cli

REPOSITORY = Path(__file__).parents[2]
CHAT = REPOSITORY / "problems" / "chatbot_100users.yaml"

RUN = """
import sys
from optimizer.commands import main
try:
    main()
finally:
    heavy = sorted({"ortools", "pandas", "numpy", "scipy", "numba"} & set(sys.modules))
    assert not heavy, heavy
"""


RUN_WITH_SESSIONS = RUN.replace('"numpy", ', "")
"""Turns of sessions are laid out in arrays."""


def run(*arguments: str, code: str = RUN) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


def unwrapped(text: str) -> str:
    """Lines are folded at 80 columns."""
    return " ".join(text.split())


def test_a_sound_file_is_echoed() -> None:
    done = run("check", "problems/chatbot_100users.yaml", "--set", "margins.spare_nodes=1")
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "Chatbot, 100 requests in flight (problems/chatbot_100users.yaml)",
        "meta-llama/Llama-3.1-70B-Instruct",
        "6.667 requests/s = 2,000 output tokens/s, 100 in flight",
        "set by workloads.chat.traffic.output_tokens_per_second",
        "TTFT p95 <= 1,000 ms, TPOT p95 <= 50 ms",
        "1 spare node;",
    ):
        assert words in unwrapped(done.stdout)


def test_everything_wrong_is_listed_and_exits_2(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    text = (REPOSITORY / "problems" / "chatbot_100users.yaml").read_text()
    text = text.replace("meta-llama/Llama-3.1", "meta-lama/Llama-3.1").replace("concurrency: 100", "concurrency: -1")
    file.write_text(text)
    done = run("check", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert "2 things to mend" in done.stderr
    assert "did you mean meta-llama/Llama-3.1-70B-Instruct" in done.stderr
    assert f"{file}:13:12: unknown model" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == [file]


def test_every_way_of_saying_things_is_echoed() -> None:
    done = run("check", "tests/problem/full.yaml", "--set", "hardware.regions=null", code=RUN_WITH_SESSIONS)
    assert done.returncode == 0, done.stderr
    for words in (
        "all but t4_16",
        "NVLink required",
        "providers: hyperscaler, neocloud but azure",
        "max_power_kw 80.5",
        "owned: 2 x 8 a800_sxm_80",
        "GeForce cards too",
        "sglang 0.5.2; weights: bf16, fp8",
        "tax 6 %",
        "2 quotes of your own",
        "budget 1,000,000.00 a month",
        "headroom 20%",
        "200 hours a month",
        "coding: meta-llama/Llama-3.1-70B-Instruct, sessions, at most 65,536 tokens at a time",
        "23.4 turns on average, the next one after 194 s on average, half within 11.5 s",
        "of the input was sent before and could be found",
        "48 sessions at a time, the next turn 194 s after an answer: at most 0.248 turns/s",
    ):
        assert words in unwrapped(done.stdout)
    done = run("check", "tests/problem/full.yaml", "--set", "hardware={only_owned: yes, gpus: [a800_sxm_80], owned: "
               "[{gpu: a800_sxm_80, gpus_per_node: 8}]}", code=RUN_WITH_SESSIONS)  # fmt: skip
    assert "hardware  a800_sxm_80; NVLink any; owned only; owned: 1 x 8 a800_sxm_80" in done.stdout


def test_where_nodes_must_stand_and_who_may_own_them_is_echoed() -> None:
    rule = "hardware.require={countries: [DE, FR], headquarters: [DE], certificates: [ISO 27001, C5]}"
    done = run("check", "problems/chatbot_100users.yaml", "--set", rule, "--set", "hardware.market=us")
    assert done.returncode == 0, done.stderr
    said = "market us; countries required: DE, FR; headquarters required: DE; certificates required: ISO 27001, C5"
    assert said in unwrapped(done.stdout)


def test_the_next_command_keeps_the_edits() -> None:
    done = run("check", "problems/deepseek_company.yaml", "--set", "margins.confidence=0.8", "--set", "ranking.top=2")
    told = " ".join(done.stdout.replace("\\\n", " ").split())
    assert told.endswith("optimize problems/deepseek_company.yaml --set margins.confidence=0.8 --set ranking.top=2")


def test_a_wrong_size_alone_is_one_finding() -> None:
    done = run("check", "problems/chatbot_100users.yaml", "--set", "engine.tensor_parallel=6")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: 1 thing to mend\n")
    assert "empty list" not in done.stderr


@pytest.mark.parametrize(
    ("edit", "warned"),
    [
        ("ttft_ms={p95: 2}", True),  # two seconds were meant
        ("ttft_ms={p95: 100}", False),
        ("tpot_ms=1", True),
        ("tokens_per_second_per_user=5000", True),
        ("e2e_s=0.3", True),
        ("e2e_s=3", False),
    ],
)
def test_a_latency_below_any_lone_request_is_doubted(edit: str, warned: bool) -> None:
    done = CliRunner().invoke(cli, ["check", str(CHAT), "--set", f"workloads.chat.slo.{edit}"])
    assert done.exit_code == 0, done.output
    assert ("nothing can keep" in done.output) is warned
