"""Shell script that starts one server on a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.handover.launch.pools import side_channel
from optimizer.handover.launch.wide import as_worker, joins_ranks, to_head
from optimizer.handover.safe_text import bash_command, plain
from optimizer.vocabulary import Role

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
        f"{_HEAD}# Starts one of the {group.replicas} {_servers(server)} of workload: {plain(group.workload)}",
        f"# on {server.gpus} x {group.gpu}. Choose its cards with {visible_devices(server.vendor)}=0,1,...",
        "# and its port with PORT; HF_TOKEN is read from the environment where the model is gated.",
        "set -euo pipefail",
    ]
    if server.nodes > 1:
        lines += _across(server)
    handing_over, more = side_channel(server)
    lines += handing_over
    command = bash_command(server.command(None))
    lines.append(f'exec {command} \\\n    --port "${{PORT:-{server.port}}}"{_several(server)}{more}')
    return "\n".join(lines) + "\n"


def _servers(server: Server) -> str:
    return "servers" if server.group.role is Role.SERVE else f"{server.group.role} workers"


def _across(server: Server) -> list[str]:
    """What a server on several nodes needs before it starts."""
    if server.group.engine == "sglang" or joins_ranks(server):
        lines = [
            f"# It spans {server.nodes} nodes: run this on each, with HEAD=address of the first and RANK=0, 1, ...",
            ': "${HEAD:?address of the first node}" "${RANK:?number of this node, from 0}"',
        ]
        if not joins_ranks(server):
            return lines
        return [*lines, "others=()", f'[ "$RANK" = 0 ] || others=({as_worker(server, "RANK")})']
    if server.group.engine.startswith("vllm"):
        return [
            f"# It spans {server.nodes} nodes. First: `ray start --head --port=6379` on this node, and",
            "# `ray start --address=THIS_NODE:6379` on the others.",
        ]
    return [f"# It spans {server.nodes} nodes: start it under mpirun or srun as the engine's documentation says."]


def _several(server: Server) -> str:
    """Further options of a server on several nodes."""
    if server.nodes == 1:
        return ""
    if joins_ranks(server):
        return to_head("HEAD") + ' "${others[@]}"'
    ray = " --distributed-executor-backend ray" if server.group.engine.startswith("vllm") else ""
    place = f' --dist-init-addr "$HEAD:20000" --nnodes {server.nodes} --node-rank "$RANK"'
    return place if server.group.engine == "sglang" else ray
