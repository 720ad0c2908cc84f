"""Two results or two problem files side by side: what changed, and which input caused it.

Results of ``optimize FILE --format json`` as a comparison reads them back, every wrong value with its place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.demand import part_name, workload_of
from optimizer.errors import Finding, ProblemError, UsageError
from optimizer.files.json_file import JsonDocument, read_json
from optimizer.files.nodes import Key, shown
from optimizer.files.text_file import not_a_file
from optimizer.plan.types import Outcome, Plan, status_of
from optimizer.problem import READ_FROM, place_of
from optimizer.progress import Clock, Say, silent
from optimizer.units import from_cents

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.problem import Problem


Flat = dict[str, object]
"""Values by path."""


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs; None: absent on that side."""

    path: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Cause:
    """One changed input put alone into the first problem: what the best plan then costs and whether it is another."""

    change: Change
    cents: int | None  # None: nothing keeps every promise, or the change makes sense with others only
    moves_plan: bool
    moves_cost: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer of ``optimize diff``. Plans are those of rank 1, as the JSON report prints them."""

    before: str  # names of the two files
    after: str
    currency: tuple[str, str]
    cents: tuple[int | None, int | None]
    status: tuple[str, str]
    inputs: tuple[Change, ...]  # of two problem files; empty for two results
    plan: tuple[Change, ...]
    cost_lines: tuple[Change, ...]
    promises: tuple[Change, ...]
    causes: tuple[Cause, ...]
    are_problems: bool

    @property
    def same(self) -> bool:
        """Whether the answers are the same."""
        return not (self.plan or self.cost_lines or self.promises) and self.status[0] == self.status[1]


def compare(
    before: Path | str | Problem,
    after: Path | str | Problem,
    catalog: Catalog | Path | str | None = None,
    *,
    sets: Sequence[str] = (),
    progress: Say = silent,
    simulate: bool = True,
    time_limit: float | None = None,
) -> Comparison:
    """Compare two results or two problems, which are solved first.

    Of problems each changed input is also put alone into the first, to see what it does.

    Parameters
    ----------
    before, after : Path, str or Problem
        Results of ``--format json``, or problem files or ``Problem``s.
    catalog : Catalog, Path, str or None
        Of ``load_catalog``, or a directory that overrides and extends the packaged catalogs; None: the packaged ones.
    sets : sequence of str
        Edits of the problem, each ``PATH=VALUE``, such as ``workloads.chat.slo.ttft_ms=1500``.
    progress : callable
        Takes the name of each step, a ``str``, as it begins.
    simulate : bool
        Whether plans are replayed request by request; False: the closed form alone, and the answer says so.
    time_limit : float or None
        Seconds (wall clock) over everything; None: no limit.

    Returns
    -------
    Comparison
        What changed in the winner and its money (integer cents a month), and by which input.

    Raises
    ------
    InputError
        For a file that is neither, for two of different kinds, and for what else the user can mend.
    OutOfTimeError
        Where ``time_limit`` seconds do not suffice.
    """
    from optimizer.problem import Problem

    asked = [one if isinstance(one, Problem) else Path(one) for one in (before, after)]
    results = [one for one in asked if isinstance(one, Path) and is_result(one)]
    if len(results) == 1:
        names = [one.path if isinstance(one, Problem) else str(one) for one in asked]
        message = f"{names[0]} and {names[1]}: compare two results or two problem files, not one of each"
        raise UsageError([Finding(message)])
    if results:
        if sets:
            raise UsageError([Finding("--set changes problem files; these are results")])
        documents = (read_result(results[0]), read_result(results[1]))
        return _comparison((results[0], results[1]), documents, (), (), are_problems=False)
    return _problems(asked, sets, catalog, progress, Clock.of(time_limit), simulate=simulate)


def _problems(
    asked: Sequence[Path | Problem],
    sets: Sequence[str],
    catalog: Catalog | Path | str | None,
    progress: Say,
    clock: Clock,
    *,
    simulate: bool,
) -> Comparison:
    from optimizer.decide import decide, read_inputs
    from optimizer.whatif.case import ask, open_case

    inputs = [read_inputs(one, sets=sets, catalogs=catalog) for one in asked]
    paths = (Path(inputs[0].problem.path), Path(inputs[1].problem.path))
    documents = []
    for one in inputs:
        progress(f"solving {one.problem.path}")
        documents.append(_told(decide(one, progress=progress, simulate=simulate, clock=clock, tested=False)))
    flat = [_stated(one.problem) for one in inputs]
    changed = tuple(_together(_changes(flat[0], flat[1]), flat[0], flat[1]))
    case = open_case(inputs[0], simulate=simulate, clock=clock)
    base = ask(case)
    causes = []
    for change in changed:
        if THERE in (change.before, change.after):
            causes.append(Cause(change, None, moves_plan=False, moves_cost=False))
            continue
        progress(f"trying {change.path} alone")
        try:
            alone = ask(case, [f"{change.path}={json.dumps(change.after)}"])
        except ProblemError:
            causes.append(Cause(change, None, moves_plan=False, moves_cost=False))
            continue
        moves = (alone.identity != base.identity, alone.cents != base.cents)
        causes.append(Cause(change, alone.cents, moves_plan=moves[0], moves_cost=moves[1]))
    return _comparison(paths, (documents[0], documents[1]), changed, tuple(causes), are_problems=True)


THERE = "in this file only"
"""Stands for a whole workload, quote or own server of one of the files."""


def _together(changes: Iterable[Change], before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[Change]:
    """A workload, quote or own server that only one of the files has is one change, not one for each of its keys."""
    told: set[str] = set()
    for change in changes:
        item = place_of(change.path).item
        sides = [any(place_of(path).item == item for path in side) for side in (before, after)]
        if not item or all(sides):
            yield change
        elif item not in told:
            told.add(item)
            yield Change(item, *(THERE if side else None for side in sides))


def _told(outcome: Outcome) -> dict[str, Any]:
    """What is read of a result file, of an outcome in hand."""
    return {"status": status_of(outcome), "plans": [_told_plan(plan) for plan in outcome.plans[:1]]}


def _told_plan(plan: Plan) -> dict[str, Any]:
    sizes = ("tensor_parallel", "pipeline_parallel", *_OF_MIXTURES, "replicas")
    groups = ("workload", "gpu", "weight_quant", "kv_cache", *sizes)
    return {
        "monthly_cost": from_cents(plan.monthly_cents),
        "currency": plan.currency,
        "grade": str(plan.grade),
        "cost_lines": [{"name": line.name, "monthly": from_cents(line.monthly_cents)} for line in plan.cost_lines],
        "binding": [
            {
                "promise": one.promise, "value": one.value, "limit": one.limit, "unit": one.unit,
                "length_class": one.length_class,
            }
            for one in plan.binding
        ],
        "nodes": [{"offer_id": n.offer_id, "tier": str(n.tier), "count": n.count} for n in plan.nodes],
        "groups": [
            {
                **{key: getattr(group, key) for key in groups},
                "workload": workload_of(group.workload, group.length_class),
                "length_class": group.length_class,
            }
            for group in plan.groups
        ],
    }  # fmt: skip


def _comparison(
    paths: tuple[Path, Path],
    documents: tuple[dict[str, Any], dict[str, Any]],
    inputs: tuple[Change, ...],
    causes: tuple[Cause, ...],
    *,
    are_problems: bool,
) -> Comparison:
    plans = [document["plans"][0] if document["plans"] else {} for document in documents]
    lines = [{line["name"]: line["monthly"] for line in plan.get("cost_lines", [])} for plan in plans]
    promises = [
        {_promise(one): [one["value"], one["limit"], one["unit"]] for one in p.get("binding", [])} for p in plans
    ]
    cents = [round(plan["monthly_cost"] * 100) if plan else None for plan in plans]
    statuses = [str(document["status"]) for document in documents]
    currencies = [str(plan.get("currency", "USD")) for plan in plans]
    return Comparison(
        before=str(paths[0]),
        after=str(paths[1]),
        currency=(currencies[0], currencies[1]),
        cents=(cents[0], cents[1]),
        status=(statuses[0], statuses[1]),
        inputs=inputs,
        plan=tuple(_changes(_shape(plans[0]), _shape(plans[1]))),
        cost_lines=tuple(_changes(lines[0], lines[1])),
        promises=tuple(_changes(promises[0], promises[1])),
        causes=causes,
        are_problems=are_problems,
    )


def _promise(binding: Mapping[str, Any]) -> str:
    """Its path; what a length class inherits from its workload is told with the name of the class."""
    path, length_class = str(binding["promise"]), binding.get("length_class")
    return path if not length_class or place_of(path).length_class else f"{path} ({length_class})"


def _shape(plan: Mapping[str, Any]) -> Flat:
    """What is bought and how it is set up."""
    shape: Flat = {}
    for group in plan.get("groups", []):
        name = part_name(group["workload"], group.get("length_class", ""))
        for key in ("gpu", "weight_quant", "kv_cache", "tensor_parallel", "pipeline_parallel", "replicas"):
            shape[f"{name}: {key.replace('_', ' ')}"] = group[key]
        shape |= {f"{name}: {key.replace('_', ' ')}": group[key] for key in _OF_MIXTURES if group.get(key, 1) != 1}
    for node in plan.get("nodes", []):
        shape[f"nodes of {node['offer_id']} ({node['tier']})"] = node["count"]
    if plan:
        shape["grade"] = plan["grade"]
    return shape


_OF_MIXTURES = ("attention_dp", "expert_parallel")


def _changes(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[Change]:
    for path in dict.fromkeys((*before, *after)):
        if before.get(path) != after.get(path):
            yield Change(path, before.get(path), after.get(path))


def _stated(problem: Problem) -> Flat:
    """Values of a problem by path, without the mean lengths that its length classes, histogram or sessions tell."""
    flat = _flat(problem.model_dump(mode="json", exclude={*READ_FROM, "name"}))
    told = {
        f"workloads.{workload.name}.tokens.{key}"
        for workload in problem.workloads
        if workload.tokens.classes or workload.tokens.histogram or workload.sessions
        for key in ("input", "output")
    }
    return {path: value for path, value in flat.items() if path not in told}


def _flat(value: object, path: str = "") -> Flat:
    """Leaves of a problem by path; items of lists by their name or id where they have one, other lists as a whole."""
    if isinstance(value, dict) and value:
        return {
            p: leaf for key, inner in value.items() for p, leaf in _flat(inner, f"{path}.{key}".lstrip(".")).items()
        }
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        names = [str(item.get("name") or item.get("id") or number) for number, item in enumerate(value)]
        return {p: leaf for n, item in zip(names, value, strict=True) for p, leaf in _flat(item, f"{path}.{n}").items()}
    return {path: value}


MAX_BYTES = 64 * 1024 * 1024
"""Largest result read; one of a hundred plans has a megabyte."""

_HEAD = 64
_WHAT = "result of `optimize FILE --format json`"
_MONEY, _NUMBER, _COUNT, _TEXT = "an amount", "a number or null", "a whole number", "text"

_PLAN: Mapping[str, str] = {"monthly_cost": _MONEY, "currency": _TEXT, "grade": _TEXT}
_LISTS: Mapping[str, Mapping[str, str]] = {
    "cost_lines": {"name": _TEXT, "monthly": _MONEY},
    "binding": {"promise": _TEXT, "value": _NUMBER, "limit": _NUMBER, "unit": _TEXT},
    "nodes": {"offer_id": _TEXT, "tier": _TEXT, "count": _COUNT},
    "groups": {
        "workload": _TEXT,
        "gpu": _TEXT,
        "weight_quant": _TEXT,
        "kv_cache": _TEXT,
        "tensor_parallel": _COUNT,
        "pipeline_parallel": _COUNT,
        "replicas": _COUNT,
    },
}
"""What is read of the best plan, and of the items of its lists."""


def is_result(path: Path) -> bool:
    """A JSON object that starts with a problem is a result; everything else is read as a problem file."""
    try:
        unreadable = not_a_file(path, "result or problem file")
        if unreadable is not None:
            raise UsageError([unreadable])
        with path.open("rb") as stream:
            head = stream.read(_HEAD).lstrip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError([Finding(f"cannot be read: {reason}", str(path))]) from error
    return head.startswith(b"{") and b'"problem"' in head


def read_result(path: Path) -> dict[str, Any]:
    """The document of a result. Raises UsageError with everything that a comparison cannot read in it."""
    document = read_json(path, "result", MAX_BYTES)
    if isinstance(document, Finding):
        raise UsageError([Finding(f"is no {_WHAT}: {document.message}", document.file, document.line, document.column)])
    findings = list(_defects(document))
    if findings:
        raise UsageError(findings)
    value: dict[str, Any] = document.value
    return value


def _defects(document: JsonDocument) -> Iterator[Finding]:
    value = document.value
    plans = value.get("plans") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(plans, list) or not isinstance(value.get("status"), str):
        place = ("plans",) if isinstance(value, dict) and not isinstance(plans, list) else ("status",)
        yield document.finding(f"is no {_WHAT}: it needs a status and a list of plans", place)
        return
    if not plans:
        return
    best, path = plans[0], ("plans", 0)
    if not isinstance(best, dict):
        yield document.finding("a plan needs keys with values", path)
        return
    yield from _wrong(document, best, _PLAN, path)
    for name, keys in _LISTS.items():
        items = best.get(name, [])
        if not isinstance(items, list):
            yield document.finding(f"{name} needs a list, not {shown(items)}", (*path, name))
            continue
        for index, item in enumerate(items):
            if isinstance(item, dict):
                yield from _wrong(document, item, keys, (*path, name, index))
            else:
                yield document.finding(f"an item of {name} needs keys, not {shown(item)}", (*path, name, index))


def _wrong(
    document: JsonDocument, item: Mapping[str, object], keys: Mapping[str, str], path: tuple[Key, ...]
) -> Iterator[Finding]:
    for key, kind in keys.items():
        if key not in item:
            yield document.finding(f"the key {key!r} is missing", path)
        elif not _is(item[key], kind):
            yield document.finding(f"{key} needs {kind}, not {shown(item[key])}", (*path, key))


def _is(value: object, kind: str) -> bool:
    if kind == _TEXT:
        return isinstance(value, str)
    if value is None:
        return kind == _NUMBER
    if isinstance(value, bool) or not isinstance(value, int if kind == _COUNT else (int, float)):
        return False
    return abs(value) < 1e300 and math.isfinite(value)
