"""``optimize mcp``: the questions as tools of an AI assistant."""

from __future__ import annotations

import click


@click.command(name="mcp")
def command() -> None:
    """Answer an AI assistant over the Model Context Protocol, on standard input and output.

    Tools: solve, check, explain, budget, targets, frontier, memory, predict, with the arguments of `optimize serve`.
    Needs the extra `mcp`; see docs/service.md.
    """
    from optimizer.service.assistant import run

    run()
