"""The commands that confirm a prediction: start one replica as planned, then load it with its share of the traffic.

Options as documented by vLLM (``vllm serve``, ``vllm bench serve``), SGLang (``sglang.launch_server``,
``sglang.bench_serving``) and TensorRT-LLM (``trtllm-serve``, its ``benchmark_serving``). Any other engine is measured
with vLLM's client, which talks to every OpenAI-compatible server.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from optimizer.plan.types import Asked, Group, Plan, Prediction
from optimizer.report.words import quant_name
from optimizer.units import SHARE_UNITS, ceil_guarded, significant

_COLUMNS = 74
_WARM_ROUNDS = 10
"""Requests sent per request in flight: enough for a p95 and for the cold start to wash out."""

_LEAST_PROMPTS = 200
_CALIBRATED = frozenset({"int8", "int4", "nvfp4"})
"""Formats that need a checkpoint of their own; fp8 can be made while loading, native formats load as they are."""


def confirm_commands(plan: Plan, asked: Sequence[Asked]) -> tuple[str, ...]:
    """Server and client command of one replica per group, ready for a shell.

    A mix of length classes has a client for each class; they run side by side.
    """
    questions = {one.workload: one for one in asked}
    predictions = {one.workload: one for one in plan.predicted}
    commands: list[str] = []
    for group in plan.groups:
        if group.workload in questions and group.workload in predictions:
            commands += _pair(group, questions[group.workload], predictions[group.workload])
    return tuple(commands)


def _pair(group: Group, asked: Asked, prediction: Prediction) -> list[str]:
    serve = serve_words(group)
    clients = [_shell(client) for client in bench_commands(group, asked, prediction)]
    return [_shell(serve), *clients] if serve else clients


def serve_words(group: Group, checkpoint: str | None = None) -> list[str] | None:
    """The server's command as words; None where the engine's command is not known.

    ``checkpoint`` names weights that are in the plan's format already. Without it the catalog's model is loaded, and
    fp8 is made while loading.
    """
    serve = {"vllm": _serve_vllm, "sglang": _serve_sglang, "trtllm": _serve_trtllm}.get(_engine(group))
    return serve(group, checkpoint) if serve else None


def bench_commands(
    group: Group, asked: Asked, prediction: Prediction, checkpoint: str | None = None
) -> list[list[str]]:
    """The client's command as words: one replica's share of the planned load; one command for each class of a mix."""
    bench = {"sglang": _bench_sglang, "trtllm": _bench_trtllm}.get(_engine(group), _bench_vllm)
    model, load = _model(group, checkpoint), (prediction.requests_per_second, prediction.concurrency)
    if not asked.classes:
        return [bench(model, _traffic(group, asked, (asked.input_tokens, asked.output_tokens), load))]
    written = sum(one.share * one.lengths.output_mean for one in asked.classes)
    commands = []
    for one in asked.classes:
        lengths = (one.lengths.input_mean, one.lengths.output_mean)
        of_class = (load[0] * one.share, load[1] * one.share * one.lengths.output_mean / written)
        commands.append(bench(model, _traffic(group, asked, lengths, of_class)))
    return commands


def _engine(group: Group) -> str:
    """``vllm`` for vllm-ascend too: the same command line."""
    return group.engine.partition("-")[0]


def _traffic(group: Group, asked: Asked, tokens: tuple[float, float], load: tuple[float, float]) -> tuple[str, ...]:
    """Lengths and the load of one replica: its share of the arrivals, or of the requests in flight without any."""
    part = group.share / SHARE_UNITS / group.replicas
    inflight = max(1, ceil_guarded(load[1] * part))
    rate = significant(load[0] * part, 3)
    prompts = max(_LEAST_PROMPTS, _WARM_ROUNDS * inflight)
    arrivals = rate > 0 and any(floor.requests_per_second for floor in asked.floors if floor.wins)
    how = ("--request-rate", f"{rate:g}") if arrivals else ("--max-concurrency", str(inflight))
    lengths = ("--random-input-len", f"{tokens[0]:.0f}", "--random-output-len", f"{tokens[1]:.0f}")
    return (*lengths, *how, "--num-prompts", str(prompts))


def _model(group: Group, checkpoint: str | None) -> str:
    """The checkpoint to load: the one named, the catalog's model, or the user's own in a format that needs one."""
    if checkpoint is not None:
        return checkpoint
    if group.weight_quant in _CALIBRATED:
        return f"PATH_OF_{quant_name(group.weight_quant)}_CHECKPOINT_OF_{group.model.rpartition('/')[2]}"
    return group.model


def _serve_vllm(group: Group, checkpoint: str | None) -> list[str]:
    command = ["vllm", "serve", _model(group, checkpoint), "--tensor-parallel-size", str(group.tensor_parallel)]
    if group.pipeline_parallel > 1:
        command += ["--pipeline-parallel-size", str(group.pipeline_parallel)]
    if group.weight_quant == "fp8" and checkpoint is None:
        command += ["--quantization", "fp8"]
    if group.kv_cache != "auto":
        command += ["--kv-cache-dtype", group.kv_cache]
    command += ["--gpu-memory-utilization", f"{group.gpu_memory_utilization:g}"]
    command += ["--max-model-len", str(group.max_model_len), "--max-num-seqs", str(group.max_num_seqs)]
    return [*command, "--max-num-batched-tokens", str(group.max_num_batched_tokens)]


def _bench_vllm(model: str, traffic: tuple[str, ...]) -> list[str]:
    command = ["vllm", "bench", "serve", "--model", model, "--dataset-name", "random", *traffic, "--ignore-eos"]
    return [*command, "--percentile-metrics", "ttft,tpot,e2el", "--metric-percentiles", "50,90,95,99"]


def _serve_sglang(group: Group, checkpoint: str | None) -> list[str]:
    command = [
        "python",
        "-m",
        "sglang.launch_server",
        "--model-path",
        _model(group, checkpoint),
        "--tp",
        str(group.tensor_parallel),
    ]
    if group.pipeline_parallel > 1:
        command += ["--pp-size", str(group.pipeline_parallel)]
    if group.weight_quant == "fp8" and checkpoint is None:
        command += ["--quantization", "fp8"]
    if group.kv_cache != "auto":
        command += ["--kv-cache-dtype", "fp8_e4m3"]
    command += ["--mem-fraction-static", f"{group.gpu_memory_utilization:g}"]
    command += ["--context-length", str(group.max_model_len), "--max-running-requests", str(group.max_num_seqs)]
    return [*command, "--chunked-prefill-size", str(group.max_num_batched_tokens)]


def _bench_sglang(model: str, traffic: tuple[str, ...]) -> list[str]:
    """SGLang's range ratio 1 means constant lengths."""
    command = ["python", "-m", "sglang.bench_serving", "--backend", "sglang", "--model", model]
    return [*command, "--dataset-name", "random", *traffic, "--random-range-ratio", "1.0"]


def _serve_trtllm(group: Group, checkpoint: str | None) -> list[str]:
    command = ["trtllm-serve", _model(group, checkpoint), "--tp_size", str(group.tensor_parallel)]
    if group.pipeline_parallel > 1:
        command += ["--pp_size", str(group.pipeline_parallel)]
    command += ["--kv_cache_free_gpu_memory_fraction", f"{group.gpu_memory_utilization:g}"]
    command += ["--max_seq_len", str(group.max_model_len), "--max_batch_size", str(group.max_num_seqs)]
    return [*command, "--max_num_tokens", str(group.max_num_batched_tokens)]


def _bench_trtllm(model: str, traffic: tuple[str, ...]) -> list[str]:
    command = ["python", "-m", "tensorrt_llm.serve.scripts.benchmark_serving", "--backend", "openai"]
    command += ["--model", model, "--dataset-name", "random", *traffic, "--ignore-eos"]
    return [*command, "--percentile-metrics", "ttft,tpot,e2el"]


def _shell(words: Sequence[str]) -> str:
    """Quoted, with a backslash where a line would grow too long; an option stays beside its value."""
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
