"""Shell scripts: start one server on a machine, load it with its share of the traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.handover.safe_text import bash_command, plain, slug
from optimizer.report.words import promise_of, two_digits

if TYPE_CHECKING:
    from optimizer.handover.launch.server import Server

_HEAD = "#!/usr/bin/env bash\n"
_VISIBLE = {"amd": "HIP_VISIBLE_DEVICES", "huawei": "ASCEND_RT_VISIBLE_DEVICES"}


def visible_devices(vendor: str) -> str:
    """The variable that narrows a process to some cards."""
    return _VISIBLE.get(vendor, "CUDA_VISIBLE_DEVICES")


def serve_script(server: Server) -> str:
    """Start one server in the foreground. ``PORT`` and the devices may be set from outside."""
    group = server.group
    lines = [
        f"{_HEAD}# Starts one of the {group.replicas} servers of workload: {plain(group.workload)}",
        f"# on {server.gpus} x {group.gpu}. Choose its cards with {visible_devices(server.vendor)}=0,1,...",
        "# and its port with PORT; HF_TOKEN is read from the environment where the model is gated.",
        "set -euo pipefail",
    ]
    if server.nodes > 1:
        lines += _across(server)
    command = bash_command(server.command(None))
    lines.append(f'exec {command} \\\n    --port "${{PORT:-{server.port}}}"{_several(server)}')
    return "\n".join(lines) + "\n"


def _across(server: Server) -> list[str]:
    """What a server on several nodes needs before it starts."""
    if server.group.engine.startswith("vllm"):
        return [
            f"# It spans {server.nodes} nodes. First: `ray start --head --port=6379` on this node, and",
            "# `ray start --address=THIS_NODE:6379` on the others.",
        ]
    if server.group.engine == "sglang":
        return [
            f"# It spans {server.nodes} nodes: run this on each, with HEAD=address of the first and RANK=0, 1, ...",
            ': "${HEAD:?address of the first node}" "${RANK:?number of this node, from 0}"',
        ]
    return [f"# It spans {server.nodes} nodes: start it under mpirun or srun as the engine's documentation says."]


def _several(server: Server) -> str:
    """Further options of a server on several nodes."""
    if server.nodes == 1:
        return ""
    ray = " --distributed-executor-backend ray" if server.group.engine.startswith("vllm") else ""
    place = f' --dist-init-addr "$HEAD:20000" --nnodes {server.nodes} --node-rank "$RANK"'
    return place if server.group.engine == "sglang" else ray


def benchmark_script(server: Server) -> str:
    """One server under its share of the planned load; the result goes to ``RESULT``, the thresholds stand on top."""
    out = {"sglang": "--output-file"}.get(server.group.engine, "--result-filename")
    save = [] if server.group.engine == "sglang" else ["--save-result"]
    if len(server.bench) > 1:
        return _mixed_benchmark(server, out, save)
    command = bash_command([*server.bench[0], *save])
    return (
        f"{_HEAD}# Loads ONE server with its share of the planned traffic. Run it twice; the first run warms up.\n"
        + "".join(f"#   {line}\n" for line in thresholds(server))
        + "# HOST and PORT say where the server is, RESULT where the figures go.\n"
        "set -euo pipefail\n"
        f'{command} \\\n    --host "${{HOST:-127.0.0.1}}" --port "${{PORT:-{server.port}}}" \\\n'
        f'    {out} "${{RESULT:-{server.name}-result.json}}"\n'
    )


def _mixed_benchmark(server: Server, out: str, save: list[str]) -> str:
    """A client for each length class of a mix, side by side; each writes a result of its own."""
    lines = [
        f"{_HEAD}# Loads ONE server with its share of the planned traffic, a client for each length class, side by",
        "# side. Run it twice; the first run warms up.",
        *(f"#   {line}" for line in thresholds(server)),
        "# HOST and PORT say where the server is, RESULT how the names of the files with the figures begin.",
        "set -euo pipefail",
    ]
    results: list[str] = []
    for one, words in zip(server.asked.classes, server.bench, strict=True):
        results.append(slug(one.name, results, fallback="class"))
        where = f'--host "${{HOST:-127.0.0.1}}" --port "${{PORT:-{server.port}}}"'
        result = f'{out} "${{RESULT:-{server.name}-result}}-{results[-1]}.json"'
        lines.append(f"{bash_command([*words, *save])} \\\n    {where} \\\n    {result} &")
    return "\n".join([*lines, "wait"]) + "\n"


def thresholds(server: Server) -> list[str]:
    """What the run must show: the promise, and the range in which the estimate should fall."""
    lines = []
    for kept in server.prediction.promises:
        limit = "none" if kept.limit_s is None else f"{kept.limit_s * 1e3:g} ms"
        low, high = two_digits(kept.low_s * 1e3), two_digits(kept.high_s * 1e3)
        name = plain(promise_of(kept.metric, kept.percentile, kept.length_class))
        lines.append(
            f"{name}: limit {limit}; expected {two_digits(kept.estimate_s * 1e3)} ms, 90 % range {low} to {high}"
        )
    return lines or ["no latency was promised: compare the throughput with the plan's"]
