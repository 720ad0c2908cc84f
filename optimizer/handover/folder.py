"""Files into a folder, each whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from optimizer.errors import Finding, UsageError
from optimizer.report.write import write_atomic

_EXECUTABLE = 0o755


def write_files(folder: Path, files: Iterable[tuple[str, str, bool]]) -> None:
    """Write (name, text, executable) under ``folder``, made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError([Finding(f"cannot be a folder: {error.strerror}", file=str(folder))]) from error
    for name, text, executable in files:
        write_atomic(folder / name, text)
        if executable:
            (folder / name).chmod(_EXECUTABLE)
