"""Speculative decoding: what is published to draft for a model, and how often its drafts are accepted by task.

Acceptance is the chance that a drafted token is accepted, those before it being so, worked out from the published
acceptance length L of k drafted tokens (L = 1 + a + ... + a^k) or rate (accepted over drafted). Trees (several
candidates a position) are left out: their length says more than such a chance.
"""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections.abc import Iterator
from pathlib import Path

from optimizer.performance.speculation import acceptance_of
from tools.source_tables import Row, Table, read

COLUMNS = ("model", "method", "task", "draft", "acceptance", "low", "high", "rows", "source")
METHODS = ("mtp", "eagle3")

TASKS = {
    "mtbench": "chat", "mt-bench": "chat", "humaneval": "code", "livecodebench": "code",
    "SPEED-Bench coding, thinking off": "code", "SPEED-Bench coding, thinking on": "code", "gsm8k": "reasoning",
    "math500": "reasoning", "gpqa": "reasoning", "financeqa": "rag", "random 1024 in, 1024 out": "random",
    "random 1024 in, 256 out": "random", "random benchmark prompts": "random",
}  # fmt: skip
"""What is written in a published test. Other prompts of the table are single ones."""

DRAFT_LAYERS = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules")
"""Keys of a configuration that count its layers for multi-token prediction."""


def speculation_rows(data: Path, models: frozenset[str]) -> Table:
    """Published drafts, then acceptance: of all models together (each counted once) and of each model."""
    published = [row for row in read(data / "speculative.csv") if row["method"] in METHODS]
    heads = {(row["model"], row["method"]): _head(row) for row in published if row["model"] in models}
    for name, model in _layered(data / "configs"):
        if model in models:
            source = f"{model} config.json ({name})"
            heads[model, "mtp"] = _line(model, "mtp", "", "its own layers", (), 1, source)
    found: dict[tuple[str, str], dict[str, list[tuple[float, Row]]]] = {}
    for row in published:
        chance = _chance(row)
        if chance is not None and row["task"] in TASKS:
            of_task = found.setdefault((row["method"], TASKS[row["task"]]), {})
            of_task.setdefault(row["model"], []).append((chance, row))
    lines = list(heads.values())
    for (method, task), by_model in found.items():
        middles = [statistics.median(chance for chance, _ in runs) for runs in by_model.values()]
        every = [run for runs in by_model.values() for run in runs]
        lines.append(_acceptance("", method, task, statistics.median(middles), every))
        for model, runs in by_model.items():
            if model in models:
                middle = statistics.median(chance for chance, _ in runs)
                lines.append(_acceptance(model, method, task, middle, runs))
    return sorted(lines, key=lambda line: (line["model"], line["method"], line["task"]))


def _layered(configs: Path) -> Iterator[tuple[str, str]]:
    """Key and model of every published configuration that has layers for multi-token prediction."""
    with (configs / "expected.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            file = configs / row["name"]
            tree = json.loads((file if file.is_file() else file / "config.json").read_text(encoding="utf-8"))
            for key in DRAFT_LAYERS:
                if _found(tree, key):
                    yield key, row["model_id"]
                    break


def _found(tree: object, key: str) -> bool:
    if isinstance(tree, dict):
        return bool(tree.get(key)) or any(_found(value, key) for value in tree.values())
    return False


def _head(row: Row) -> dict[str, str]:
    own = "its own layers" if row["method"] == "mtp" else row["draft"]
    return _line(row["model"], row["method"], "", own, (), 1, _source(row))


def _chance(row: Row) -> float | None:
    """The chance behind a row; None for trees and where nothing is stated."""
    k = int(float(row["k"] or 0))
    if not k or float(row["topk"] or 1) > 1:
        return None
    try:
        length = float(row["acceptance_length"])
    except ValueError:
        if not row["acceptance_rate"]:
            return None
        length = 1.0 + k * float(row["acceptance_rate"])
    return acceptance_of(length, k)


def _acceptance(model: str, method: str, task: str, middle: float, runs: list[tuple[float, Row]]) -> dict[str, str]:
    chances = sorted(chance for chance, _ in runs)
    last = len(chances) - 1
    ends = (chances[math.floor(0.05 * last)], chances[math.ceil(0.95 * last)])
    sources = sorted({_source(row) for _, row in runs})
    return _line(model, method, task, "", (middle, *ends), len(runs), "; ".join(sources))


def _source(row: Row) -> str:
    """Publisher and document, without the commit, and the day."""
    return f"{row['source'].split('@', maxsplit=1)[0]}, {row['date']}"


def _line(
    model: str, method: str, task: str, draft: str, figures: tuple[float, ...], rows: int, source: str
) -> dict[str, str]:
    shown = [f"{figure:.3f}" for figure in figures] or ["", "", ""]
    return dict(zip(COLUMNS, (model, method, task, draft, *shown, str(rows), source), strict=True))
