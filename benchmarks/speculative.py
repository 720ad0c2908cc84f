"""Speculative decoding against what was published: serving rows with MTP, and speed-ups that name their card.

    python -m benchmarks.speculative        # the tables
    python -m benchmarks.speculative -v     # every row

Serving rows (``data/serving.csv``, InferenceX, random prompts) state no acceptance: 0.6 is put in for all of them, and
three drafted tokens, one behind attention DP, as their public recipes set. Speed-ups (``data/speculative.csv``): output
rate or TPOT with drafts over that without; where a row states no acceptance length, the median chance of its method
over all other sources is taken.
"""

from __future__ import annotations

import csv
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from optimizer.calibrate.benchmark_results import parse_row
from optimizer.calibrate.forward import predict_cases
from optimizer.calibrate.rows import RowCase, case_of
from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.types import Catalog
from optimizer.performance import load_parameters
from optimizer.performance.parameters import Parameters
from optimizer.performance.speculation import acceptance_of

DATA = Path(__file__).resolve().parent.parent / "data"
RANDOM_ACCEPTANCE = 0.6
UNSOUND = ("duplicate", "load", "truth", "ttft")

APU = "radeon_8060s"

PROMPT, WRITTEN = "200", "300"
"""Tokens of a request of a chat test whose lengths are not stated."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One published figure beside its prediction."""

    row_id: str
    group: str
    measured: float
    predicted: float

    @property
    def relative(self) -> float:
        """Error as a share of what was measured."""
        return self.predicted / self.measured - 1.0


def _rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def served(catalog: Catalog, params: Parameters) -> list[Compared]:
    """TPOT of the sound serving rows that ran MTP."""
    remarks = [row for row in _rows("doubtful_rows.csv") if row["file"] == "serving.csv"]
    left_out = {row["row_id"] for row in remarks if row["why"].startswith(UNSOUND)}
    cases = [
        case_of(parse_row(_with_drafts(row)), catalog)
        for row in _rows("serving.csv")
        if row["speculative"] == "mtp" and row["row_id"] not in left_out
    ]
    found = predict_cases(cases, params)
    return [
        Compared(
            case.row.row_id,
            f"{case.row.gpu} {case.row.engine} {case.row.model.split('/')[-1]} {case.spec.weight_quant}"
            f" {'attention DP' if case.spec.attention_dp > 1 else 'one rank'}",
            case.row.tpot_ms_mean,
            one.tpot_mean,
        )
        for case, one in zip(cases, found, strict=True)
    ]


def _with_drafts(row: dict[str, str]) -> dict[str, str]:
    degrees = {name: row[f"repaired_{name}"] for name in ("attention_dp", "expert_parallel", "moe_tensor_parallel")}
    drafts = "1" if int(row["repaired_attention_dp"]) > 1 else "3"
    return {
        **row, **degrees, "tp": row["repaired_tensor_parallel"], "gpu_count": row["repaired_gpus"],
        "speculative": "mtp", "speculative_tokens": drafts, "acceptance": str(RANDOM_ACCEPTANCE),
    }  # fmt: skip


def speed_ups(catalog: Catalog, params: Parameters) -> list[Compared]:
    """Speed-ups of rows that name card and speed-up, of cards and models that the catalog has."""
    catalog = _with_apu(catalog)
    rows = [{**row, "gpu": APU if row["gpu"].startswith(APU) else row["gpu"]} for row in _rows("speculative.csv")]
    chosen = [
        row
        for row in rows
        if row["speedup"] and row["k"] and row["gpu"] in catalog.gpus and row["model"] in catalog.models
    ]
    pairs = [_pair(row, _acceptance(row, rows), catalog) for row in chosen]
    found = predict_cases([case for pair in pairs for case in pair], params)
    compared = []
    for index, row in enumerate(chosen):
        plain, drafted = found[2 * index], found[2 * index + 1]
        label = f"{row['model'].split('/')[-1]} {row['method']} k {row['k']} {row['gpu']} c {row['concurrency']}"
        if row["metric"].startswith("tpot"):
            ratio = plain.tpot_mean / drafted.tpot_mean
        else:
            ratio = drafted.output_tokens_per_s / plain.output_tokens_per_s
        compared.append(Compared(row["source"], label, float(row["speedup"]), ratio))
    return compared


