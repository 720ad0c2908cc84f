"""Progress on stderr, only once a run has taken longer than a second and only for a person watching; notices always.

Standard streams that are closed, full or read by nobody any more: a message and an exit code, never a traceback.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO, cast

from optimizer.progress import Notice, PartsDone

_QUIET_SECONDS = 1.0


class Progress:
    """A single line, rewritten in place; silent when the stream is not a terminal or the run is quick."""

    def __init__(self, stream: TextIO, say: Callable[[str], str] = str) -> None:
        self._stream = stream
        self._told = say
        self._start = time.monotonic()
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()

    def say(self, step: str) -> None:
        """Show the step in hand. A notice is a line of its own: a log says as well why a run took longer."""
        from optimizer.report.widths import columns_of, padded  # not before a command has begun

        told = self._told(str(step))
        if isinstance(step, Notice):
            self._stream.write("\r" * bool(self._width) + padded(told, self._width) + "\n")
            self._stream.flush()
            self._width = 0
            return
        elapsed = time.monotonic() - self._start
        if elapsed < _QUIET_SECONDS or not self._stream.isatty():
            return
        line = f"{_bar(step) if isinstance(step, PartsDone) else ''}{told} ({elapsed:.0f} s)"
        self._stream.write("\r" + padded(line, self._width))
        self._stream.flush()
        self._width = columns_of(line)


_CELLS = 30


def _bar(step: PartsDone) -> str:
    """How many of a known number of parts are done."""
    filled = _CELLS * step.done // max(1, step.total)
    return f"[{'#' * filled}{'.' * (_CELLS - filled)}] "


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
