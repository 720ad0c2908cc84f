"""The notebooks run, and what is stored in them is what they print: ``python -m tools.run_notebooks`` stores it."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tools.run_notebooks import FOLDER, executed, texts  # noqa: E402

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_is_stored_in_it(path: Path) -> None:
    stored = nbformat.read(path, as_version=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the kernel's own, about the ways it is spoken to
        assert texts(executed(path)) == texts(stored)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_its_charts_and_no_place_of_one_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
    assert all(cell.outputs or "=" in cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert str(ROOT.home()) not in path.read_text(encoding="utf-8").replace("\\", "/")


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["first_answer", "negotiation", "own_measurements"]
