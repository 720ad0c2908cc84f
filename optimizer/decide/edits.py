"""An edit of a problem file in the words of ``--set``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.fleet.types import Edit


def as_set(edit: Edit) -> str:
    """The edit as ``--set`` takes it: JSON is YAML."""
    return f"{edit.path}={json.dumps(edit.after, default=_plain)}"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, (tuple, set, frozenset)) else str(value)
