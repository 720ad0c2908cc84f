"""One experiment, one description: what is promised is what is sent, judged, bracketed and predicted."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimizer.calibrate.benchmark_results import results_of
from optimizer.calibrate.forward import replica_for
from optimizer.calibrate.rows import case_of
from optimizer.calibrate.scores import predict_table
from optimizer.commands import options
from optimizer.demand import Lengths, LengthShare, Metric
from optimizer.handover.launch import launch_files
from optimizer.handover.launch.facts import load_facts
from optimizer.handover.launch.server import measurement_csv, servers_of
from optimizer.length_histogram import histogram_of
from optimizer.plan.experiment import Experiment, LoadTest, Offered, requests_for
from optimizer.plan.types import KeptPromise, Outcome
from optimizer.planning.inputs import Inputs
from optimizer.report.confirm import acceptance, bench_words, experiments_in
from optimizer.simulate.load_test import run_test, sent

PROBLEMS = Path(__file__).parents[2] / "problems"
_PROBLEM = """
name: {name}
workloads:
  - name: chat
    model: Qwen/Qwen3-32B
    traffic: {traffic}
    tokens: {tokens}
    slo: {slo}
offers:
  - {{id: mine, provider: acme, gpu: h100_sxm_80, gpus_per_node: 8, nvlink: yes, currency: USD,
     price_per_hour: 24, tier: on_demand, stock: 4, quote_ref: R-1, valid_until: 2026-12-31}}
