"""Sources read so that a buyer can defend them: no note of a look-up stands in any tracked file."""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CATALOGS, DATA = ROOT / "catalogs", ROOT / "data"
_LOOK_UPS = ("find" + "_string", "read" + "_file id", "find" + "_files", "docs" + " corpus", "pages" + " corpus")
_NOTE = re.compile("|".join((*_LOOK_UPS, r"(?<![A-Za-z])ids? [0-9]{9,}")))
_BARE = re.compile(r"(?:^|; )[A-Z]{2,5}(?: \(|$|;)")
"""An abbreviation that stands alone as a source, without publisher or document."""


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


def test_no_source_of_a_fact_is_a_bare_abbreviation() -> None:
    found = []
    for path in sorted([*CATALOGS.glob("*.csv"), *DATA.glob("*.csv")]):
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                source = row.get("price_source") or row.get("source") or ""
                if _BARE.search(source):
                    found.append(f"{path.name}: {source}")
    assert not found


def test_facts_are_told_in_one_language() -> None:
    """Catalogs and what they are built from are English, as answers quote them; lists of Chinese names are not."""
    lists = {"aliases.csv", "price_list_cn.csv"}
    files = [path for room in ("data", "catalogs") for path in sorted((ROOT / room).rglob("*.*"))]
    assert len(files) > 50
    for path in files:
        if path.name not in lists and path.suffix in (".csv", ".json", ".yaml", ".yml", ".md"):
            found = re.findall("[\u3000-\u9fff\uff00-\uffef]+", path.read_text(encoding="utf-8"))
            assert found == [], path.relative_to(ROOT)
