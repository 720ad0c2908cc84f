"""Paths that users write: what cannot name a file is a file that is not there, never an exception."""

from __future__ import annotations

from pathlib import Path

from optimizer.documents.carried import is_carried, is_carried_folder


def beside(folder: Path, stated: str) -> Path:
    """A path as written in a file of ``folder``; ``~`` is the home directory."""
    try:
        return folder / Path(stated).expanduser()
    except (RuntimeError, ValueError):  # ~nobody has no home
        return folder / stated


def is_file(path: Path) -> bool:
    """Whether a regular file is there. Unlike ``Path.is_file`` no for names that are too long and closed folders."""
    try:
        return is_carried(path) or path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there; no where nobody can tell."""
    try:
        return is_carried_folder(path) or path.is_dir()
    except (OSError, ValueError):
        return False


def is_there(path: Path) -> bool:
    """Whether anything is there; no where nobody can tell."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def resolved(path: Path) -> Path:
    """The path without symbolic links; itself where these lead nowhere."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # RuntimeError: links in a circle
        return path