def _with_apu(catalog: Catalog) -> Catalog:
    """The catalog and one card that it does not rent: the APU of ten published rows, by AMD's product page (256 GB/s,
    59 TFLOPS at 16 bit, up to 96 GiB of 128 for graphics); its kernels are those of the nearest measured card."""
    card = replace(
        catalog.gpus["rtx_4090_24"], id=APU, vendor="amd", arch="rdna3_5", compute_capability=None, memory_gb=96.0,
        memory_mib=98_304, bandwidth_gb_s=256.0, bf16_tflops=59.4, fp8_tflops=None, int8_tops=None, fp4_tflops=None,
        supports_fp8=False, supports_fp4=False, sibling=None, custom=True, cuda_total_mib=0.0,
    )  # fmt: skip
    return replace(catalog, gpus={**catalog.gpus, APU: card})


def _acceptance(row: dict[str, str], rows: Sequence[dict[str, str]]) -> float:
    """The chance behind a row's acceptance length; else the median of its method in all other sources."""
    own = _chance(row)
    if own is not None:
        return own
    others = [_chance(other) for other in rows if other["method"] == row["method"] and other["source"] != row["source"]]
    return statistics.median(chance for chance in others if chance is not None)


def _chance(row: dict[str, str]) -> float | None:
    try:
        return acceptance_of(float(row["acceptance_length"]), int(float(row["k"])))
    except ValueError:
        return None


def _pair(row: dict[str, str], acceptance: float, catalog: Catalog) -> Iterator[RowCase]:
    """The row without and with drafts. EAGLE heads of all generations are taken as EAGLE-3 heads."""
    cells = {
        "gpu": row["gpu"], "model": row["model"], "engine": row["engine"], "weight_quant": row["weight_quant"],
        "tp": str(int(float(row["gpus"] or 1))), "input_tokens": PROMPT, "output_tokens": WRITTEN, "start": "steady",
        "concurrency": row["concurrency"] or "1",
    }  # fmt: skip
    method = "mtp" if row["method"] == "mtp" else "eagle3"
    case = case_of(parse_row(cells), catalog)
    drafts = {"speculative": method, "speculative_tokens": row["k"], "acceptance": f"{acceptance:.4f}"}
    drafted = case_of(parse_row({**cells, **drafts}), catalog)
    yield case
    yield replace(drafted, row=replace(drafted.row, start="steady"))


def table(found: Sequence[Compared], what: str) -> list[str]:
    """Median and mean error and bias by group, in percent."""
    lines = [f"| {what} | number | median % | mean % | bias % |", "| --- |" + " ---: |" * 4]
    groups = ["all", *sorted({one.group for one in found})]
    for group in groups:
        sizes = [100 * one.relative for one in found if group in ("all", one.group)]
        middle = statistics.median(abs(size) for size in sizes)
        mean = statistics.fmean(abs(size) for size in sizes)
        lines.append(f"| {group} | {len(sizes)} | {middle:.1f} | {mean:.1f} | {statistics.median(sizes):+.1f} |")
    return lines


def share_of_signs(found: Sequence[Compared]) -> float:
    """How often faster was predicted as faster and slower as slower."""
    return sum((one.measured > 1) == (one.predicted > 1) for one in found) / len(found)


def signs(found: Sequence[Compared]) -> str:
    """The same in words."""
    return f"sign right in {round(share_of_signs(found) * len(found))} of {len(found)}"


def main(*, every: bool) -> None:
    """Print the tables."""
    catalog, params = load_catalog(), load_parameters(default_root())
    rows, ups = served(catalog, params), speed_ups(catalog, params)
    if every:
        for one in (*rows, *ups):
            print(f"{one.group:60s} {one.row_id:12.12s} {one.measured:8.3f} {one.predicted:8.3f} {one.relative:+6.0%}")
    print("\n".join([*table(rows, "serving rows with MTP, TPOT"), "", *table(ups, "speed-ups"), "", signs(ups)]))


if __name__ == "__main__":
    main(every="-v" in sys.argv[1:])
