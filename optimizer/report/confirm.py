"""The commands that confirm a prediction: start a replica as planned, then load it as the plan's experiment says.

Clients: vLLM's ``vllm bench serve``, which talks to every OpenAI-compatible server; SGLang's and TensorRT-LLM's own
for their servers where they can express the load: requests alike, that share nothing, and for SGLang arrivals.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from optimizer.plan.experiment import Experiment, LoadTest, Offered, experiment_of, experiment_of_pools
from optimizer.plan.types import Asked, Group, Plan
from optimizer.report.serve_commands import engine_family, model_to_load, serve_words
from optimizer.report.words import limit, promise_of, two_digits
from optimizer.vocabulary import Role, Router, split_version

_COLUMNS = 74
_EVEN = 1000
"""Burstiness (shape of a gamma distribution) at which gaps between requests are alike within 3 %."""

_PERCENTILES = (50.0, 90.0, 95.0, 99.0)
_SGLANG_MODULE = (0, 5, 15)
"""First release known to have ``sglang.benchmark.serving``."""

REQUESTS_FILE = "requests.jsonl"
"""Requests of one run, where they are not all alike."""

METRICS = {"ttft": "ttft", "tpot": "tpot", "e2e": "e2el"}
"""Latencies as clients call them."""


def experiments_in(plan: Plan, asked: Sequence[Asked]) -> Iterator[tuple[Group, Experiment]]:
    """Each group of a plan with the experiment that confirms it."""
    questions = {one.workload: one for one in asked}
    predictions = {one.workload: one for one in plan.predicted}
    router = Router(plan.simulated[0].router) if plan.simulated else Router.ROUND_ROBIN
    if plan.has_pools and not plan.experiments:
        name = plan.groups[0].workload
        if name in questions and name in predictions:
            whole = experiment_of_pools(plan.groups, questions[name].stated, predictions[name])
            yield from ((group, whole) for group in plan.groups)
        return
    for place, group in enumerate(plan.groups):
        if plan.experiments:
            yield group, plan.experiments[place]
        elif group.workload in questions and group.workload in predictions:
            question, prediction = questions[group.workload], predictions[group.workload]
            yield group, experiment_of(group, question.stated, prediction, router)


def tests_in(plan: Plan, asked: Sequence[Asked]) -> Iterator[tuple[Group, Experiment]]:
    """The same, each test once: a prefill pool is tested with its decode pool."""
    return ((group, test) for group, test in experiments_in(plan, asked) if group.role is not Role.PREFILL)


def confirm_commands(plan: Plan, asked: Sequence[Asked]) -> tuple[str, ...]:
    """Server and client command of one replica per group, ready for a shell."""
    commands: list[str] = []
    for group, experiment in experiments_in(plan, asked):
        serve = serve_words(group)
        commands += [shell(serve)] if serve else []
        if group.role is not Role.PREFILL:  # both pools are tested at once
            commands.append(shell([*bench_words(group, experiment), "--seed", "1"]))
    return tuple(commands)


def bench_words(
    group: Group, experiment: Experiment, checkpoint: str | None = None, requests: str = REQUESTS_FILE
) -> list[str]:
    """The client's command as words, but for the seed, which is another in every run.

    ``requests``: the file with the requests of a run, where they are not all alike.
    """
    test, client = experiment.test, client_of(group, experiment)
    command = {"vllm": _vllm, "sglang": _sglang, "trtllm": _trtllm}[client](group, experiment, checkpoint, requests)
    command += [] if test.rate is None else ["--request-rate", f"{test.rate:g}"]
    command += [] if test.cap is None else ["--max-concurrency", str(test.cap)]
    if test.rate is not None and test.cap is not None:
        command += ["--burstiness", str(_EVEN)]
    return [*command, "--num-prompts", str(test.requests)]


def client_of(group: Group, experiment: Experiment) -> str:
    """Whose client measures: the engine's own where it can send the load, else vLLM's."""
    family = engine_family(group.engine)
    even = experiment.test.rate is not None and experiment.test.cap is not None
    if not experiment.test.plain or (family == "sglang" and even):
        return "vllm"
    return family if family in ("sglang", "trtllm") else "vllm"


def _vllm(group: Group, experiment: Experiment, checkpoint: str | None, requests: str) -> list[str]:
    command = ["vllm", "bench", "serve", "--model", model_to_load(group, checkpoint)]
    command += [] if engine_family(group.engine) == "vllm" else ["--backend", "openai"]
    if experiment.test.plain:
        command += ["--dataset-name", "random", *_lengths(experiment.test)]
    else:
        command += ["--dataset-name", "custom", "--dataset-path", requests, "--custom-output-len", "-1"]
        command += ["--skip-chat-template", "--disable-shuffle"]
    return [*command, "--ignore-eos", *_percentiles(experiment)]


def _sglang(group: Group, experiment: Experiment, checkpoint: str | None, _: str) -> list[str]:
    """SGLang's range ratio 1 means constant lengths; ``random-ids`` needs no file of conversations."""
    version = split_version(group.engine_version)
    module = "sglang.benchmark.serving" if not version or version >= _SGLANG_MODULE else "sglang.bench_serving"
    command = ["python", "-m", module, "--backend", "sglang", "--model", model_to_load(group, checkpoint)]
    return [*command, "--dataset-name", "random-ids", *_lengths(experiment.test), "--random-range-ratio", "1.0"]


