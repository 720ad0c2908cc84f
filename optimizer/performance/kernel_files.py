"""Reading ``kernels/*.csv``: what was measured of single kernels on a card, every wrong cell with its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

from optimizer.documents.csv_file import Row, Table, read_table
from optimizer.documents.suggest import did_you_mean
from optimizer.errors import CatalogError, Finding
from optimizer.performance.parameters import AllReduce, DecodeAttention, Gemm, Kernels, PrefillAttention

K = TypeVar("K")
V = TypeVar("V")

_MOST_SHARE = 10.0
"""Beyond ten times the peak no figure is a measurement."""

_MOST_US = 1e6
_MOST_SHARPNESS = 100.0
_LEAST, _MOST_BUS_GB_S = 1e-6, 1e6
_FABRICS = ("nvlink", "pcie")
_ANY_CARD = "*"

_GEMM = ("gpu", "format", "mbu", "mfu", "overhead_us", "sharpness")
_MOE_NOTES = ("tokens_per_expert_half", "mbu_all_hit", "mfu_sat", "tables")


class _Folder:
    """Collects findings over all files, so that one run names every defect."""

    def __init__(self, file_of: Callable[[str], Path]) -> None:
        self._file_of = file_of
        self.findings: list[Finding] = []

    def keyed(
        self,
        name: str,
        columns: Sequence[str],
        notes: Sequence[str],
        key: Callable[[Row], K],
        value: Callable[[Row], V],
    ) -> dict[str, dict[K, V]]:
        """Values of a file by card and key."""
        found: dict[str, dict[K, V]] = {}
        for row in (table := self._table(name, columns, notes)):
            facts = found.setdefault(row.required("gpu"), {})
            if (here := key(row)) in facts:
                row.error(f"a second row for {row.text('gpu')} and the same case")
            facts[here] = value(row)
        self.findings += table.findings
        return found

    def references(self, known: Collection[str]) -> dict[str, str]:
        """The card whose kernels another one, or an architecture, takes."""
        table = self._table("references.csv", ("key", "kernels_of"), ("note",))
        found: dict[str, str] = {}
        for row in table:
            key, card = row.required("key"), row.required("kernels_of")
            if card and card not in known:
                row.error(f"no kernels of {card!r} in gemm.csv", did_you_mean(card, known), "kernels_of")
            if key in found:
                row.error(f"{key!r} stands twice", None, "key")
            found[key] = card
        self.findings += table.findings
        self.missing("references.csv", "reference for", (*_FABRICS, _ANY_CARD), found)
        return found

    def missing(self, name: str, what: str, needed: Collection[str], found: Collection[str]) -> None:
        """Note what a file lacks altogether; nothing where it could not be read."""
        if not any(str(self._file_of(name)) == finding.file for finding in self.findings):
            path = str(self._file_of(name))
            self.findings += [Finding(f"no {what} {item}", path, 1, 1) for item in needed if item not in found]

    def _table(self, name: str, columns: Sequence[str], notes: Sequence[str]) -> Table:
        try:
            return read_table(self._file_of(name), columns, notes)
        except CatalogError as error:
            return Table(self._file_of(name), {}, (), list(error.findings))


def read_kernels(file_of: Callable[[str], Path]) -> tuple[dict[str, Kernels], dict[str, str]]:
    """Kernel facts by card, and which card's facts others take. Raises CatalogError with every defect of every file.

    ``file_of`` says where a file of a name stands.
    """
    files = _Folder(file_of)
    gemm = files.keyed("gemm.csv", _GEMM, ("tables",), lambda row: row.required("format"), _gemm)
    moe = files.keyed("moe.csv", (*_GEMM, "engine"), _MOE_NOTES, _expert_key, _gemm)
    columns = ("gpu", "kv", "bandwidth_fraction", "overhead_us", "sharpness")
    decode = files.keyed("attention_decode.csv", columns, ("tables",), lambda row: row.required("kv"), _decode)
    prefill = files.keyed(
        "attention_prefill.csv", ("gpu", "mfu_long", "overhead_us"), ("mfu", "tables"), lambda _: "", _prefill
    )
    columns = ("gpu", "n_gpus", "latency_us", "bus_gb_s", "sharpness")
    allreduce = files.keyed("allreduce.csv", columns, ("tables",), lambda row: row.integer("n_gpus", 2), _allreduce)
    references = files.references(gemm)
    for name, needed in (
        ("gemm.csv", {gpu for gpu in gemm if "bf16" in gemm[gpu]}),
        ("moe.csv", {gpu for gpu in moe if ("", "bf16") in moe[gpu]}),
        ("attention_decode.csv", {gpu for gpu in decode if "16bit" in decode[gpu]}),
        ("attention_prefill.csv", prefill),
        ("allreduce.csv", allreduce),
    ):
        files.missing(name, "16-bit row (of no engine, where there are engines) of", gemm, needed)
    if files.findings:
        raise CatalogError(files.findings)
    return {
        gpu: Kernels(gpu, gemm[gpu], moe[gpu], decode[gpu], prefill[gpu][""], allreduce[gpu]) for gpu in gemm
    }, references


def _expert_key(row: Row) -> tuple[str, str]:
    return row.text("engine"), row.required("format")


def _gemm(row: Row) -> Gemm:
    return Gemm(_share(row, "mbu"), _share(row, "mfu"), _seconds(row, "overhead_us"), _sharpness(row))


def _decode(row: Row) -> DecodeAttention:
    return DecodeAttention(_share(row, "bandwidth_fraction"), _seconds(row, "overhead_us"), _sharpness(row))


def _prefill(row: Row) -> PrefillAttention:
    return PrefillAttention(_share(row, "mfu_long"), _seconds(row, "overhead_us"))


def _allreduce(row: Row) -> AllReduce:
    bus = row.number("bus_gb_s", _LEAST, _MOST_BUS_GB_S)
    return AllReduce(_seconds(row, "latency_us"), bus * 1e9, _sharpness(row))


def _share(row: Row, column: str) -> float:
    """A share of a peak."""
    return row.number(column, _LEAST, _MOST_SHARE)


def _seconds(row: Row, column: str) -> float:
    return row.number(column, 0.0, _MOST_US) * 1e-6


def _sharpness(row: Row) -> float:
    return row.number("sharpness", 1 / _MOST_SHARPNESS, _MOST_SHARPNESS)