hardware: {{only_offers: true, gpus: [h100_sxm_80]}}
payment: {{as_of: 2026-08-20}}
ranking: {{top: 1}}
"""
_SPREAD = "{input: {mean: 1500, p95: 5000}, output: {mean: 350, p95: 900}, context_max: 16384, shared_prefix: 0.3, "
CASES = {
    "held": ("{concurrency: 60}", "{input: 1024, output: 300, context_max: 8192}", "{ttft_ms: 1500, tpot_ms: 60}"),
    "arriving": (
        "{requests_per_second: 6}",
        _SPREAD + "requests_per_prefix: 5}",
        "{ttft_ms: {p50: 700, p95: 4000}, tpot_ms: {p95: 80}}",
    ),
    "people": ("{users: {active: 300, think_time_s: 40}}", _SPREAD + "requests_per_prefix: 5}", "{tpot_ms: 70}"),
}


@pytest.fixture(scope="module", params=CASES)
def solved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Inputs, Outcome]:
    traffic, tokens, slo = CASES[request.param]
    text = _PROBLEM.format(name=request.param, traffic=traffic, tokens=tokens, slo=slo)
    text = text.replace("hardware: {only_offers: true, gpus: [h100_sxm_80]}\n", "hardware: {gpus: [h100_sxm_80]}\n")
    path = tmp_path_factory.mktemp("experiment") / "problem.yaml"
    path.write_text(text, encoding="utf-8")
    return options.answer(path, (), None, sys.stderr, simulate=True)


SHIPPED = ("a800_server_concurrency", "batch_documents_8b", "calibrated")
"""Of every kind one: the rest of problems/ holds likewise, at some five seconds each."""


@pytest.mark.parametrize("name", SHIPPED)
def test_the_printed_test_of_a_shipped_problem_is_predicted_to_pass(name: str) -> None:
    inputs, outcome = options.answer(PROBLEMS / f"{name}.yaml", (), None, sys.stderr, simulate=True)
    row, experiment = _row(inputs, outcome), _experiment(outcome)
    for bracket in experiment.brackets:
        seen = float(row[f"pred_{bracket.metric}_ms_p{bracket.percentile:g}"]) * 1e-3
        assert bracket.low_s <= seen <= bracket.high_s
        assert bracket.limit_s is None or seen <= bracket.limit_s
    least = experiment.least_output_tokens_per_second
    assert (least is None) == bool(experiment.brackets)
    assert least is None or float(row["pred_output_tokens_per_s"]) >= least


def _experiment(outcome: Outcome) -> Experiment:
    return outcome.plans[0].experiments[0]


def _row(inputs: Inputs, outcome: Outcome) -> dict[str, str]:
    (server, *_) = servers_of(outcome, outcome.plans[0], inputs.catalog, load_facts(), None)
    rows = list(csv.DictReader(io.StringIO(measurement_csv(server))))
    text, failed = predict_table(list(rows[0]), rows, inputs.catalog, inputs.params)
    assert not failed, text
    return next(csv.DictReader(io.StringIO(text)))


def test_the_row_for_predict_keeps_every_promise_inside_the_printed_bracket(solved: tuple[Inputs, Outcome]) -> None:
    row, experiment = _row(*solved), _experiment(solved[1])
    for bracket in experiment.brackets:
        seen = float(row[f"pred_{bracket.metric}_ms_p{bracket.percentile:g}"]) * 1e-3
        assert bracket.low_s <= seen <= bracket.high_s
        assert bracket.limit_s is None or seen <= bracket.limit_s
        assert seen == pytest.approx(bracket.expected_s, rel=0.03)


def test_the_load_is_what_was_promised(solved: tuple[Inputs, Outcome]) -> None:
    outcome = solved[1]
    experiment, group = _experiment(outcome), outcome.plans[0].groups[0]
    words = bench_words(group, experiment)
    if outcome.problem_name == "held":
        assert experiment.offered is Offered.HELD
        assert words[words.index("--max-concurrency") + 1] == str(-(-60 // group.replicas))
    else:
        assert experiment.offered is Offered.ARRIVING
        assert "--max-concurrency" not in words
        assert words[words.index("--dataset-name") + 1] == "custom"
        assert bool(experiment.remark) == (outcome.problem_name == "people")
    assert experiment.test.requests >= 200


def test_acceptance_is_the_promise(solved: tuple[Inputs, Outcome]) -> None:
    asked = {f"<= {p.limit_s:g} s" for p in solved[1].asked[0].promises}
    conditions = [condition for _, condition in acceptance(_experiment(solved[1]))]
    said = {
        f"<= {float(value) * (1e-3 if unit == 'ms' else 1):g} s"
        for value, unit in (re.fullmatch(r"<= ([\d.]+) (m?s)", one).groups() for one in conditions if one != "0")  # type: ignore[union-attr]
    }
    assert said == asked


def test_acceptance_tells_a_good_server_from_a_slow_one(solved: tuple[Inputs, Outcome]) -> None:
    """By simulation: as predicted it passes in 95 of 100 runs; 15 % slower than the limit it fails in 90.

    How slow a server is does not hang on our estimate of it: the slow one's mean over all these runs is 15 % above the
    limit, whatever the mean of the six runs is that the bracket prints.
    """
    inputs, outcome = solved
    experiment = _experiment(outcome)
    (server, *_) = servers_of(outcome, outcome.plans[0], inputs.catalog, load_facts(), None)
    cells = next(csv.DictReader(io.StringIO(measurement_csv(server))))
    from optimizer.calibrate.benchmark_results import parse_row

    spec = case_of(parse_row(cells), inputs.catalog).spec
    replica = replica_for(spec, experiment.test.lengths, inputs.params)
    runs = [run_test(replica, experiment.test, seed) for seed in range(20)]
    limited = [b for b in experiment.brackets if b.limit_s is not None]
    passed, slow_failed = np.ones(len(runs), bool), []
    for bracket in limited:
        seen = np.array([np.percentile(getattr(run, bracket.metric), bracket.percentile) for run in runs])
        passed &= seen <= bracket.limit_s
        assert bracket.limit_s is not None
        slower = seen * (1.15 * bracket.limit_s / seen.mean())
        slow_failed.append(float(np.mean(slower > bracket.limit_s)))
    assert passed.mean() >= 0.95
    assert min(slow_failed) >= 0.9


@pytest.mark.parametrize(("percentile", "share", "least"), [(95, 1.0, 200), (99, 1.0, 3000), (99, 0.2, 15_000)])
def test_enough_requests_for_the_percentile(percentile: float, share: float, least: int) -> None:
    rest = (LengthShare("long", share, Lengths(9, 9, 99)), LengthShare("short", 1 - share, Lengths(9, 9, 99)))
    promise = KeptPromise(Metric.TTFT, percentile, 0.5, 0.4, 0.6, 1.0, "x", "long" if share < 1 else "")
    assert requests_for([promise], Lengths(9, 9, 99, classes=rest), 3) == pytest.approx(least, abs=1)


def test_another_seed_sends_other_requests_of_the_same_kind() -> None:
    lengths = Lengths(1500, 350, 16384, 5000, 900, shared_prefix=0.3, requests_per_prefix=5)
    test = LoadTest(lengths, 20_000, rate=5.0)
    one, other = sent(test, 1), sent(test, 2)
    assert not np.array_equal(one.prompt, other.prompt)
    for given in (one, other):
        assert given.prompt.mean() == pytest.approx(1500, rel=0.08)
        assert np.percentile(given.prompt, 95) == pytest.approx(5000, rel=0.1)
        assert given.cached.sum() / given.prompt.sum() == pytest.approx(0.3, abs=0.01)
        assert (given.cached < given.prompt).all()


_TOKENIZER = '''
class AutoTokenizer:
    """One word, one token."""

    all_special_ids = [0]

    @staticmethod
    def from_pretrained(name):
        return AutoTokenizer()

    def __len__(self):
        return 1000

    def decode(self, tokens):
        return " ".join(map(str, tokens))

    def encode(self, text, add_special_tokens):
        return [int(word) for word in text.split()]
'''


def _with_lengths(outcome: Outcome, lengths: Lengths) -> Outcome:
    first = outcome.asked[0]
    asked = replace(first, stated=replace(first.stated, lengths=lengths), classes=lengths.classes)
    return replace(outcome, asked=(asked,))


def _script(outcome: Outcome, inputs: Inputs) -> str:
    files = launch_files(outcome, outcome.plans[0], inputs.catalog, load_facts(), None)
    return next(file.text for file in files if file.name == "chat-benchmark.sh")


def _run(script: str, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "transformers.py").write_text(_TOKENIZER)
    (folder / "vllm").write_text("#!/bin/sh\nexit 0\n")
    (folder / "vllm").chmod(0o755)
    (folder / "b.sh").write_text(script)
    path = {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(folder)}
    return subprocess.run(
        ["bash", "b.sh", *arguments], cwd=folder, env=path | environment, capture_output=True, text=True, check=False
    )


def _requests(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "chat-requests.jsonl").read_text().splitlines()]


def test_the_script_writes_the_requests_that_are_predicted(outcome: Outcome, inputs: Inputs, tmp_path: Path) -> None:
    lengths = Lengths(200, 60, 4000, 600, 150, shared_prefix=0.4, requests_per_prefix=4)
    script = _script(_with_lengths(outcome, lengths), inputs)
    done = _run(script, tmp_path, SEED="7")
    assert done.returncode == 0, done.stderr
    rows = _requests(tmp_path)
    assert len(rows) == 1000
    assert [len(row["prompt"].split()) for row in rows] == [row["prompt_tokens"] for row in rows]
    expected = sent(LoadTest(lengths, 1000, rate=1.0))
    for ours, name in ((expected.prompt, "prompt_tokens"), (expected.output, "output_tokens")):
        theirs = [row[name] for row in rows]
        assert np.mean(theirs) == pytest.approx(ours.mean(), rel=0.15)
        assert np.percentile(theirs, 95) == pytest.approx(np.percentile(ours, 95), rel=0.25)
    seen, found = set[tuple[str, ...]](), 0
    for row in rows:
        words = row["prompt"].split()
        found += max((n for n in range(len(words), 0, -1) if tuple(words[:n]) in seen), default=0)
        seen |= {tuple(words[:n]) for n in range(1, len(words) + 1)}
    assert found / sum(row["prompt_tokens"] for row in rows) == pytest.approx(
        expected.cached.sum() / expected.prompt.sum(), abs=0.06
    )
    assert _run(script, tmp_path, SEED="8").returncode == 0
    assert not {row["prompt"] for row in rows} & {row["prompt"] for row in _requests(tmp_path)}


def test_the_script_sends_lengths_as_counted(outcome: Outcome, inputs: Inputs, tmp_path: Path) -> None:
    counted = histogram_of([(200, 60, 0.8), (50, 900, 0.2)])
    lengths = Lengths(170, 228, 4000, 200, 900, histogram=counted)
    changed = _with_lengths(outcome, lengths)
    script = _script(changed, inputs)
    assert "each as long as a row of tokens.histogram" in script.splitlines()[1]
    files = launch_files(changed, changed.plans[0], inputs.catalog, load_facts(), None)
    assert not [file.name for file in files if file.name.endswith("measurement.csv")]  # no row says such lengths
    done = _run(script, tmp_path, SEED="7")
    assert done.returncode == 0, done.stderr
    rows = [(row["prompt_tokens"], row["output_tokens"]) for row in _requests(tmp_path)]
    assert set(rows) == {(200, 60), (50, 900)}
    assert rows.count((50, 900)) / len(rows) == pytest.approx(0.2, abs=0.03)


def _result(ttft: float, tpot: float, count: int = 1000, failed: int = 0) -> str:
    came = count - failed
    return json.dumps(
        {
            "ttfts": [ttft] * came + [0.0] * failed,
            "itls": [[tpot] * 9] * came + [[]] * failed,
            "output_lens": [10] * came + [0] * failed,
            "output_throughput": 100.0,
        }
    )


@pytest.mark.parametrize(
    ("ttft", "tpot", "failed", "accepted"),
    [(0.9, 0.04, 0, True), (1.0, 0.05, 0, True), (1.1, 0.04, 0, False), (0.9, 0.06, 0, False), (0.9, 0.04, 1, False)],
)
def test_the_script_judges_by_the_promise(
    ttft: float, tpot: float, failed: int, accepted: bool, outcome: Outcome, inputs: Inputs, tmp_path: Path
) -> None:
    (tmp_path / "r.json").write_text(_result(ttft, tpot, failed=failed))
    done = _run(_script(outcome, inputs), tmp_path, "judge", "r.json")
    assert done.returncode == (0 if accepted else 1), done.stdout + done.stderr
    assert ("NOT accepted" in done.stdout) == (not accepted)


def test_a_promise_to_a_class_is_judged_by_its_requests(outcome: Outcome, inputs: Inputs, tmp_path: Path) -> None:
    classes = tuple(LengthShare(name, 0.5, Lengths(size, 10, 4000)) for name, size in (("long", 900), ("short", 100)))
    mixed = _with_lengths(outcome, Lengths(500, 10, 4000, classes=classes))
    plan = mixed.plans[0]
    kept = tuple(replace(one, length_class="short") for one in plan.predicted[0].promises)
    plan = replace(plan, predicted=(replace(plan.predicted[0], promises=kept),))
    script = _script(replace(mixed, plans=(plan,)), inputs)
    assert _run(script, tmp_path, SEED="1").returncode == 0
    rows = _requests(tmp_path)
    assert {row["class"] for row in rows} == {"long", "short"}
    slow_long = json.loads(_result(0.5, 0.01, len(rows)))
    slow_long["ttfts"] = [5.0 if row["class"] == "long" else 0.5 for row in rows]
    (tmp_path / "r.json").write_text(json.dumps(slow_long))
    assert _run(script, tmp_path, "judge", "r.json").returncode == 0
    slow_long["ttfts"] = [5.0 if row["class"] == "short" else 0.5 for row in rows]
    (tmp_path / "r.json").write_text(json.dumps(slow_long))
    assert _run(script, tmp_path, "judge", "r.json").returncode == 1


def _metadata(words: list[str]) -> Iterator[tuple[str, str]]:
    for word in words[words.index("--metadata") + 1 :]:
        if word.startswith("--"):
            return
        name, _, value = word.partition("=")
        yield name, value


def test_the_result_says_what_was_measured(outcome: Outcome, inputs: Inputs) -> None:
    """Read back by calibrate: card, engine, formats, degrees, and that requests were held, not that they arrived."""
    import shlex

    script = _script(outcome, inputs).replace("\\\n", " ")
    line = next(line for line in script.splitlines() if line.startswith("vllm bench serve"))
    record = {
        "model_id": "meta-llama/Llama-3.1-70B-Instruct", "backend": "vllm", "completed": 1000, "request_rate": 3.67,
        "max_concurrency": 50, "burstiness": 1000.0, "total_input_tokens": 1_024_000, "total_output_tokens": 300_000,
        "mean_ttft_ms": 200.0, "mean_tpot_ms": 30.0, "mean_e2el_ms": 9000.0, "output_throughput": 1000.0,
        **dict(_metadata(shlex.split(line))),
    }  # fmt: skip
    found = results_of(record)
    assert found
    (result,) = found
    cells = result.cells
    assert not result.refusals
    wanted = {"gpu": "h200_sxm_141", "gpu_count": "2", "engine": "vllm", "weight_quant": "fp8", "tp": "2"}
    assert wanted.items() <= cells.items()
    assert (cells["load"], cells["start"], cells["concurrency"]) == ("closed_loop", "steady", "50.0")
    assert "request_rate" not in cells


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_clients(engine: str, outcome: Outcome) -> None:
    plan = outcome.plans[0]
    group = replace(plan.groups[0], engine=engine, published_as="x/y")
    ((_, experiment),) = experiments_in(plan, outcome.asked)
    arriving = replace(experiment, test=replace(experiment.test, cap=None), offered=Offered.ARRIVING)
    held, open_loop = bench_words(group, experiment), bench_words(group, arriving)
    assert ("--random-ids" in held) == (engine == "trtllm")
    assert ("--metric-percentiles" in open_loop) == (engine != "sglang")
    assert (held[:3] == ["vllm", "bench", "serve"]) == (engine != "trtllm")  # only it cannot begin evenly by itself
    assert ("sglang.benchmark.serving" in open_loop) == (engine == "sglang")