def _trtllm(group: Group, experiment: Experiment, checkpoint: str | None, _: str) -> list[str]:
    """Without ``--random-ids`` its random data need a file of conversations; its only percentile by itself is p99."""
    command = ["python", "-m", "tensorrt_llm.serve.scripts.benchmark_serving", "--backend", "openai"]
    command += ["--model", model_to_load(group, checkpoint), "--dataset-name", "random", "--random-ids"]
    return [*command, *_lengths(experiment.test), "--ignore-eos", *_percentiles(experiment)]


def _lengths(test: LoadTest) -> list[str]:
    lengths = test.lengths
    return ["--random-input-len", f"{lengths.input_mean:.0f}", "--random-output-len", f"{lengths.output_mean:.0f}"]


def _percentiles(experiment: Experiment) -> list[str]:
    wanted = sorted({*_PERCENTILES, *(bracket.percentile for bracket in experiment.brackets)})
    shown = ",".join(f"{percentile:g}" for percentile in wanted)
    return ["--percentile-metrics", ",".join(METRICS.values()), "--metric-percentiles", shown]


def offer_sentence(experiment: Experiment) -> str:
    """What the client sends, in a sentence."""
    test = experiment.test
    copies = f"{test.replicas} servers behind the balancer" if test.replicas > 1 else "ONE server"
    count = f"{test.requests:,} requests"
    if experiment.offered is Offered.HELD:
        how = f"{test.cap} requests held in flight, which begin one after another; {count} in all"
    elif experiment.offered is Offered.AT_ONCE:
        how = f"{count}, all there from the beginning"
    else:
        how = f"{test.rate:g} requests/s that arrive at random; {count} in all"
    counted = "" if test.lengths.histogram is None else ", each as long as a row of tokens.histogram, by its share"
    return f"{copies}: {how}{counted}" + (f" ({experiment.remark})" if experiment.remark else "")


def acceptance(experiment: Experiment) -> list[tuple[str, str]]:
    """What a run has to show to be accepted: the promises as made; name and condition."""
    found = [
        (promise_of(b.metric, b.percentile, b.length_class), f"<= {limit(b.limit_s)}")
        for b in experiment.brackets
        if b.limit_s is not None
    ]
    if experiment.least_output_tokens_per_second is not None:
        found.append(("output tokens/s", f">= {experiment.least_output_tokens_per_second:,.0f}"))
    return [*found, ("failed requests", "0")]


def brackets(experiment: Experiment) -> list[str]:
    """The promise, and the range in which nine in ten runs of this very test should fall."""
    lines = []
    for one in experiment.brackets:
        bound = "none" if one.limit_s is None else f"{one.limit_s * 1e3:g} ms"
        expected, low, high = (two_digits(value * 1e3) for value in (one.expected_s, one.low_s, one.high_s))
        name = promise_of(one.metric, one.percentile, one.length_class)
        lines.append(f"{name}: limit {bound}; expected {expected} ms, 90 % range {low} to {high}")
    if experiment.least_output_tokens_per_second is not None:
        lines.append(f"output tokens/s: at least {experiment.least_output_tokens_per_second:,.0f}")
    return lines or ["no latency was promised: compare the throughput with the plan's"]


def shell(words: Sequence[str]) -> str:
    """A command quoted, with a backslash where a line would grow too long; an option stays beside its value."""
    lines = [""]
    for word in _options([shlex.quote(word) for word in words]):
        joined = f"{lines[-1]} {word}".strip() if len(lines) == 1 else f"{lines[-1]} {word}"
        if lines[-1] and len(joined) > _COLUMNS:
            lines.append(f"    {word}")
        else:
            lines[-1] = joined
    return " \\\n".join(lines)


def _options(words: Sequence[str]) -> list[str]:
    """Glue every option to the value that follows it."""
    glued: list[str] = []
    for word in words:
        if glued and glued[-1].startswith("--") and " " not in glued[-1] and not word.startswith("--"):
            glued[-1] += f" {word}"
        else:
            glued.append(word)
    return glued
