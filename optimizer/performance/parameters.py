"""Performance parameters and kernel facts, as read from ``catalogs/performance`` and ``catalogs/kernels``.

A parameter has a name and a scope: empty (shared by all), or one of ``gpu:``, ``arch:``, ``engine:``, ``format:`` and
pairs of them. Physical quantities take the most specific scope that exists; factors multiply over all scopes that
match, each pulled toward one by a prior, so a card or engine with few measurements, or none, keeps a sane value.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from optimizer.errors import CatalogError, Finding


@dataclass(frozen=True, slots=True)
class Parameter:
    """One fitted or assumed figure: value, physical bounds, prior and where it comes from."""

    name: str
    scope: str
    value: float
    low: float
    high: float
    prior: float
    prior_log_sd: float  # 0 = fixed, not fitted
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Gemm:
    """Matrix products of one number format on one card: t = (read^s + arithmetic^s)^(1/s) + overhead."""

    mbu: float
    mfu: float
    overhead_s: float
    sharpness: float


@dataclass(frozen=True, slots=True)
class DecodeAttention:
    """Reading the KV cache: t = ((bytes / (bandwidth fraction))^s + overhead^s)^(1/s)."""

    bandwidth_fraction: float
    overhead_s: float
    sharpness: float


@dataclass(frozen=True, slots=True)
class PrefillAttention:
    """Causal prompt attention at 16 bit: fraction of peak on long prompts, fixed cost of a call."""

    mfu: float
    overhead_s: float


@dataclass(frozen=True, slots=True)
class AllReduce:
    """One all-reduce in a CUDA graph: t = (latency^s + wire^s)^(1/s)."""

    latency_s: float
    bus_bytes_s: float
    sharpness: float


@dataclass(frozen=True, slots=True)
class Kernels:
    """Kernel facts of one card."""

    gpu: str
    gemm: Mapping[str, Gemm]
    moe: Mapping[tuple[str, str], Gemm]  # by engine (blank: any) and format
    decode: Mapping[str, DecodeAttention]  # "16bit", "fp8"
    prefill: PrefillAttention
    allreduce: Mapping[int, AllReduce]  # by number of GPUs


@dataclass(frozen=True, slots=True)
class Generation:
    """Engine releases from a version on behave alike."""

    engine: str
    from_version: tuple[int, int]
    name: str


@dataclass(frozen=True)
class Parameters:
    """Everything the performance model knows beside the catalogs."""

    values: Mapping[tuple[str, str], float]
    kernels: Mapping[str, Kernels]  # by card
    references: Mapping[str, str]  # card or architecture -> the card whose kernels it takes
    generations: tuple[Generation, ...]
    coverage: frozenset[tuple[str, str, str]]  # (card, model line, weight format) measured under load
    version: str  # names the fit: content hash of the parameter file

    def first(self, name: str, *scopes: str) -> float:
        """The value of the most specific scope that exists, scopes given from specific to general."""
        for scope in scopes:
            if (value := self.values.get((name, scope))) is not None:
                return value
        return self.values[name, ""]

    def product(self, name: str, *scopes: str) -> float:
        """The product of a factor over every matching scope, the shared one included."""
        result = self.values.get((name, ""), 1.0)
        for scope in scopes:
            result *= self.values.get((name, scope), 1.0)
        return result

    def kernels_of(self, gpu: str, arch: str) -> tuple[Kernels, bool]:
        """Kernel facts of a card, and whether they are its own (else its architecture's reference card's)."""
        if gpu in self.kernels:
            return self.kernels[gpu], True
        for key in (gpu, arch, "*"):
            if key in self.references:
                return self.kernels[self.references[key]], False
        raise CatalogError(f"no kernel facts for {gpu}, none for its architecture {arch}, and no default")

    def generation(self, engine: str, version: str) -> str:
        """Name of the engine generation a version belongs to; an unstated version is the newest."""
        mine = [entry for entry in self.generations if entry.engine == engine]
        if not mine:
            return ""
        number = version_number(version)
        older = [entry for entry in mine if number is None or entry.from_version <= number]
        return max(older or mine[:1], key=lambda entry: entry.from_version).name


def version_number(version: str) -> tuple[int, int] | None:
    """Major and minor of an engine version, None where it states no number."""
    match = re.search(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else None


def load_parameters(root: Path, calibration: Path | None = None) -> Parameters:
    """Read ``performance/*.csv`` and ``kernels/*.csv`` under a catalog directory. Raises CatalogError.

    A file that the directory does not have is the packaged one. ``calibration`` is a file of ``optimize calibrate``:
    its parameters override the others, and the version names both.
    """
    from optimizer.documents.carried import contents
    from optimizer.documents.csv_file import read_table
    from optimizer.performance.kernel_files import read_kernels

    path = file_of(root, "performance", "parameters.csv")
    values = {(row.name, row.scope): row.value for row in read_parameter_rows(path)}
    kernels, references = read_kernels(lambda name: file_of(root, "kernels", name))
    _check_complete(path, values, kernels)
    version = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    if calibration is not None:
        from optimizer.performance.calibration import read_calibration

        own = read_calibration(calibration, {name for name, _ in values})
        values |= {(row.name, row.scope): row.value for row in own}
        version += f"+{hashlib.sha256(contents(calibration)).hexdigest()[:8]}"
    columns = ("engine", "from_version", "generation")
    releases = read_table(file_of(root, "performance", "generations.csv"), columns, ("note",))
    generations = tuple(
        Generation(row.required("engine"), version_number(row.text("from_version")) or (0, 0), row.text("generation"))
        for row in releases
    )
    columns = ("gpu", "model_line", "weight_quant")
    covered = read_table(file_of(root, "performance", "coverage.csv"), columns, ("rows",))
    coverage = frozenset((row.required("gpu"), row.text("model_line"), row.text("weight_quant")) for row in covered)
    if releases.findings or covered.findings:
        raise CatalogError((*releases.findings, *covered.findings))
    return Parameters(values, kernels, references, generations, coverage, version)


def file_of(root: Path, folder: str, name: str) -> Path:
    """A file of a catalog directory's folder; the packaged one where the directory has none."""
    from optimizer.catalog import default_root
    from optimizer.documents.paths import is_there

    own = root / folder / name
    return own if is_there(own) else default_root() / folder / name


def read_parameter_rows(path: Path) -> tuple[Parameter, ...]:
    """The parameter file, row by row; every value must lie within its bounds. Raises CatalogError."""
    from optimizer.documents.csv_file import read_table
    from optimizer.performance.calibration import COLUMNS, parameters_in

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
