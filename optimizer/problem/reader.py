"""From a file to a sound Problem, or to everything that is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from optimizer.documents.nodes import (
    Entry,
    Key,
    Mapping,
    Node,
    Place,
    Scalar,
    plain,
    refused_paths,
    with_entry,
    without,
)
from optimizer.documents.nodes import Sequence as Items
from optimizer.documents.text_file import decode, read_bytes
from optimizer.documents.yaml_file import parse_yaml
from optimizer.errors import Finding, ProblemError
from optimizer.problem.check_rest import check
from optimizer.problem.edits import apply_set
from optimizer.problem.findings import Defect, defect_of, node_at, place_of
from optimizer.problem.issues import Issue
from optimizer.problem.known import KnownIds
from optimizer.problem.references import check_references
from optimizer.problem.schema import Problem, ProblemFile
from optimizer.problem.warnings import warnings_of

_ROUNDS = 6
"""Dropping a value can leave its parent incomplete; a path of the schema is at most this deep."""


def _stand_in(value: str | int) -> Scalar:
    return Scalar(Place(""), value, str(value))


_STAND_INS: dict[str, Node] = {
    **{key: _stand_in("?") for key in ("model", "provider", "gpu", "id")},
    **{key: _stand_in(1) for key in ("input", "output", "mean", "active", "requests", "within_hours", "percent")},
    **{key: _stand_in(1) for key in ("gpus_per_node", "max_gpus")},
    "name": _stand_in("unnamed"),
    "context_max": _stand_in(2),
    "tokens": Mapping(Place(""), tuple(Entry(key, Place(""), _stand_in(1)) for key in ("input", "output"))),
}
"""What takes the place of a required key that is missing or wrong, so that everything else is still checked."""


def load_problem(path: Path | str, *, sets: Sequence[str] = (), known: KnownIds | None = None) -> Problem:
    """Read a problem file, apply ``PATH=VALUE`` edits, check everything; ProblemError lists all findings in file order.

    With ``known``, ids of models, GPUs, engines, providers, regions and currencies are checked too.
    """
    path = Path(path)
    data = read_bytes(path)
    if isinstance(data, Finding):
        raise ProblemError([data])
    return problem_from_bytes(data, path=path, sets=sets, known=known)


def problem_from_bytes(data: bytes, *, path: Path, sets: Sequence[str] = (), known: KnownIds | None = None) -> Problem:
    """The same from bytes in hand; ``path`` names them and is where a relative config.json is looked for."""
    file = str(path)
    text = decode(data, file)
    if isinstance(text, Finding):
        raise ProblemError([text])
    root, found = parse_yaml(text, file)
    findings = list(found)
    if root is None:
        raise ProblemError(_in_order(findings))
    for option in sets:
        root, found = apply_set(root, option)
        findings += found
    checked = _validated(root)
    findings += checked.findings
    known = known or KnownIds()
    if checked.stated is not None:
        issues = (*check(checked.stated), *check_references(checked.stated, known, path.parent))
        findings += [_finding(issue, checked.root) for issue in issues if not checked.doubts(issue)]
    if findings or checked.stated is None:
        raise ProblemError(_in_order(findings))
    return _problem(checked.stated, path, _digest(data, sets), tuple(warnings_of(checked.stated, known)))


@dataclass(frozen=True, slots=True)
class _Validated:
    """A document after validation: what is sound, what is not."""

    stated: ProblemFile | None
    root: Node
    findings: tuple[Finding, ...]
    refused: frozenset[tuple[Key, ...]]  # paths of what was taken out or misspelt
    shifted: frozenset[tuple[str, ...]]  # lists, without indices, that items were taken out of: those behind moved up

    def doubts(self, issue: Issue) -> bool:
        """Whether a value that the check looked at was refused itself."""
        looked_at = [self._known(path) for path in (issue.path, *issue.about)]
        refused = {self._known(path) for path in self.refused}
        return any(one[: len(other)] == other or other[: len(one)] == one for one in looked_at for other in refused)

    def _known(self, path: tuple[Key, ...]) -> tuple[Key, ...]:
        """The path without indices that may have moved."""
        steps = enumerate(path)
        return tuple(key for at, key in steps if isinstance(key, str) or _names(path[:at]) not in self.shifted)


def _validated(root: Node) -> _Validated:
    """Validate; take out what is wrong and validate the rest again, so that checks across keys still run.

    For keys that must not be absent something stands in; no check that looks at it is reported.

    Errors of later rounds only follow from what was taken out, so those of the first round are the findings.
    """
    explained = set(refused_paths(root))
    refused = set(explained)
    shifted: set[tuple[str, ...]] = set()
    findings: tuple[Finding, ...] = ()
    for round_number in range(_ROUNDS):
        try:
            return _Validated(
                ProblemFile.model_validate(plain(root)), root, findings, frozenset(refused), frozenset(shifted)
            )
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        found = [defect for defect in (defect_of(detail, root) for detail in details) if not _hollow(defect, root)]
        if round_number == 0:
            explained |= {path for defect in found for path in defect.explains if node_at(root, path) is None}
            findings = tuple(defect.finding for defect in found if not _covered(defect.location, explained))
        missing = {defect.location: defect.path for defect in found if defect.kind == "missing"}
        missing = {location: path for location, path in missing.items() if location[-1] in _STAND_INS}
        gone = frozenset(defect.path for defect in found if defect.location not in missing)
        refused |= gone | {path for defect in found for path in (defect.location, *defect.explains)}
        shifted |= {_names(path[:-1]) for path in gone if path and isinstance(path[-1], int)}
        if () in gone:
            break
        for location, path in missing.items():
            root = with_entry(root, path, str(location[-1]), _STAND_INS[str(location[-1])])
        root = without(root, gone)
    return _Validated(None, root, findings, frozenset(refused), frozenset(shifted))


def _names(path: tuple[Key, ...]) -> tuple[str, ...]:
    return tuple(key for key in path if isinstance(key, str))


def _finding(issue: Issue, root: Node) -> Finding:
    return place_of(root, issue.path).finding(issue.message, issue.hint)


def _hollow(defect: Defect, root: Node) -> bool:
    """pydantic calls a list too short when all its items are wrong; the items are reported, the list is fine."""
    node = node_at(root, defect.path)
    return defect.kind == "too_short" and isinstance(node, Items) and bool(node.items)


def _covered(path: tuple[Key, ...], explained: set[tuple[Key, ...]]) -> bool:
    """Whether a path lies in a value that a finding exists for, or is a key that was misspelt."""
    return any(path[:length] in explained for length in range(1, len(path) + 1))


def _problem(stated: ProblemFile, path: Path, sha256: str, warnings: tuple[str, ...]) -> Problem:
    values = {name: getattr(stated, name) for name in ProblemFile.model_fields}
    if "name" not in stated.model_fields_set:
        values["name"] = path.stem
    return Problem.model_construct(
        stated.model_fields_set | {"path", "sha256", "warnings"},
        **values,
        path=str(path),
        sha256=sha256,
        warnings=warnings,
    )


def _digest(data: bytes, sets: Sequence[str]) -> str:
    """SHA-256 of the file, and of the edits where there are any."""
    return hashlib.sha256(b"".join([data, *(b"\0--set " + option.encode() for option in sets)])).hexdigest()


def _in_order(findings: Sequence[Finding]) -> list[Finding]:
    """File order, each finding once; those without a line last."""
    unique = dict.fromkeys(findings)
    return sorted(unique, key=lambda finding: (finding.line or 1 << 30, finding.column or 0))
