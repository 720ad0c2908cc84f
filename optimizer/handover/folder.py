"""Files into a folder, all of them or none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from optimizer.documents.guard import refuse_to_write_over_what_was_read
from optimizer.documents.paths import is_there
from optimizer.errors import Finding, UsageError
from optimizer.report.write import write_all

_EXECUTABLE = 0o755


def write_files(folder: Path, files: Iterable[tuple[str, str, bool]], *, in_place: bool = False) -> None:
    """Write (name, text, executable) under ``folder``, made where it is missing; a folder made in vain goes again.

    Raises ``UsageError`` where one of them cannot be written, or where the run has read it and is not meant to bring it
    up to date (``in_place``).
    """
    wanted = [(folder / name, text, _EXECUTABLE if executable else None) for name, text, executable in files]
    for path, _, _ in wanted if not in_place else ():
        refuse_to_write_over_what_was_read(path)
    made = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_all(wanted, in_place=in_place)
    except OSError as error:
        _remove(made)
        raise UsageError([Finding(f"cannot be a folder: {error.strerror}", file=str(folder))]) from error
    except BaseException:
        _remove(made)
        raise


def _missing(folder: Path) -> list[Path]:
    """Folders that are not there yet, the innermost first."""
    return [one for one in (folder, *folder.parents) if not is_there(one)]


def _remove(made: Iterable[Path]) -> None:
    """Take away folders as far as they are empty."""
    for folder in made:
        try:
            folder.rmdir()
        except OSError:
            return
