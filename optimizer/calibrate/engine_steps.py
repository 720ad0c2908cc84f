"""Published engine steps as cases: the duration of one step, without load, queue or front end around it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from optimizer.calibrate.benchmark_results import parse_row
from optimizer.calibrate.forward import one_step_ms
from optimizer.calibrate.rows import DECODE_STEP, PROMPT_STEP, RowCase, case_of
from optimizer.catalog.types import Catalog
from optimizer.performance.parameters import Parameters
from optimizer.performance.replicas import coefficients

SOURCE = "engine steps"


@dataclass(frozen=True, slots=True)
class StepError:
    """One step predicted beside its median (ms)."""

    case: RowCase
    predicted: float
    measured: float

    @property
    def relative(self) -> float:
        """Predicted over measured less one."""
        return self.predicted / self.measured - 1.0

    @property
    def kind(self) -> str:
        """What runs, and whether it decodes or works off a prompt."""
        spec = self.case.spec
        phase = "decode" if self.case.row.load == DECODE_STEP else "prompt"
        if not spec.model.is_moe:
            return f"dense, {phase}"
        if spec.attention_dp > 1:
            return f"mixture, attention DP, {phase}"
        return f"mixture, experts {'dealt' if spec.expert_parallel > 1 else 'cut'}, {phase}"


def step_cases(root: Path, catalog: Catalog) -> list[RowCase]:
    """The packaged engine steps: ``requests_per_rank`` sequences of ``tokens`` each, or one prompt of ``tokens``."""
    return [*_cases(root / "measurements" / "engine_steps.csv", catalog)]


def _cases(path: Path, catalog: Catalog) -> Iterator[RowCase]:
    with path.open(newline="", encoding="utf-8") as stream:
        for cells in csv.DictReader(stream):
            held = cells["requests_per_rank"] or "1"
            decodes = cells["phase"] == "decode"
            shared = ("gpu", "engine", "engine_version", "model", "weight_quant", "tp", "date", "row_id")
            mixture = ("attention_dp", "expert_parallel") if catalog.models[cells["model"]].is_moe else ()
            row = parse_row(
                {name: cells[name] for name in (*shared, *mixture)}
                | {"input_tokens": cells["tokens"], "output_tokens": "1", "concurrency": held, "load": "static_batch"}
            )
            row = replace(row, source=SOURCE, load=DECODE_STEP if decodes else PROMPT_STEP)
            yield case_of(replace(row, tpot_ms_p50=float(cells["step_ms_median"])), catalog)


def step_errors(cases: Sequence[RowCase], params: Parameters) -> list[StepError]:
    """Every step predicted by the step formula alone."""
    columns = coefficients([case.spec for case in cases], params)
    return [
        StepError(case, one_step_ms(case, columns.row(index)), case.row.tpot_ms_p50) for index, case in enumerate(cases)
    ]
