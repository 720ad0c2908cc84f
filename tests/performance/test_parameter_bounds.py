"""A parameter outside the bounds that stand beside it is refused, once, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.catalog import default_root
from optimizer.errors import CatalogError
from optimizer.performance.parameter_files import COLUMNS, read_parameter_rows

HEAD = ",".join(COLUMNS)


def read(tmp_path: Path, *rows: str) -> list[str]:
    file = tmp_path / "parameters.csv"
    file.write_text("\n".join((HEAD, *rows)) + "\n")
    try:
        read_parameter_rows(file)
    except CatalogError as error:
        return [finding.message for finding in error.findings]
    return []


@pytest.mark.parametrize(("value", "refused"), [("0.5", False), ("2", False), ("0.4999", True), ("2.001", True)])
def test_a_value_lies_within_its_bounds(value: str, refused: bool, tmp_path: Path) -> None:
    found = read(tmp_path, f"slowdown,gpu:l4_24,{value},0.5,2,1,0.1,ratio,test")
    assert bool(found) is refused
    assert all("outside its bounds 0.5 to 2" in one for one in found)


def test_a_row_that_is_no_number_is_not_also_out_of_bounds(tmp_path: Path) -> None:
    (only,) = read(tmp_path, "slowdown,gpu:l4_24,fast,0.5,2,1,0.1,ratio,test")
    assert "bounds" not in only


def test_the_packaged_parameters_are_sound() -> None:
    assert read_parameter_rows(default_root() / "performance" / "parameters.csv")
