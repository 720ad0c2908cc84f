"""The memory law against every measured start, and the pages that are made from it and from the reader's registry."""

from __future__ import annotations

import importlib.util
import statistics
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def _script(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def starts() -> ModuleType:
    return _script("benchmarks/starts.py")


def test_weights_are_as_loaded(starts: ModuleType) -> None:
    off = {row.row["model"]: abs(row.weights_off) for row in starts.compared() if row.weights_off is not None}
    assert statistics.median(off.values()) < 0.03
    assert {model for model, error in off.items() if error > 0.08} == {"deepseek-ai/DeepSeek-V4-Pro"}  # degrees unknown


def test_room_for_kv_holds_for_85_percent(starts: ModuleType) -> None:
    holds = [row.kv_holds for row in starts.compared() if row.kv_holds is not None]
    assert sum(holds) >= 0.85 * len(holds)


def test_what_the_engine_refused_never_starts(starts: ModuleType) -> None:
    rows = starts.compared()
    assert [row.row["model"] for row in rows if row.row["started"] == "no" and row.law.starts] == []
    assert [row.row["model"] for row in rows if row.row["started"] == "yes" and not row.law.starts] == []


def test_pages_are_what_the_scripts_write(starts: ModuleType) -> None:
    assert starts.PAGE.read_text(encoding="utf-8") == starts.page(starts.compared())
    types = _script("tools/generate_model_types.py")
    assert types.PAGE.read_text(encoding="utf-8") == types.page(), "run: python -m tools.generate_model_types"
