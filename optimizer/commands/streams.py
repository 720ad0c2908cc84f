"""Standard streams that are closed, full or read by nobody any more: a message and an exit code, never a traceback."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO, cast


def open_missing_streams() -> None:
    """A standard stream that the caller closed (``>&-``) is None in Python; what is written to it goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, cast(TextIO, open(os.devnull, "w", encoding="utf-8")))  # noqa: SIM115, PTH123


def let_any_text_through() -> None:
    """What the terminal's encoding lacks is written as an escape: a name in Chinese stops no report."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def give_up_on_stdout() -> None:
    """What is still buffered goes nowhere, so that the interpreter does not fail on it once more when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
