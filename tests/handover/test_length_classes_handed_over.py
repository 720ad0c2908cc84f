"""Length classes in what is handed over: a client for each class of a mix, servers of their own for classes apart."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from optimizer.decide import read_inputs, solve_problem
from optimizer.handover.launch import launch_files
from optimizer.handover.launch.facts import load_facts
from optimizer.planning.drill import drill
from optimizer.report.confirm import confirm_commands
from optimizer.vocabulary import Router

PROBLEM = Path(__file__).parents[2] / "problems" / "length_classes.yaml"
TOGETHER = ("workloads.chat.tokens.split_classes=no",)
TOKENIZER = """
class AutoTokenizer:
    all_special_ids = []

    @classmethod
    def from_pretrained(cls, name):
        return cls()

    def __len__(self):
        return 100

    def decode(self, tokens):
        return " ".join(map(str, tokens))

    def encode(self, text, add_special_tokens):
        return text.split()
"""
RECORDER = '#!/usr/bin/env bash\nprintf "%s\\n" "$*" >> "$RECORD"\n'


def files(path: Path = PROBLEM, sets: tuple[str, ...] = ()) -> dict[str, str]:
    outcome, inputs = solve_problem(path, sets=sets, simulate=False), read_inputs(path, sets=sets)
    found = launch_files(outcome, outcome.plans[0], inputs.catalog, load_facts(), None)
    return {file.name: file.text for file in found}


def started(script: str, folder: Path) -> list[str]:
    """What a benchmark script starts, with a recorder in place of the client."""
    (folder / "vllm").write_text(RECORDER)
    (folder / "vllm").chmod(0o755)
    (folder / "transformers.py").write_text(TOKENIZER)
    (folder / "script.sh").write_text(script)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "RECORD": str(folder / "record"), "LC_ALL": "C.UTF-8"}
    environment["PYTHONPATH"] = str(folder)
    subprocess.run(["bash", "script.sh"], cwd=folder, env=environment, check=True)
    return sorted((folder / "record").read_text().splitlines())


def test_classes_apart_have_servers_and_lengths_of_their_own() -> None:
    found = files()
    assert {"chat-short-serve.sh", "chat-long-serve.sh", "chat-short-measurement.csv"} <= set(found)
    assert "--max-model-len 2048" in found["chat-short-serve.sh"].replace(" \\\n   ", "")
    assert "--random-input-len 12000" in found["chat-long-benchmark.sh"]
    assert "--request-rate 0.4" in found["chat-long-benchmark.sh"]
    assert "`chat-short` gets class short" in found["README.md"]


def test_a_mix_is_measured_with_requests_of_every_class_in_one_stream(tmp_path: Path) -> None:
    found = files(sets=TOGETHER)
    assert "chat-measurement.csv" not in found
    assert "measurement.csv" not in found["README.md"]
    (command,) = started(found["chat-benchmark.sh"], tmp_path)
    assert "--dataset-name custom --dataset-path chat-requests.jsonl " in command
    assert "--request-rate 2 " in command
    rows = [json.loads(line) for line in (tmp_path / "chat-requests.jsonl").read_text().splitlines()]
    assert {(row["class"], row["prompt_tokens"], row["output_tokens"]) for row in rows} == {
        ("short", 200, 150), ("long", 12000, 300),
    }  # fmt: skip
    assert sum(row["class"] == "short" for row in rows) / len(rows) == pytest.approx(0.8, abs=0.05)
    assert "#   short TTFT p95: limit 600 ms" in found["chat-benchmark.sh"]


def test_a_hostile_name_of_a_class_starts_nothing(tmp_path: Path) -> None:
    text = PROBLEM.read_text().replace("name: short", 'name: "a/$(touch pwned)\\ntouch pwned; `touch pwned`"')
    path = tmp_path / "problem.yaml"
    path.write_text(text)
    for sets in ((), ("workloads.0.tokens.split_classes=no",)):
        for name, script in files(path, sets).items():
            if name.endswith("benchmark.sh"):
                started(script, tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_the_report_confirms_classes_apart_at_their_lengths_and_a_mix_with_its_requests() -> None:
    def clients(sets: tuple[str, ...]) -> list[str]:
        outcome = solve_problem(PROBLEM, sets=sets, simulate=False)
        return [c for c in confirm_commands(outcome.plans[0], outcome.asked) if "bench serve" in c]

    assert [c.split("--random-input-len ")[1].split()[0] for c in clients(())] == ["200", "12000"]
    (mixed,) = clients(TOGETHER)
    assert "--dataset-name custom" in mixed
    assert "--random-input-len" not in mixed


def test_a_drill_loses_a_node_of_each_class_at_the_load_of_the_class() -> None:
    plan = solve_problem(PROBLEM, simulate=False).plans[0]
    groups = drill(read_inputs(PROBLEM), plan, 2.0, Router.ROUND_ROBIN)
    assert [(group.workload, group.rate, group.limit_s) for group in groups] == [
        ("chat/short", pytest.approx(1.6), 0.6), ("chat/long", pytest.approx(0.4), 9.0),
    ]  # fmt: skip
    assert groups[1].without_spare.before.ttft_p50 > 5 * groups[0].without_spare.before.ttft_p50
