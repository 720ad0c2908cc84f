"""What a measured row counts: the weight of its source times every exclusion that matches."""

from __future__ import annotations

from pathlib import Path

from optimizer.calibrate.benchmark_results import parse_row
from optimizer.calibrate.scores import weighing

CELLS = {"gpu": "h100_sxm_80", "model": "m", "input_tokens": "100", "output_tokens": "10", "source": "s"}


def test_exclusions_multiply_and_blank_cells_match_anything(tmp_path: Path) -> None:
    folder = tmp_path / "measurements"
    folder.mkdir()
    (folder / "sources.csv").write_text("source,weight\ns,0.5\n", encoding="utf-8")
    (folder / "exclusions.csv").write_text(
        "source,gpu,model,engine,weight_quant,load,concurrency,weight,reason\n"
        "s,,,,,,512,0,late tokens\ns,h100_sxm_80,,,,,,0.4,few rows\n",
        encoding="utf-8",
    )
    weight = weighing(tmp_path)
    rows = [parse_row({**CELLS, "concurrency": number}) for number in ("64", "512")]
    assert [weight(row) for row in rows] == [0.2, 0.0]
    assert weight(parse_row({**CELLS, "concurrency": "64", "gpu": "l4_24"})) == 0.5
    assert weight(parse_row({**CELLS, "concurrency": "64", "source": "other", "gpu": "l4_24"})) == 1.0
