"""Attention ranks of one vLLM server on several nodes: what each node adds to the command that all of them run.

Options as in vLLM's documentation, "Data parallel deployment" and "Expert parallel deployment": the first node listens
and coordinates, the others run their ranks without an API server. SGLang's options are those of every server on
several nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.handover.launch.server import Server

RPC_PORT = 13345
"""Port at which the first node coordinates the ranks (the example port of vLLM's documentation)."""


def joins_ranks(server: Server) -> bool:
    """Whether each node of a server starts attention ranks of its own, which find each other without Ray."""
    return server.group.ranks_over_nodes and server.group.engine.startswith("vllm")


def to_head(address: str) -> str:
    """Where every node finds the first; ``address`` is a variable of the shell."""
    return f' --data-parallel-address "${address}" --data-parallel-rpc-port {RPC_PORT}'


def as_worker(server: Server, number: str) -> str:
    """What makes a node one of the others; ``number`` is the shell's variable that counts nodes from 0."""
    ranks = server.group.gpus_per_node // server.group.tensor_parallel
    return f'--headless --data-parallel-start-rank "$(({number} * {ranks}))"'
