"""A plan file where a command takes a problem: its answer as it is, or with ``--resolve`` its question asked anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from optimizer.errors import Finding, UsageError

_EDITS = ("sets", "catalogs", "quotes", "calibration", "no_simulate")


def with_plan_file(
    command: Callable[..., Any], file: Path, rest: dict[str, Any], *, resolve: bool, opened: bool
) -> Any:
    """Run a command on a file that may be a plan file. ``opened``: it reads the problem in it, or asks it further."""
    from optimizer.negotiate import plan_file

    if not plan_file.is_plan_file(file):
        return command(file=file, plan=None, **rest)
    text = plan_file.read_plan(file)
    if resolve:
        from optimizer.files.carried import carried

        with carried(text.files):
            return command(plan=None, **_anew(text.carried, rest))
    if stated := [name for name in _EDITS if rest.get(name)]:
        options = ", ".join("--set" if name == "sets" else f"--{name.replace('_', '-')}" for name in stated)
        hint = "with --resolve its problem is solved anew under them"
        raise UsageError([Finding(f"is an answer, which {options} would change", str(file), hint=hint)])
    if not opened:
        return command(file=file, plan=text, **rest)
    with plan_file.opened(text) as plan:
        plan_file.refuse_other_seals(plan)
        return command(file=file, plan=plan, **rest)


def _anew(carried: Any, rest: dict[str, Any]) -> dict[str, Any]:
    """The question of a plan file with the edits of the command line on top."""
    stated = None if carried.catalogs is None else Path(carried.catalogs)
    return {
        **rest,
        "file": Path(carried.outcome.problem_path),
        "sets": (*carried.sets, *rest["sets"]),
        "catalogs": rest["catalogs"] or stated,
        "no_simulate": rest["no_simulate"] or not carried.simulate,
    }
