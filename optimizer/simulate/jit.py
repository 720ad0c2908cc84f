"""Compile a numeric function with numba where it is installed; without it the same source runs interpreted.

Compiled code is kept on disk: beside the package where that is writable, else in the user's cache directory, else it
lives for one process. The directory is named after the content of every source that takes part, since numba itself
only notices a change in the file a function stands in, not in the files it calls into.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_HERE = Path(__file__).resolve().parent
_SOURCES = (_HERE.parent / "performance" / "step.py", *sorted(_HERE.glob("*.py")))
_APP = "llm-deployment-optimizer"


def jit(function: F) -> F:
    """``function`` compiled (and cached on disk), or itself when numba is missing."""
    try:
        import numba
    except ImportError:
        return function
    folder = cache_folder()
    if folder is None:
        return cast(F, numba.njit(error_model="numpy")(function))
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        return cast(F, numba.njit(cache=True, error_model="numpy")(function))
    finally:
        config.CACHE_DIR = before


def is_compiled(function: str) -> bool:
    """Whether compiled code of a function of that name is on disk: False says that the next run compiles first."""
    folder = cache_folder()
    return folder is not None and any(folder.rglob(f"*.{function}-*.nbi"))


@cache
def cache_folder() -> Path | None:
    """Where compiled code is kept; None where nothing can be written."""
    name = f"numba-{_digest()}"
    return next((found for place in _places() if (found := _writable(place / name)) is not None), None)


def _places() -> Iterator[Path]:
    yield _HERE / "__pycache__"
    if "XDG_CACHE_HOME" in os.environ:
        yield Path(os.environ["XDG_CACHE_HOME"]) / _APP
    if sys.platform == "win32" and "LOCALAPPDATA" in os.environ:
        yield Path(os.environ["LOCALAPPDATA"]) / _APP
    try:
        yield Path.home() / ".cache" / _APP
    except RuntimeError:  # no home directory is known
        return


def _writable(folder: Path) -> Path | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return None
    return folder


def _digest() -> str:
    import numba

    found = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for source in _SOURCES:
        found.update(source.read_bytes())
    return found.hexdigest()[:12]
