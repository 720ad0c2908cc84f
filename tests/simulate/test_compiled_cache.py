"""Where compiled code is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.simulate import jit


def test_a_read_only_package_falls_back_to_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocked = tmp_path / "package"
    blocked.write_text("")  # nothing can be made below a file, as in a read-only folder
    monkeypatch.setattr(jit, "_places", lambda: iter([blocked / "__pycache__", tmp_path / "user"]))
    found = jit.cache_folder.__wrapped__()
    assert found is not None and found.parent == tmp_path / "user" and found.is_dir()
    monkeypatch.setattr(jit, "_places", lambda: iter([blocked / "__pycache__"]))
    assert jit.cache_folder.__wrapped__() is None


def test_the_folder_is_named_after_every_source_that_takes_part(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = jit._digest()
    changed = tmp_path / "step.py"
    changed.write_text("other")
    monkeypatch.setattr(jit, "_SOURCES", (changed, *jit._SOURCES[1:]))
    assert jit._digest() != before


def test_a_compiled_function_still_computes_and_is_found_on_disk() -> None:
    from optimizer.simulate import fleet_loop

    assert fleet_loop.serve_fleet is not None
    assert jit.cache_folder() is not None
