"""The router in front of a prefill pool and a decode pool, and the test of both through it.

Commands as documented: vLLM Router README, "Prefill-Decode Disaggregation" (vllm-project/router); SGLang, "PD
Disaggregation" (``sglang_router``); TensorRT-LLM examples/disaggregated README (``trtllm-serve disaggregated``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.handover.safe_text import plain, slug
from optimizer.report.serve_commands import engine_family
from optimizer.vocabulary import Role

if TYPE_CHECKING:
    from optimizer.handover.launch.server import Server

_HEAD = "#!/usr/bin/env bash\n"
ROUTER_PORT = 8200
BOOTSTRAP = 8998
"""Port at which an SGLang prefill worker tells decode workers where its caches are."""

NO_NODE_FILES = (
    "no compose and SkyPilot files: workers of both pools have to find each other across nodes; use the Kubernetes "
    "manifests, or start the scripts on the nodes of the table"
)


def behind_a_router(servers: Sequence[Server]) -> Server:
    """The two pools as one server for a benchmark: named after the workload, at the router's port."""
    before, after = (next(one for one in servers if one.group.role is role) for role in (Role.PREFILL, Role.DECODE))
    name = slug(after.group.workload, fallback="workload")
    return replace(after, name=name, port=ROUTER_PORT, before=before.group)


def router_words(servers: Sequence[Server]) -> list[str] | None:
    """The router's command without addresses and ports; None where the engine's is not known."""
    return {
        "vllm": ["vllm-router", "--policy", "power_of_two", "--vllm-pd-disaggregation"],
        "sglang": ["python", "-m", "sglang_router.launch_router", "--pd-disaggregation"],
        "trtllm": ["trtllm-serve", "disaggregated", "--config"],
    }.get(engine_family(servers[0].group.engine))


def router_script(servers: Sequence[Server]) -> str:
    """Start the router in the foreground: ``PREFILL`` and ``DECODE`` list the workers."""
    whole = behind_a_router(servers)
    counts = {one.group.role: one.group.replicas for one in servers}
    lines = [
        f"{_HEAD}# Starts the router in front of both pools of workload: {plain(whole.group.workload)}",
        f"# PREFILL and DECODE are the addresses of all {counts[Role.PREFILL]} prefill and {counts[Role.DECODE]}",
        '# decode workers, parted by blanks: PREFILL="10.0.0.1:8000 10.0.0.1:8001" DECODE="10.0.0.2:8100".',
        "# Clients talk to the router alone, at PORT.",
        "set -euo pipefail",
        ': "${PREFILL:?addresses of the prefill workers}" "${DECODE:?addresses of the decode workers}"',
        *router_lines(servers),
    ]
    return "\n".join(lines) + "\n"


def router_lines(servers: Sequence[Server]) -> list[str]:
    """Lines of shell that become the router, with the workers in ``PREFILL`` and ``DECODE``."""
    family, words = engine_family(servers[0].group.engine), router_words(servers)
    assert words is not None
    if family == "trtllm":
        return [
            'config="$(mktemp)"',
            "listed() {",
            '  echo "$1:"; shift',
            '  echo "  num_instances: $#"; echo "  urls:"; printf \'    - "%s"\\n\' "$@"',
            "}",
            f'{{ echo "hostname: 0.0.0.0"; echo "port: ${{PORT:-{ROUTER_PORT}}}"; echo "backend: pytorch"',
            '  listed context_servers $PREFILL; listed generation_servers $DECODE; } > "$config"',
            f'exec {" ".join(words)} "$config"',
        ]
    bootstrap = f' "${{SIDE_PORT:-{BOOTSTRAP}}}"' if family == "sglang" else ""
    return [
        "args=()",
        f'for one in $PREFILL; do args+=(--prefill "http://$one"{bootstrap}); done',
        'for one in $DECODE; do args+=(--decode "http://$one"); done',
        f'exec {" ".join(words)} "${{args[@]}}" \\\n    --host 0.0.0.0 --port "${{PORT:-{ROUTER_PORT}}}"',
    ]


def side_channel(server: Server) -> tuple[list[str], str]:
    """Lines of a worker's script that say where its caches are handed over, and options at the end of its command."""
    if server.group.role is Role.SERVE:
        return [], ""
    family = engine_family(server.group.engine)
    if family == "vllm":
        return [
            "# Workers on one node need a SIDE_PORT each; SIDE_HOST is the address that other nodes reach this one at.",
            'export VLLM_NIXL_SIDE_CHANNEL_HOST="${SIDE_HOST:-$(hostname -i)}"',
            'export VLLM_NIXL_SIDE_CHANNEL_PORT="${SIDE_PORT:-5600}"',
        ], ""
    if family == "sglang" and server.group.role is Role.PREFILL:
        return [
            "# Prefill workers on one node need a SIDE_PORT each, which the router is told too.",
        ], f' --disaggregation-bootstrap-port "${{SIDE_PORT:-{BOOTSTRAP}}}"'
    return [], ""


def pool_doubts(servers: Sequence[Server]) -> list[str]:
    """What is uncertain about the router's command."""
    family = engine_family(servers[0].group.engine)
    package = {"vllm": "vllm-router", "sglang": "sglang-router"}.get(family)
    if package is None:
        return ["the file that `trtllm-serve disaggregated` reads is as in TensorRT-LLM's examples: check your release"]
    return [
        f"the router is the package {package}, whose options were read in its documentation, not in its parser: check "
        "them with --help; it sends to the less loaded of two workers, the replay to the least loaded of all"
    ]
