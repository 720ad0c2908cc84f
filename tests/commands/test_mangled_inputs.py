"""Every input mangled: exit code 2, the place named, no traceback, nothing half-written."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optimizer.commands import main

ROOT = Path(__file__).resolve().parents[2]
PROBLEM = (ROOT / "problems" / "chatbot_100users.yaml").read_text(encoding="utf-8")
CONFIG = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
VLLM = {
    "backend": "vllm", "model_id": "meta-llama/Llama-3.1-8B-Instruct", "completed": 100, "total_input_tokens": 102400,
    "total_output_tokens": 25600, "max_concurrency": 8, "request_rate": "inf", "output_throughput": 900.0,
    "mean_ttft_ms": 60.0, "median_ttft_ms": 55.0, "p99_ttft_ms": 90.0, "mean_tpot_ms": 8.0, "median_tpot_ms": 8.0,
    "p99_tpot_ms": 9.0,
}  # fmt: skip

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The program in this process: exit code and what it wrote on stderr, but for how old prices are today."""

    def _complaint() -> str:
        lines = capsys.readouterr().err.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("prices: "))

    def _run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["optimize", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), _complaint()
        return 0, _complaint()

    return _run


def places(message: str, file: Path) -> list[tuple[int, int]]:
    """Lines and columns of a file that a message names."""
    return [
        (int(line), int(column))
        for line, column in re.findall(rf"^{re.escape(str(file))}:(\d+):(\d+): ", message, re.M)
    ]


