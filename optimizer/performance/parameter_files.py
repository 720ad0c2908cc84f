"""Reading ``kernels/*.csv``: what was measured of single kernels on a card, every wrong cell with its place.

A calibration: performance parameters that ``optimize calibrate`` fitted to a user's own measurements.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from optimizer.errors import CatalogError, Finding
from optimizer.files.carried import contents
from optimizer.files.csv_file import CsvRow, CsvTable, read_table
from optimizer.files.text_file import did_you_mean, is_there
from optimizer.performance.parameters import (
    AllReduce,
    DecodeAttention,
    Gemm,
    Generation,
    Kernels,
    MeasuredCell,
    Parameter,
    Parameters,
    PrefillAttention,
    version_number,
)

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
        key: Callable[[CsvRow], K],
        value: Callable[[CsvRow], V],
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

    def _table(self, name: str, columns: Sequence[str], notes: Sequence[str]) -> CsvTable:
        try:
            return read_table(self._file_of(name), columns, notes)
        except CatalogError as error:
            return CsvTable(self._file_of(name), {}, (), list(error.findings))


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


def _expert_key(row: CsvRow) -> tuple[str, str]:
    return row.text("engine"), row.required("format")


def _gemm(row: CsvRow) -> Gemm:
    return Gemm(_share(row, "mbu"), _share(row, "mfu"), _seconds(row, "overhead_us"), _sharpness(row))


def _decode(row: CsvRow) -> DecodeAttention:
    return DecodeAttention(_share(row, "bandwidth_fraction"), _seconds(row, "overhead_us"), _sharpness(row))


def _prefill(row: CsvRow) -> PrefillAttention:
    return PrefillAttention(_share(row, "mfu_long"), _seconds(row, "overhead_us"))


def _allreduce(row: CsvRow) -> AllReduce:
    bus = row.number("bus_gb_s", _LEAST, _MOST_BUS_GB_S)
    return AllReduce(_seconds(row, "latency_us"), bus * 1e9, _sharpness(row))


def _share(row: CsvRow, column: str) -> float:
    """A share of a peak."""
    return row.number(column, _LEAST, _MOST_SHARE)


def _seconds(row: CsvRow, column: str) -> float:
    return row.number(column, 0.0, _MOST_US) * 1e-6


def _sharpness(row: CsvRow) -> float:
    return row.number("sharpness", 1 / _MOST_SHARPNESS, _MOST_SHARPNESS)


COLUMNS = ("name", "scope", "value", "low", "high", "prior", "prior_log_sd", "unit", "source")

OWN_SETUPS = "measured_loads"
"""Rows of a calibration that are no parameters: how many loads were measured of the setup that is their scope."""

_LARGEST = 1e9

_HINT = "a calibration is a file that `optimize calibrate RESULTS... -o FILE` writes"


def read_calibration(path: Path, names: Collection[str]) -> tuple[Parameter, ...]:
    """The parameters of a calibration file. Raises ``CatalogError`` with everything that is wrong with it.

    ``names``: the parameters that the performance model knows. Values must lie within the bounds beside them.
    """
    try:
        table = read_table(path, COLUMNS)
    except CatalogError as error:
        raise CatalogError([replace(finding, hint=finding.hint or _HINT) for finding in error.findings]) from None
    found = list(parameters_in(table, names))
    if not any(row.name != OWN_SETUPS for row in found) and not table.findings:
        table.findings.append(Finding("no parameters in it", str(path), 1, 1))
    if table.findings:
        raise CatalogError(table.findings)
    return tuple(found)


def parameters_in(table: CsvTable, names: Collection[str] = ()) -> Iterator[Parameter]:
    """The parameters of a table, of ``names`` unless that is empty; defects are findings of the table."""
    seen: set[tuple[str, str]] = set()
    for row in table:
        name, scope = row.required("name"), row.text("scope")
        if name and names and name not in names and name != OWN_SETUPS:
            row.error(f"unknown parameter {name!r}", did_you_mean(name, names), "name")
        if (name, scope) in seen:
            row.error(f"{name} of {scope or 'all'} stands twice", None, "name")
        seen.add((name, scope))
        sound = len(table.findings)
        low, high = row.number("low"), row.number("high")
        value = row.positive("value") if names else row.number("value", 0.0, _LARGEST)
        if sound == len(table.findings) and not low <= value <= high:
            row.error(f"{name} {value:g} is outside its bounds {low:g} to {high:g}", None, "value")
        sd = row.number("prior_log_sd")
        yield Parameter(name, scope, value, low, high, row.number("prior"), sd, row.text("unit"), row.text("source"))


def load_parameters(root: Path, calibration: Path | None = None) -> Parameters:
    """Read ``performance/*.csv`` and ``kernels/*.csv`` under a catalog directory. Raises CatalogError.

    A file that the directory does not have is the packaged one. ``calibration`` is a file of ``optimize calibrate``:
    its parameters override the others, and the version names both.
    """
    path = file_of(root, "performance", "parameters.csv")
    values = {(row.name, row.scope): row.value for row in read_parameter_rows(path)}
    kernels, references = read_kernels(lambda name: file_of(root, "kernels", name))
    _check_complete(path, values, kernels)
    version = hashlib.sha256(contents(path)).hexdigest()[:8]
    measured: dict[str, int] = {}
    if calibration is not None:
        own = read_calibration(calibration, {name for name, _ in values})
        values |= {(row.name, row.scope): row.value for row in own if row.name != OWN_SETUPS}
        measured = {row.scope: int(row.value) for row in own if row.name == OWN_SETUPS}
        version += f"+{hashlib.sha256(contents(calibration)).hexdigest()[:8]}"
    columns = ("engine", "from_version", "generation")
    releases = read_table(file_of(root, "performance", "generations.csv"), columns, ("note", "assumed"))
    generations = tuple(
        Generation(
            row.required("engine"),
            version_number(row.text("from_version")) or (0, 0),
            row.text("generation"),
            row.text("assumed") != "no",
        )
        for row in releases
    )
    replicas, pools = (
        read_table(file_of(root, "performance", name), MeasuredCell._fields, ("rows",))
        for name in ("coverage.csv", "pool_coverage.csv")
    )
    coverage, pool_coverage = (frozenset(_cells(table)) for table in (replicas, pools))
    if findings := (*releases.findings, *replicas.findings, *pools.findings):
        raise CatalogError(findings)
    return Parameters(values, kernels, references, generations, coverage, version, measured, pool_coverage)


def _cells(table: CsvTable) -> Iterator[MeasuredCell]:
    for row in table:
        yield MeasuredCell(row.required("gpu"), *(row.required(name) for name in MeasuredCell._fields[1:]))


def file_of(root: Path, folder: str, name: str) -> Path:
    """A file of a catalog directory's folder; the packaged one where the directory has none."""
    from optimizer.catalog import default_root

    own = root / folder / name
    return own if is_there(own) else default_root() / folder / name


def read_parameter_rows(path: Path) -> tuple[Parameter, ...]:
    """The parameter file, row by row; every value must lie within its bounds. Raises CatalogError."""
    table = read_table(path, COLUMNS)
    rows = tuple(parameters_in(table))
    if table.findings:
        raise CatalogError(table.findings)
    return rows


def _check_complete(path: Path, values: Mapping[tuple[str, str], float], kernels: Mapping[str, Kernels]) -> None:
    """Whatever the model asks for is there: the shared value of every parameter that the packaged fit has one of, and
    the nominal link of every card with kernel facts."""
    from optimizer.catalog import default_root

    packaged = default_root() / "performance" / "parameters.csv"
    needed = [(_LINK, f"gpu:{gpu}") for gpu in kernels if (_LINK, "") not in values]
    findings: list[Finding] = []
    if path.resolve() != packaged.resolve():
        own = read_parameter_rows(packaged)
        needed += [(row.name, row.scope) for row in own if not row.scope]
        above_0 = {row.name for row in own if row.low > 0}
        findings = [
            Finding(f"the parameter {name} has to be above 0", str(path), 1, 1)
            for (name, _), value in values.items()
            if value == 0 and name in above_0
        ]
    for name, scope in needed:
        if (name, scope) not in values:
            text = f"the parameter {name} of {scope or 'all'} is missing"
            findings.append(Finding(text, str(path), 1, 1))
    if findings:
        raise CatalogError(findings)


_LINK = "link_nominal_gb_s"
