"""What is installed is said: the lock pins every package with hashes, the bill of materials lists the same."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from optimizer.version import VERSION  # noqa: E402
from tools.build_sbom import canonical, locked  # noqa: E402

LOCKS = ("requirements.lock", "requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def names(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[\[<>=]", one)[0]) for one in requirements}


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes(name: str) -> None:
    entries = re.split(r"^(?=[\w.-]+==)", text(name), flags=re.MULTILINE)[1:]
    assert len(entries) == len(locked(text(name)))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


def test_the_locks_hold_what_is_asked_for() -> None:
    assert names(PROJECT["dependencies"]) <= locked(text("requirements.lock")).keys()
    wanted = names([one for extra in PROJECT["optional-dependencies"].values() for one in extra])
    assert wanted <= locked(text("requirements-dev.lock")).keys()
    assert locked(text("requirements.lock")).items() <= locked(text("requirements-dev.lock")).items()


@pytest.mark.parametrize("name", [*LOCKS, "sbom.cdx.json"])
def test_no_place_of_one_machine_stands_in_them(name: str) -> None:
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host|file:|://|(^|[\s\"])/\w", text(name))


def test_the_bill_is_that_of_the_lock() -> None:
    bill = json.loads(text("sbom.cdx.json"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert {one["name"]: one["version"] for one in bill["components"]} == locked(text("requirements.lock"))
    assert bill["metadata"]["component"]["version"] == VERSION
    assert all(one["licenses"] for one in bill["components"])
    known = {one["bom-ref"] for one in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert {one["ref"] for one in bill["dependencies"]} == known
    assert all(set(one["dependsOn"]) <= known for one in bill["dependencies"])
    needed = {other for one in bill["dependencies"] for other in one["dependsOn"]}
    assert needed == {one["bom-ref"] for one in bill["components"]}, "what nobody needs"


def test_citation_and_changelog_name_the_release() -> None:
    assert f"\nversion: {VERSION}\n" in text("CITATION.cff")
    assert re.search(rf"^## {re.escape(VERSION)} - \d{{4}}-\d\d-\d\d$", text("CHANGELOG.md"), re.MULTILINE)
