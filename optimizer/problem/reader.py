"""From a file to a sound Problem, or to everything that is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from optimizer.documents.nodes import Key, Node, plain, refused_paths, without
from optimizer.documents.nodes import Sequence as Items
from optimizer.documents.text_file import decode, read_bytes
from optimizer.documents.yaml_file import parse_yaml
from optimizer.errors import Finding, ProblemError
from optimizer.problem.edits import apply_set
from optimizer.problem.findings import Defect, defect_of, node_at
from optimizer.problem.known import KnownIds
from optimizer.problem.schema import Problem, ProblemFile

_ROUNDS = 6
"""Dropping a value can leave its parent incomplete; a path of the schema is at most this deep."""


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
    stated, defects, _ = _validated(root)
    findings += [defect.finding for defect in defects]
    if findings or stated is None:
        raise ProblemError(_in_order(findings))
    return _problem(stated, path, _digest(data, sets), ())


def _validated(root: Node) -> tuple[ProblemFile | None, list[Defect], Node]:
    """The file as far as it is sound, what is wrong with it, and the document without that.

    Values that are wrong are taken out and the rest is validated again, so that checks across keys still run. Findings
    of later rounds only follow from what was taken out.
    """
    explained = set(refused_paths(root))
    defects: list[Defect] = []
    for round_number in range(_ROUNDS):
        try:
            return ProblemFile.model_validate(plain(root)), defects, root
        except ValidationError as error:
            found = [defect_of(detail, root) for detail in error.errors(include_url=False, include_input=False)]
        if round_number == 0:
            explained |= {path for defect in found for path in defect.explains if node_at(root, path) is None}
            defects = [defect for defect in found if not _follows(defect, root, explained)]
        if any(not defect.path for defect in found):
            return None, defects, root
        root = without(root, frozenset(defect.path for defect in found))
    return None, defects, root


def _follows(defect: Defect, root: Node, explained: set[tuple[Key, ...]]) -> bool:
    """Whether an error only follows from another: in a refused value, a misspelt key, a list without sound items."""
    path = defect.location
    if any(path[:length] in explained for length in range(1, len(path) + 1)):
        return True
    node = node_at(root, defect.path)
    return defect.kind == "too_short" and isinstance(node, Items) and bool(node.items)


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
