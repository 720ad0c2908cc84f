"""What engines start with: memory as CUDA reports it, defaults by version and card, weights as they are stored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from optimizer.catalog import model_from_config
from tools.gpu_rows import form_of
from tools.source_tables import Row, Table, number

_MIB = 1024.0
_SAME_BOARD = 0.01
"""A log whose driver reports another size by more than this is not of the card as it stands in the catalog."""


def cuda_totals(gpus: Sequence[Row], measured: Sequence[Row]) -> dict[str, tuple[str, str, str]]:
    """Memory as CUDA reports it by card: MiB, what it rests on, the source.

    Of several figures the lowest: drivers and ECC move it by 0.4 %, and a plan must start on all of them. A card
    without one takes that of a card of the same maker whose driver reports the same MiB; else the lowest ratio of its
    kind (maker and form; form alone where the maker has none) is applied to what its driver reports.
    """
    by_id = {gpu["id"]: gpu for gpu in gpus}
    lowest: dict[str, tuple[float, str]] = {}
    for row in measured:
        if row["gpu"] not in by_id:
            continue
        figure, driver = float(row["cuda_total_gib"]) * _MIB, float(by_id[row["gpu"]]["memory_mib_reported"] or 0.0)
        stated = float(row["nvidia_smi_mib"] or driver)
        if stated and abs(driver / stated - 1.0) > _SAME_BOARD:
            figure *= driver / stated  # seen with ECC, or on a board of its kind with other memory
        if driver and figure > driver:
            continue  # more than the driver reports: the card of that log was another one
        if figure < lowest.get(row["gpu"], (float("inf"), ""))[0]:
            lowest[row["gpu"]] = (figure, row["source"])

    def reported(gpu: Row) -> float:
        return float(gpu["memory_mib_reported"] or 0.0)

    ratios = [
        (by_id[name]["vendor"], form_of(by_id[name]), figure / reported(by_id[name]))
        for name, (figure, _) in lowest.items()
        if reported(by_id[name])
    ]
    found: dict[str, tuple[str, str, str]] = {}
    for gpu in gpus:
        own = lowest.get(gpu["id"])
        twins = [
            value
            for name, value in lowest.items()
            if by_id[name]["vendor"] == gpu["vendor"] and reported(by_id[name]) == reported(gpu) > 0
        ]
        if own is not None:
            found[gpu["id"]] = (number(str(round(own[0]))), "measured", own[1])
        elif twins:
            figure, source = min(twins)
            found[gpu["id"]] = (number(str(round(figure))), "same_memory", source)
        else:
            kind = [ratio for vendor, form, ratio in ratios if (vendor, form) == (gpu["vendor"], form_of(gpu))]
            ratio = min(kind or [ratio for _, form, ratio in ratios if form == form_of(gpu)])
            found[gpu["id"]] = (f"{ratio:.5f}", "fallback", "")
    return found


def with_cuda(row: dict[str, str], totals: dict[str, tuple[str, str, str]]) -> dict[str, str]:
    """A row of gpus.csv with its memory as CUDA reports it behind the driver's."""
    figure, basis, source = totals[row["id"]]
    if basis == "fallback":
        figure = str(int(float(row["memory_mib"]) * float(figure)))
    added: dict[str, str] = {}
    for key, value in row.items():
        added[key] = value
        if key == "memory_basis":
            added |= {"cuda_total_mib": figure, "cuda_total_basis": basis, "cuda_total_source": source}
    return added


_OPTIONS = {
    "--gpu-memory-utilization": "gpu_memory_utilization",
    "--max-num-seqs": "max_num_seqs",
    "--max-num-batched-tokens": "max_num_batched_tokens",
    "--chunked-prefill-size": "max_num_batched_tokens",
    "--cuda-graph-max-bs": "graph_batch",
    "--cuda-graph-max-bs-decode": "graph_batch",
    "--max_batch_size": "max_num_seqs",
    "--max_num_tokens": "max_num_batched_tokens",
    "--free_gpu_memory_fraction": "gpu_memory_utilization",
}


