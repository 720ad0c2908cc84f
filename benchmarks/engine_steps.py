"""Errors of single engine steps, by what runs: decode and prompt steps of dense models and mixtures, attention DP.

    python -m benchmarks.engine_steps        # the table
    python -m benchmarks.engine_steps -v     # every step

Published medians of steps inside vLLM 0.20.1 (ai-dynamo/aiconfigurator, fpm_golden_runs, 2026-06-13); the card is
inferred. No queue, no front end, no arrival pattern: what is wrong here is wrong in the step formula.
"""

from __future__ import annotations

import sys

import numpy as np

from optimizer.calibrate.engine_steps import StepError, step_cases, step_errors
from optimizer.catalog import default_root, load_catalog
from optimizer.performance import load_parameters


def table(errors: list[StepError]) -> list[str]:
    """Median, mean and signed median error in percent, by kind."""
    lines = ["| steps | number | median % | mean % | bias % |", "| --- |" + " ---: |" * 4]
    for kind in sorted({error.kind for error in errors}):
        sizes = np.array([error.relative for error in errors if error.kind == kind]) * 100
        median, mean = np.median(np.abs(sizes)), np.mean(np.abs(sizes))
        lines.append(f"| {kind} | {len(sizes)} | {median:.1f} | {mean:.1f} | {np.median(sizes):+.1f} |")
    return lines


def main(*, every: bool) -> None:
    """Print the table, or every step."""
    root, catalog = default_root(), load_catalog()
    errors = step_errors(step_cases(root, catalog), load_parameters(root))
    if every:
        for error in errors:
            row, spec = error.case.row, error.case.spec
            shape = f"tp{spec.tensor_parallel} dp{spec.attention_dp} ep{spec.expert_parallel}"
            print(f"{error.kind:34s} {shape:12s} {row.concurrency:5.0f} x {row.input_tokens:6.0f} "
                  f"{error.measured:8.2f} ms, predicted {error.predicted:8.2f}")  # fmt: skip
    print("\n".join(table(errors)))


if __name__ == "__main__":
    main(every="-v" in sys.argv[1:])
