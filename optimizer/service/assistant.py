"""Questions over the Model Context Protocol: tools of the same names and arguments, with short answers."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from optimizer import Finding, UsageError, __version__
from optimizer.service.questions import QUESTIONS, ServedQuestion
from optimizer.service.solver import Ending, Solver, refused

if TYPE_CHECKING:
    from mcp.server import MCPServer

_INSTRUCTIONS = (
    "Plans GPU deployments for serving large language models: the cheapest that keep every promise, with a proof. "
    "`problem` is the text of a problem file (YAML); `check` says everything that is wrong with one. "
    "Quote the figures as they are: money is per month in the currency that is named."
)

_LEFT_OUT = frozenset(
    {"understood", "funnel", "cost_lines", "simulated", "long_run", "api", "notes", "also", "stress", "excludes",
     "rejected", "unpriced", "rules_of_thumb", "weights", "owed", "periods"}
)  # fmt: skip
"""Keys of answers that are long and not what was asked for; REST and the command line have them."""

_MOST_ITEMS, _MOST_CHARACTERS = 5, 400


def server_of(solver: Solver) -> MCPServer:
    """A server with one tool per question. Raises ``UsageError`` without the extra ``mcp``."""
    try:
        from mcp.server import MCPServer
    except ImportError as error:
        message, hint = "optimize mcp needs the package mcp", "pip install 'llm-deployment-optimizer[mcp]'"
        raise UsageError([Finding(f"{message}, which is not installed", hint=hint)]) from error
    server = MCPServer("llm-deployment-optimizer", version=__version__, instructions=_INSTRUCTIONS, log_level="WARNING")
    for kind in QUESTIONS:
        server.add_tool(_tool(kind, solver), kind.command, description=kind.__doc__, structured_output=False)
    return server


def run() -> None:
    """Answer on standard input and output until the other side ends."""
    solver = Solver()
    server = server_of(solver)
    try:
        server.run("stdio")
    finally:
        solver.stop()


def _tool(kind: type[ServedQuestion], solver: Solver) -> Callable[..., Coroutine[Any, Any, str]]:
    """A function with one parameter per field of a question."""

    async def tool(**given: Any) -> str:
        told = await solver.ask(kind.model_validate(given))
        if told.ending is Ending.ANSWERED:
            return json.dumps(shortened(json.loads(told.text)), ensure_ascii=False)
        return told.text or refused(told.ending, str(told.ending)).text

    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.is_required() else field.default,
            annotation=field.rebuild_annotation(),
        )
        for name, field in kind.model_fields.items()
    ]
    tool.__name__ = kind.command
    tool.__signature__ = inspect.Signature(parameters, return_annotation=str)  # type: ignore[attr-defined]
    tool.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": str}
    return tool


def shortened(value: Any) -> Any:
    """An answer without what is long: the first items of lists, texts cut, no figure changed."""
    if isinstance(value, Mapping):
        return {key: shortened(item) for key, item in value.items() if key not in _LEFT_OUT}
    if isinstance(value, list):
        rest = len(value) - _MOST_ITEMS
        return [*map(shortened, value[:_MOST_ITEMS]), *([f"... and {rest} more"] if rest > 0 else [])]
    if isinstance(value, str) and len(value) > _MOST_CHARACTERS:
        return value[:_MOST_CHARACTERS] + " ..."
    return value