@pytest.mark.parametrize(
    "model",
    [
        "~nobody-of-this-name/config.json",
        "./" + "x" * 300 + "/config.json",
        "/dev/null/config.json",
        "./no/such.json",
    ],
)
@pytest.mark.parametrize("key", ["model: ", "trace: ", "calibration: "])
def test_a_path_that_names_nothing_is_said_in_its_line(key: str, model: str, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "problem.yaml"
    text = PROBLEM + "engine: {calibration: x}\n" if key.startswith("calibration") else PROBLEM
    text = text.replace("traffic:\n", "traffic:\n      trace: x\n") if key.startswith("trace") else text
    file.write_text(re.sub(rf"{key}[^\n}}]+", key + model, text), encoding="utf-8")
    line = next(number for number, one in enumerate(file.read_text().split("\n"), start=1) if key in one)
    code, message = run("check", file)
    assert (code, [place[0] for place in places(message, file)]) == (2, [line])


@pytest.mark.parametrize("number", ["5e-324", "1e-320", "-1e-12", "1e400", ".inf", "9" * 50])
@pytest.mark.parametrize("key", ["concurrency", "output_tokens_per_second", "p95"])
def test_a_number_beyond_every_use_is_refused_in_its_line(key: str, number: str, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "problem.yaml"
    file.write_text(re.sub(rf"{key}: [0-9]+", f"{key}: {number}", PROBLEM, count=1), encoding="utf-8")
    line = next(count for count, one in enumerate(file.read_text().split("\n"), start=1) if number in one)
    code, message = run("check", file)
    assert (code, [place[0] for place in places(message, file)]) == (2, [line])


def test_a_wrong_item_of_a_list_hides_no_defect_of_another(tmp_path: Path, run: Run) -> None:
    """What is checked across keys is left out where one of them was refused: of the same item only."""
    file = tmp_path / "problem.yaml"
    one = "  - {name: %s, model: %s, traffic: {concurrency: 5}, tokens: {input: 5, output: 6}}\n"
    models = ["[x]", "no/such", "{a: 1}", "no/other"]
    file.write_text(
        "workloads:\n" + "".join(one % (f"w{n}", model) for n, model in enumerate(models)), encoding="utf-8"
    )
    code, message = run("check", file)
    assert (code, [line for line, _ in places(message, file)]) == (2, [2, 3, 4, 5])


@pytest.mark.parametrize("command", ["check", "solve", "budget", "explain", "diff", "predict", "calibrate", "report"])
@pytest.mark.parametrize("name", [".", "absent", "loop", "x" * 300, "absent\x1b[31m", "closed/x"])
def test_what_is_no_file_is_a_message(command: str, name: str, tmp_path: Path, run: Run) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "closed").write_text("")
    rest: dict[str, list[Any]]
    rest = {"diff": [tmp_path / name], "calibrate": ["-o", tmp_path / "out"], "report": ["-o", tmp_path / "out"]}
    code, message = run(command, tmp_path / name, *rest.get(command, []))
    assert code == 2
    assert message.startswith("Error: 1 thing to mend\n" if command != "diff" else "Error: ")
    assert message.isascii()
    assert "\x1b" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--catalogs", "--calibration"])
def test_a_circle_of_links_is_a_message(option: str, tmp_path: Path, run: Run) -> None:
    (tmp_path / "loop").symlink_to("loop")
    file = tmp_path / "problem.yaml"
    file.write_text(PROBLEM + "hardware: {gpus: [l4_24], limits: {max_gpus: 1}}\n", encoding="utf-8")
    code, message = run("solve", file, "--no-simulate", option, tmp_path / "loop")
    assert (code, "Error: 1 thing to mend" in message) == (2, True)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("hidden_size", -1, 3),
        ("num_attention_heads", "32", 5),
        ("num_key_value_heads", 5, 6),
        ("model_type", "lama", 2),
        ("vocab_size", [], 8),
        ("max_position_embeddings", None, 1),
    ],
)
def test_a_wrong_key_of_a_config_is_named_by_its_line(
    key: str, value: object, line: int, tmp_path: Path, run: Run
) -> None:
    file = tmp_path / "config.json"
    config = {**CONFIG, key: value} if value is not None else {k: v for k, v in CONFIG.items() if k != key}
    file.write_text(json.dumps(config, indent=2), encoding="utf-8")
    code, message = run("memory", file, "--gpu", "h100_sxm_80", "--context", "500")
    assert (code, [place[0] for place in places(message, file)]) == (2, [line])


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("a.json", json.dumps({**VLLM, "completed": 0}, indent=1), [5, 6]),
        ("a.json", json.dumps({**VLLM, "total_output_tokens": 10**400}, indent=1), [6]),
        ("a.json", json.dumps({**VLLM, "mean_ttft_ms": "x", "p99_tpot_ms": -1}, indent=1), [10, 15]),
        ("a.jsonl", f"{json.dumps(VLLM)}\n{json.dumps({**VLLM, 'max_concurrency': 1e308})}\n", [2]),
        ("a.jsonl", f"{json.dumps(VLLM)}\n{{nonsense\n", [2]),
        ("a.json", '{\n"benchmarks": [5, {"metrics": []}]\n}', [2, 2, 2, 2, 2, 2]),
        ("a.json", '{"benchmarks": 5}', [1]),
        ("a.json", '{"time_to_first_token": {"unit": 5}}', [1, 1, 1]),
        ("a.json", "[" * 100_000, [1]),
        ("a.csv", "input_tokens,output_tokens,concurrency\n1024,256,8\nx,256,inf\n", [3, 3]),
        ("a.csv", "input_tokens,output_tokens,concurrency\n1024,256\n", [2]),
        ("a.csv", "input_tokens,output_tokens,concurrency\n", [1]),
    ],
)
def test_wrong_benchmark_results_are_named_by_line(
    name: str, text: str, wanted: list[int], tmp_path: Path, run: Run
) -> None:
    file, out = tmp_path / name, tmp_path / "out.csv"
    file.write_text(text, encoding="utf-8")
    flags = ["--gpu", "h100_sxm_80", "--model", "meta-llama/Llama-3.1-8B-Instruct", "-o", out]
    flags += ["--engine", "vllm", "--weight-quant", "bf16", "--tp", "1"]  # else these are asked for too
    code, message = run("calibrate", file, *flags)
    assert (code, [place[0] for place in places(message, file)]) == (2, wanted), message
    assert not out.exists()


def test_a_wrong_option_of_calibrate_is_named_as_the_option(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(VLLM), encoding="utf-8")
    code, message = run("calibrate", file, "--gpu", "h100_sxm_81", "--tp", "two", "-o", tmp_path / "out.csv")
    assert code == 2
    assert "--tp two: tp is not a number: 'two'" in message


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({}, "the key 'monthly_cost' is missing"),
        ({"monthly_cost": "5"}, "monthly_cost needs an amount, not '5'"),
        ({"monthly_cost": 5, "currency": "USD", "grade": "A", "nodes": 7}, "nodes needs a list, not 7"),
        ({"monthly_cost": 5, "currency": "USD", "grade": "A", "groups": [7]}, "an item of groups needs keys, not 7"),
        ({"monthly_cost": 5, "currency": "USD", "grade": "A", "cost_lines": [{"name": []}]}, "name needs text, not []"),
    ],
)
def test_a_mangled_result_is_named_by_its_place(plan: object, says: str, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"problem": {}, "status": "optimal", "plans": [plan]}, indent=1), encoding="utf-8")
    code, message = run("diff", file, file)
    assert code == 2
    assert says in message
    assert places(message, file)