def engine_option_rows(options: Sequence[Row]) -> Table:
    """Options of servers and clients by the releases whose argument parsers were read, oldest release first."""
    kept = ("engine", "command", "option", "first_seen", "last_seen", "versions_read")
    rows: Table = []
    for row in options:
        source = row["source"] if " " in row["source"] else f"{row['engine']} wheel: {row['source']}"
        rows.append({**{name: row[name] for name in kept}, "source": source})
    return sorted(rows, key=lambda row: (row["engine"], row["command"], row["option"]))


def engine_default_rows(defaults: Sequence[Row]) -> Table:
    """Defaults that decide memory, one row per engine, version, range of card memory and option."""
    rows: Table = []
    for row in defaults:
        option = _OPTIONS.get(row["option"])
        if option is None or not re.fullmatch(r"[\d.]+", row["value"]) or "unknown" in row["condition"]:
            continue
        condition = row["condition"]
        low = re.search(r">= (\d+) GiB|(\d+) to \d+ GiB", condition)
        high = re.search(r"< (\d+) GiB|\d+ to (\d+) GiB", condition)
        degree = re.search(r"tp-size (<|>=) (\d+)", condition)
        a100 = 'does not contain "a100"' in condition
        rows.append(
            {
                "engine": row["engine"],
                "from_version": row["from_version"].removeprefix("git-00209af").removeprefix("git-029e223"),
                "min_gib": _first(low),
                "below_gib": _first(high),
                "min_tp": degree[2] if degree and degree[1] == ">=" else "",
                "below_tp": degree[2] if degree and degree[1] == "<" else "",
                "not_named": "a100" if a100 else "",
                "option": option,
                "value": row["value"],
                "source": row["source"],
            }
        )
    return sorted(rows, key=lambda row: tuple(row.values()))


def _first(found: re.Match[str] | None) -> str:
    return next((group for group in found.groups() if group), "") if found else ""


_SAME_SHAPE = {
    "google/gemma-4-26B-A4B": ("google/gemma-4-26B-A4B-it", ""),
    "nvidia/Gemma-4-31B-IT-NVFP4": ("google/gemma-4-31B-it", "nvfp4"),
    "RedHatAI/Qwen3-32B-NVFP4": ("Qwen/Qwen3-32B", "nvfp4"),
    "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4": ("Qwen/Qwen2.5-7B-Instruct", "int4"),
    "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8": ("Qwen/Qwen2.5-7B-Instruct", "int8"),
    "RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16": ("meta-llama/Llama-3.1-8B-Instruct", "int4"),
    "Qwen/Qwen3.5-27B": ("Qwen/Qwen3.6-27B", ""),
}
"""Published configurations whose model stands in the catalog under another id; the format where it is not native."""


def stored_rows(configs: Path, expected: Sequence[Row], checkpoints: Sequence[Row], models: Sequence[Row]) -> Table:
    """Weights of published checkpoints, part by part, for the models of the catalog."""
    known = {model["id"] for model in models}
    bases = {row["checkpoint"]: row["base_model"] for row in checkpoints}
    rows: dict[tuple[str, str], Table] = {}
    for row in expected:
        name = row["model_id"]
        targets = [name] if name in known else []
        other = _SAME_SHAPE.get(name, (bases.get(name, ""), ""))[0]
        targets += [other] if other in known and other != name else []
        for target in targets:
            model = model_from_config(configs / row["name"])
            quant = model.native_dtype.replace("fp16", "bf16")
            parts = dict(model.stored)[quant]
            if (target, quant) in rows and name != target:
                continue
            rows[target, quant] = [
                {
                    "model": target,
                    "weight_quant": quant,
                    "part": part.name,
                    "bits": number(str(part.bits)),
                    "layers": str(part.layers),
                    "params": number(str(part.params)),
                    "format": part.format,
                    "source": f"{name}, configuration file: {row['source']}",
                }
                for part in parts
            ]
    return [row for key in sorted(rows) for row in rows[key]]
