"""Everything this package raises on purpose.

OptimizerError
|-- InputError            exit 2: the user can mend it; carries one Finding per defect
|   |-- ProblemError      a problem file
|   |-- CatalogError      a catalog, price list or config.json
|   `-- UsageError        a command line
|-- OutOfTimeError        exit 4: the time limit ended before the question was answered
`-- InternalError         exit 1: our own failure
    `-- VerificationError a plan that the solver-free check does not confirm
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

_UNPRINTED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What would move the cursor, colour the terminal or turn the writing direction."""


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect of an input: where it is, what is wrong, how to mend it."""

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    hint: str | None = None

    def told(self, say: Callable[[str], str]) -> Finding:
        """The same in another language: message and hint, not the names of places."""
        return replace(self, message=say(self.message), hint=self.hint and say(self.hint))

    def __str__(self) -> str:
        file = None if self.file is None else self.file.replace("\n", "\\n")
        place = ":".join(str(part) for part in (file, self.line, self.column) if part is not None)
        text = f"{place}: {self.message}" if place else self.message
        return _UNPRINTED.sub(_escaped, f"{text}\n    {self.hint}" if self.hint else text)


class OptimizerError(Exception):
    """Base of all errors raised on purpose."""


class InputError(OptimizerError):
    """Something the user can mend. ``findings`` holds every defect found, in file order."""

    def __init__(self, findings: Sequence[Finding] | str) -> None:
        self.findings: tuple[Finding, ...] = (Finding(findings),) if isinstance(findings, str) else tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class ProblemError(InputError):
    """A problem file is wrong."""


class CatalogError(InputError):
    """A catalog, a price list or a model configuration is wrong."""


class UsageError(InputError):
    """A command line is wrong."""


class OutOfTimeError(OptimizerError):
    """A question could not be answered in the time given."""

    def __init__(self, message: str = "the time limit ended before the question was answered") -> None:
        super().__init__(message)


class InternalError(OptimizerError):
    """Our own failure; never the user's."""


class VerificationError(InternalError):
    """The independent check does not confirm a plan that the solver returned."""
