"""The house as docs/design.md has it: data flows one way, no circle, each class name once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tools.house import ROOMS, House, drawing, read_house  # noqa: E402


@pytest.fixture(scope="module")
def house() -> House:
    return read_house(ROOT)


def test_no_circle_of_imports(house: House) -> None:
    assert house.circles() == []


def test_no_import_against_the_flow(house: House) -> None:
    assert house.against_the_flow() == []


def test_a_class_name_is_used_once(house: House) -> None:
    assert house.named_twice() == {}


def test_every_room_is_one_of_the_design(house: House) -> None:
    assert {house.room(module) for module in house.uses} <= set(ROOMS)
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    missing = [room for room in ROOMS if room != "root" and f"{room}/" not in design]
    assert missing == []


def test_verification_knows_neither_solver_nor_choosing(house: House) -> None:
    used = {other for module, others in house.uses.items() if house.room(module) == "verify" for other in others}
    assert {house.room(other) for other in used}.isdisjoint({"fleet", "candidates", "planning", "whatif", "decide"})


def test_faults_are_found(tmp_path: Path) -> None:
    package = tmp_path / "optimizer"
    for name, text in {
        "__init__.py": "",
        "files/__init__.py": "",
        "files/a.py": "from optimizer.files import b\nclass Twice: ...\n",
        "files/b.py": "def late():\n    from optimizer.files.a import Twice\n",
        "plan/__init__.py": "class Twice: ...\n",
        "problem/__init__.py": "",
        "files/up.py": "from optimizer.problem import x\n",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    found = read_house(tmp_path)
    assert found.circles() == [("optimizer.files.a", "optimizer.files.b")]
    assert found.against_the_flow() == [("optimizer.files.up", "optimizer.problem")]
    assert found.named_twice() == {"Twice": ("optimizer.files.a", "optimizer.plan")}
    assert "circles: 1" in drawing(found)
