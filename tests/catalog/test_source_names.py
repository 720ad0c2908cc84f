"""Sources read so that a buyer can defend them: no note of a look-up stands in any tracked file."""

from __future__ import annotations

import csv
import hashlib
import importlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
CATALOGS = ROOT / "catalogs"
_LOOK_UPS = ("find" + "_string", "read" + "_file id", "find" + "_files", "docs" + " corpus", "pages" + " corpus")
_NOTE = re.compile("|".join((*_LOOK_UPS, r"(?<![A-Za-z])ids? [0-9]{9,}")))
_LONG = "1" * 11
"""A number as notes carry it, spelt so that this file holds none."""
_BARE = re.compile(r"(?:^|; )[A-Z]{2,5}(?: \(|$|;)")
"""An abbreviation that stands alone as a source, without publisher or document."""


@pytest.fixture(scope="module")
def names() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        yield importlib.import_module("source_names")


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        return [path for path in ROOT.rglob("*.*") if ".git" not in path.parts]
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_no_tracked_file_holds_a_note_of_a_look_up() -> None:
    found = []
    for path in _tracked():
        if path.is_file() and path.stat().st_size < 20_000_000:
            text = path.read_bytes().decode("utf-8", "ignore")
            found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in _NOTE.finditer(text)][:3]
    assert not found


def test_no_source_of_a_catalog_is_a_bare_abbreviation() -> None:
    found = []
    for path in sorted(CATALOGS.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                source = row.get("price_source") or row.get("source") or ""
                if _BARE.search(source):
                    found.append(f"{path.name}: {source}")
    assert not found


def test_a_source_is_published_whole_or_part_by_part(names: ModuleType) -> None:
    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    known = {("gpus.csv", digest("XY (12)")): "XY Labs, table of cards, 2026", ("gpus.csv", digest("a; b")): "A and B"}
    assert names.publishable("a; b", "gpus.csv", known) == "A and B"
    assert names.publishable("c; XY (12)", "gpus.csv", known) == "c; XY Labs, table of cards, 2026"
    assert names.publishable("XY (12)", "offers.csv", known) == "XY (12)"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"smi 32760 MiB (id {_LONG})", "smi 32760 MiB"),
        (f"96 GiB (id {_LONG}) / 97.8 GB (id {_LONG})", "96 GiB / 97.8 GB"),
        (f"no source (one guesses 4 TB/s, id {_LONG})", "no source (one guesses 4 TB/s)"),
        (f"GEMM 88-96 % (look_up id {_LONG})", "GEMM 88-96 %"),
        (f"gate in id {_LONG}", "gate in a public repository (name not recorded)"),
        ("valid 2026, grid 9", "valid 2026, grid 9"),
    ],
)
def test_remarks_lose_numbers_that_nobody_can_follow(text: str, told: str, names: ModuleType) -> None:
    assert names.without_notes(text) == told
