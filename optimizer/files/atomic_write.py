"""Write a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from optimizer.errors import Finding, UsageError
from optimizer.files.guard import refuse_to_write_over_what_was_read
from optimizer.files.text_file import is_folder, resolved

_NAMED = 60
"""Characters of the name that its temporary file repeats: with all of them a long name would become too long."""


def write_atomic(path: Path | str, content: str | bytes, *, in_place: bool = False) -> None:
    """Write ``content`` to a temporary file beside ``path`` and rename it into place.

    A reader sees the old file or the new one, never half of it. Raises ``UsageError`` where it cannot be written, or
    where the run has read it and is not meant to bring it up to date (``in_place``).
    """
    write_all([(Path(path), content, None)], in_place=in_place)


def write_all(files: Sequence[tuple[Path, str | bytes, int | None]], *, in_place: bool = False) -> None:
    """Write several files with their permissions (None: as they were), all of them or, where one cannot be, none.

    Raises ``UsageError`` as ``write_atomic`` does.
    """
    staged: list[tuple[str, Path]] = []
    targets = [(_target(path, in_place=in_place), path, content, mode) for path, content, mode in files]
    try:
        for target, path, content, mode in targets:
            data = content.encode("utf-8") if isinstance(content, str) else content
            with _named(path):
                if target.exists() and not target.is_file():
                    target.write_bytes(data)  # a pipe or a device: nothing to rename over
                else:
                    staged.append((_staged(target, data, mode), target))
        while staged:
            with _named(staged[0][1]):
                Path(staged[0][0]).replace(staged[0][1])
            del staged[0]
    finally:
        for name, _ in staged:
            Path(name).unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """A failure to write as an error that names the file."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError([Finding(f"cannot be written: {reason}", file=str(path))]) from error


def _target(path: Path, *, in_place: bool) -> Path:
    """The file that is replaced: a link keeps being one, what it leads to is replaced."""
    target = resolved(path)
    if is_folder(target):
        raise UsageError([Finding("is a directory; give a file name", file=str(path))])
    if not in_place:
        refuse_to_write_over_what_was_read(path)
    return target


def _staged(target: Path, data: bytes, wanted: int | None) -> str:
    """A temporary file in the target's directory, as a rename is atomic only within one file system."""
    before = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:_NAMED]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(before if wanted is None else wanted)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return name


def _umask() -> int:
    """The process's umask; reading it means setting it for an instant."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
