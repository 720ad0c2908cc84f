"""Runs the notebooks of ``docs/notebooks`` from the checkout's root and stores what their cells give.

python -m tools.run_notebooks               # all
python -m tools.run_notebooks negotiation
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "notebooks"
LONGEST_S = 600
"""For one cell."""


def executed(path: Path) -> nbformat.NotebookNode:
    """A notebook with the outputs of this run; raises ``CellExecutionError`` where a cell does."""
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=LONGEST_S, resources={"metadata": {"path": str(ROOT)}})
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each began and ended
    return notebook


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """What the cells print and show as text, pictures left out; one text a cell."""
    return ["".join(_text(output) for output in cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]


def _text(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return str(output.text)
    data = output.get("data", {})
    return "" if "image/png" in data else str(data.get("text/plain", ""))


def main() -> None:
    """Runs those named, or all."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if path.stem in sys.argv[1:] or not sys.argv[1:]:
            nbformat.write(executed(path), path)  # type: ignore[no-untyped-call]
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
