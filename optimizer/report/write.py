"""Write a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from optimizer.documents.paths import is_folder, resolved
from optimizer.errors import Finding, UsageError

_NAMED = 60
"""Characters of the name that its temporary file repeats: with all of them a long name would become too long."""


def write_atomic(path: Path | str, content: str | bytes) -> None:
    """Write ``content`` to a temporary file beside ``path`` and rename it into place.

    A reader sees the old file or the new one, never half of it. Raises ``UsageError`` where it cannot be written.
    """
    target = resolved(Path(path))  # a link keeps being one: what it leads to is replaced
    if is_folder(target):
        raise UsageError([Finding("is a directory; give a file name", file=str(path))])
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)  # a pipe or a device: nothing to rename over
        else:
            _replace(target, data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError([Finding(f"cannot be written: {reason}", file=str(path))]) from error


def _replace(target: Path, data: bytes) -> None:
    """The temporary file lives in the target's directory, as a rename is atomic only within one file system."""
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:_NAMED]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """The process's umask; reading it means setting it for an instant."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
