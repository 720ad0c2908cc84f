"""Labels in another language. English is the key, so that the code reads as it prints.

Packages that only some users need, with a message that names the extra.

Files into a folder, all of them or none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from importlib import import_module, resources
from pathlib import Path
from types import ModuleType

from optimizer.errors import Finding, UsageError
from optimizer.files.atomic_write import write_all
from optimizer.files.guard import refuse_to_write_over_what_was_read
from optimizer.files.text_file import is_there


def translator(language: str) -> Callable[[str], str]:
    """A function that translates a label; what has no translation stays English."""
    if language == "en":
        return str
    text = resources.files("optimizer.handover").joinpath(f"templates/{language}.json").read_text(encoding="utf-8")
    known: dict[str, str] = json.loads(text)
    return lambda label: known.get(label, label)


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


_EXECUTABLE = 0o755


def write_files(folder: Path, files: Iterable[tuple[str, str, bool]]) -> None:
    """Write (name, text, executable) under ``folder``, made where it is missing; a folder made in vain goes again.

    Raises ``UsageError`` where one of them cannot be written, or where the run has read it.
    """
    wanted = [(folder / name, text, _EXECUTABLE if executable else None) for name, text, executable in files]
    for path, _, _ in wanted:
        refuse_to_write_over_what_was_read(path)
    made = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_all(wanted)
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
