"""What a reader of ``help(optimizer.solve)`` finds: each argument, what comes back, what is raised, the source."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import optimizer

FUNCTIONS = sorted(name for name in optimizer.__all__ if inspect.isfunction(getattr(optimizer, name)))
HARMLESS = {"status_of", "offers_frame", "files_closed"}
"""Nothing that a user passes to these is refused."""

FROM_OUTSIDE = {"memory", "predict", "solve", "targets", "validate", "calibration", "load_catalog", "offers_frame"}
"""Their figures come from published facts."""

UNITS = ("cents", "milliseconds", "bytes", "tokens", "currency", "unit", "ratios", "hour")


def sections(function: Callable[..., Any]) -> dict[str, str]:
    """The text below each underlined heading of a docstring; "" is what stands before the first."""
    found, heading = {"": ""}, ""
    lines = (inspect.getdoc(function) or "").splitlines()
    for number, line in enumerate(lines):
        after = lines[number + 1] if number + 1 < len(lines) else ""
        if line and re.fullmatch(f"-{{{len(line)}}}", after):
            heading = line
            found[heading] = ""
        elif not re.fullmatch("-+", line):
            found[heading] += line + "\n"
    return found


def described(text: str) -> list[str]:
    """The names that a section describes, each with an indented text below its line."""
    entries = re.findall(r"^(\S[^\n]*)\n    \S", text, re.MULTILINE)
    return [name.strip() for entry in entries for name in entry.split(" : ")[0].split(",")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_docstring_names_every_argument_and_what_comes_back(name: str) -> None:
    function = getattr(optimizer, name)
    told = sections(function)
    assert re.match(r"[A-Z][a-z]+ ", told[""]), "no sentence that begins with a verb"
    assert described(told["Parameters"]) == list(inspect.signature(function).parameters)
    typed = [line for line in told["Parameters"].splitlines() if line and not line.startswith(" ")]
    assert all(" : " in line for line in typed), "an argument without its type"
    assert len(described(told["Returns"])) == 1
    if name not in HARMLESS:
        assert all(issubclass(_error(one), optimizer.OptimizerError) for one in described(told["Raises"]))
        assert described(told["Raises"])


def _error(name: str) -> type[Exception]:
    from optimizer import errors

    found: type[Exception] = getattr(errors, name)
    return found


@pytest.mark.parametrize("name", sorted(FROM_OUTSIDE))
def test_figures_from_outside_say_where_from(name: str) -> None:
    assert sections(getattr(optimizer, name))["Source"].strip()


@pytest.mark.parametrize("name", ["solve", "budget", "targets", "explain", "frontier", "memory", "predict", "validate"])
def test_figures_have_a_unit(name: str) -> None:
    assert any(unit in sections(getattr(optimizer, name))["Returns"] for unit in UNITS)


def test_a_missing_argument_is_found() -> None:
    def lame(one: int, two: int) -> None:
        """Do it.

        Parameters
        ----------
        one : int
            The first.
        """

    assert described(sections(lame)["Parameters"]) == ["one"]


def test_a_path_may_be_text(tmp_path: Path) -> None:
    (tmp_path / "fx.csv").write_text((Path(optimizer.load_catalog().root) / "fx.csv").read_text())
    assert optimizer.load_catalog(str(tmp_path)).root == optimizer.load_catalog(tmp_path).root
