"""Progress on stderr, only once a run has taken longer than a second and only for a person watching; notices always."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, TextIO

from optimizer.notice import Notice

_QUIET_SECONDS = 1.0


class Progress:
    """A single line, rewritten in place; silent when the stream is not a terminal or the run is quick."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
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
        if isinstance(step, Notice):
            self._stream.write("\r" * bool(self._width) + step.ljust(self._width) + "\n")
            self._stream.flush()
            self._width = 0
            return
        elapsed = time.monotonic() - self._start
        if elapsed < _QUIET_SECONDS or not self._stream.isatty():
            return
        line = f"{step} ({elapsed:.0f} s)"
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)


class Bar(Progress):
    """How many of a known number of parts are done, as a bar on the same kind of line."""

    _CELLS = 30

    def __init__(self, stream: TextIO, what: str) -> None:
        super().__init__(stream)
        self._what = what

    def update(self, done: int, total: int) -> None:
        """Show that so many parts are done."""
        filled = self._CELLS * done // max(1, total)
        self.say(f"[{'#' * filled}{'.' * (self._CELLS - filled)}] {done} of {total} {self._what}")
