"""Packages that only some users need, with a message that names the extra."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from optimizer.errors import UsageError

EXTRA = "handover"


def need(module: str) -> ModuleType:
    """Import a package of the ``handover`` extra. Raises ``UsageError`` where it is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise UsageError(
            f"this needs the package {package}: pip install 'llm-deployment-optimizer[{EXTRA}]'"
        ) from error
