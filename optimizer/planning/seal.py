"""Fingerprints of what an answer rests on, so that whoever reads it later knows whether the same holds today."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.plan.types import Seal

if TYPE_CHECKING:
    from optimizer.planning.inputs import Inputs

_FITTED = ("performance", "kernels")
"""Folders of a catalog directory that the performance model is read from; the rest is catalogs."""

_NOT_READ = ("measurements", "README.md")
"""Of the packaged catalogs: what no answer depends on."""


def seal_of(inputs: Inputs) -> Seal:
    """The fingerprints of a question and of everything that answers it."""
    from optimizer.catalog import default_root

    packaged = _packaged(default_root())
    own = {name: data for name, data in inputs.files.items() if _is_of(name, inputs.catalogs)}
    asked = {name: data for name, data in inputs.files.items() if name not in own}
    fit = inputs.problem.engine.calibration
    calibrated = {name: data for name, data in asked.items() if fit and Path(name).name == Path(fit).name}
    edits = {f"--set {number}": text.encode() for number, text in enumerate(inputs.sets)}
    fitted = {name: data for name, data in packaged.items() if name.startswith(_FITTED)}
    own_fitted = {name: data for name, data in own.items() if Path(name).parent.name in _FITTED}
    return Seal(
        problem=_digest({**asked, **edits}),
        catalogs=_digest({**_without(packaged, fitted), **_without(own, own_fitted)}),
        calibration=_digest({**fitted, **own_fitted, **calibrated}),
        code=_digest(_sources()),
    )


def changed(before: Seal, now: Seal) -> tuple[str, ...]:
    """The fingerprints that differ, by name."""
    names = ("problem", "catalogs", "calibration", "code")
    return tuple(name for name in names if getattr(before, name) != getattr(now, name))


def _is_of(name: str, folder: Path | None) -> bool:
    return folder is not None and Path(name).is_relative_to(folder)


def _without(files: Mapping[str, bytes], others: Iterable[str]) -> dict[str, bytes]:
    gone = set(others)
    return {name: data for name, data in files.items() if name not in gone}


def _packaged(root: Path) -> dict[str, bytes]:
    """Every file of the packaged catalogs that an answer may depend on, by its name below them."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    named = {path.relative_to(root).as_posix(): path for path in files}
    return {name: path.read_bytes() for name, path in named.items() if not name.startswith(_NOT_READ)}


def _sources() -> dict[str, bytes]:
    package = Path(__file__).resolve().parent.parent
    return {path.relative_to(package).as_posix(): path.read_bytes() for path in sorted(package.rglob("*.py"))}


def _digest(files: Mapping[str, bytes]) -> str:
    """Of names and contents, each with its length in front, so that no two sets of files read the same."""
    found = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            found.update(len(part).to_bytes(8, "big"))
            found.update(part)
    return found.hexdigest()