@pytest.mark.parametrize(
    ("name", "old", "new", "place"),
    [
        ("kernels/gemm.csv", "a100_sxm_80,bf16,0.774", "a100_sxm_80,bf16,x", (2, 18)),
        ("kernels/gemm.csv", "a100_sxm_80,bf16", "a100_sxm_80,bf17", (1, 1)),
        ("kernels/moe.csv", "gpu,engine", "gpu,motor", (1, 5)),
        ("kernels/allreduce.csv", "a100_sxm_80,2,5.06,182.0", "a100_sxm_80,2,5.06,0", (2, 20)),
        ("kernels/attention_decode.csv", "a100_sxm_80,16bit", "a100_sxm_80,16", (1, 1)),
        ("kernels/references.csv", "ampere,a100_sxm_80", "ampere,a100_sxm_81", (2, 8)),
        ("performance/parameters.csv", "gemm_mbu_factor,,", "gemm_mbu_factr,,", (1, 1)),
        ("performance/parameters.csv", "gemm_mbu_factor,,0.", "gemm_mbu_factor,,90.", (2, 18)),
        ("performance/generations.csv", "engine,", "motor,", (1, 1)),
    ],
)
def test_mangled_kernel_tables_and_parameters_are_named_by_their_place(
    name: str, old: str, new: str, place: tuple[int, int], tmp_path: Path, run: Run
) -> None:
    for folder in ("kernels", "performance"):
        (tmp_path / folder).mkdir()
        for table in (ROOT / "catalogs" / folder).glob("*.csv"):
            (tmp_path / folder / table.name).write_bytes(table.read_bytes())
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    code, message = run("solve", ROOT / "problems" / "chatbot_100users.yaml", "--catalogs", tmp_path)
    assert code == 2
    assert place in places(message, tmp_path / name), message


@pytest.mark.parametrize(
    "arguments",
    [
        ("drill", "--minutes", "nan"),
        ("drill", "--minutes", "inf"),
        ("solve", "--time-limit", "nan"),
        ("solve", "--time-limit", "inf"),
        ("budget", "--monthly", "nan"),
        ("budget", "--monthly", "1e400"),
    ],
)
def test_an_option_takes_finite_numbers_only(arguments: tuple[str, ...], run: Run) -> None:
    code, message = run(*arguments, ROOT / "problems" / "chatbot_100users.yaml")
    assert code == 2
    assert "is not a finite number" in message or "is not in the range" in message


@pytest.mark.parametrize("encoding", ["latin-1", "gbk"])
def test_a_terminal_that_lacks_a_character_shows_an_escape(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    file = tmp_path / "problem.yaml"
    file.write_text(PROBLEM.replace("name: Chatbot", "name: \U0001f600 Chatbot"), encoding="utf-8")
    stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", stdout)
    assert run("check", file)[0] == 0
    assert "\\U0001f600 Chatbot" in stdout.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("problem", "edit", "wanted"),
    [
        ("table_70b_short_context", "workloads.assistant.traffic.requests_per_second=1e3", 0),  # 0.002 of it fit
        ("table_70b_short_context", "workloads.assistant.traffic.requests_per_second=1e6", 3),  # not a thousandth fits
        ("batch_documents_8b", "ownership.staff_monthly=1e9", 0),  # counted in whole dollars, listed in cents
        ("table_70b_long_context", "workloads.reader.slo.tokens_per_second_per_user=1e-9", 0),
        ("sessions_and_router", "payment.fx.EUR=1e-9", 0),
        ("users_100_at_20tps_72b", "payment.mean_load=1e-9", 0),
    ],
)
def test_extreme_numbers_have_an_answer(problem: str, edit: str, wanted: int, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out.json"
    file = ROOT / "problems" / f"{problem}.yaml"
    code, message = run("solve", file, "--no-simulate", "--set", edit, "--format", "json", "-o", out)
    assert (code, message) == (wanted, "")
    assert not re.search(r"NaN|Infinity", out.read_text(encoding="utf-8"))


def test_a_flood_of_findings_is_cut(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "problem.yaml"
    file.write_text(PROBLEM + "".join(f"key_{number}: 1\n" for number in range(700)), encoding="utf-8")
    code, message = run("check", file)
    assert code == 2
    assert message.startswith("Error: 700 things to mend")
    assert message.endswith("... and 200 more\n")
    assert len(places(message, file)) == 500
