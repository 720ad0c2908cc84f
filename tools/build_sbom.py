"""The bill of materials of an installation: ``sbom.cdx.json`` (CycloneDX 1.6), from ``requirements.lock``.

Names and versions are those of the lock; licences and who needs whom are read from the metadata of the packages, which
must be installed in just these versions::

    python -m venv locked && locked/bin/pip install --require-hashes -r requirements.lock packaging
    locked/bin/python -m tools.build_sbom
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LOCK, BILL = ROOT / "requirements.lock", ROOT / "sbom.cdx.json"

Json = str | list["Json"] | dict[str, "Json"]

_LICENCES = {
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "MIT": "MIT",
    "MIT License": "MIT",
    "MIT license": "MIT",
}
"""Older names of licences and what SPDX calls them."""


def canonical(name: str) -> str:
    """The one spelling of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> dict[str, str]:
    """Versions by name, as a lock file pins them."""
    return {canonical(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def bill_of(pinned: Mapping[str, str], project: Mapping[str, object], version: str) -> dict[str, Json]:
    """The whole document: this package, what it is installed with, and who needs whom."""
    found = {name: _installed(name, stated) for name, stated in sorted(pinned.items())}
    own = _reference(str(project["name"]), version)
    needs = {own: _needed([str(one) for one in _texts(project["dependencies"])], pinned)}
    needs |= {_reference(name, pinned[name]): _needed(one.requires or [], pinned) for name, one in found.items()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": str(project["name"]),
                "version": version,
                "licenses": [{"license": {"id": str(project["license"])}}],
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": _reference(name, pinned[name]),
                "name": name,
                "version": pinned[name],
                "licenses": [_licence(one)],
                "purl": _reference(name, pinned[name]),
            }
            for name, one in found.items()
        ],
        "dependencies": [{"ref": ref, "dependsOn": [*others]} for ref, others in needs.items()],
    }


def _texts(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _reference(name: str, version: str) -> str:
    return f"pkg:pypi/{canonical(name)}@{version}"


def _installed(name: str, version: str) -> Distribution:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        raise SystemExit(f"{name} {version} of requirements.lock is not installed") from None
    if found.version != version:
        raise SystemExit(f"{name} is installed as {found.version}, requirements.lock pins {version}")
    return found


def _needed(requirements: list[str], pinned: Mapping[str, str]) -> list[str]:
    wanted = [Requirement(text) for text in requirements]
    names = {canonical(one.name) for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})}
    return [_reference(name, pinned[name]) for name in sorted(names & pinned.keys())]


def _licence(found: Distribution) -> dict[str, Json]:
    """As the package states it: an SPDX expression, else its licence field or classifier."""
    stated = _field(found, "License-Expression")
    if stated:
        return {"expression": stated} if " " in stated else {"license": {"id": stated}}
    classifiers = [one for one in found.metadata.get_all("Classifier", []) if one.startswith("License :: ")]
    field = _field(found, "License")
    name = field if field and "\n" not in field else (classifiers[0].split(" :: ")[-1] if classifiers else "")
    if not name:
        raise SystemExit(f"{found.metadata['Name']} states no licence")
    return {"license": {"id": _LICENCES[name]} if name in _LICENCES else {"name": name}}


def _field(found: Distribution, key: str) -> str:
    return found.metadata[key].strip() if key in found.metadata else ""


def main() -> None:
    """Writes the bill, the same bytes for the same lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sys.path.insert(0, str(ROOT))
    from optimizer.version import VERSION

    bill = bill_of(locked(LOCK.read_text(encoding="utf-8")), project, VERSION)
    BILL.write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")
    print(f"{BILL.name}: {len(_texts(bill['components']))} packages")


if __name__ == "__main__":
    main()
