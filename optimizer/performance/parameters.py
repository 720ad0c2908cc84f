"""Performance parameters and kernel facts, as read from ``catalogs/performance`` and ``catalogs/kernels``.

A parameter has a name and a scope: empty (shared by all), or one of ``gpu:``, ``arch:``, ``engine:``, ``format:`` and
pairs of them. Physical quantities take the most specific scope that exists; factors multiply over all scopes that
match, each pulled toward one by a prior, so a card or engine with few measurements, or none, keeps a sane value.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from optimizer.errors import CatalogError, Finding

K = TypeVar("K")
V = TypeVar("V")


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
    """Read ``performance/*.csv`` and ``kernels/*.csv`` under a catalog directory.

    ``calibration`` is a file of ``optimize calibrate``: its parameters override the packaged ones, and the version
    names both.
    """
    path = root / "performance" / "parameters.csv"
    values = {(row.name, row.scope): row.value for row in read_parameter_rows(path)}
    version = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    if calibration is not None:
        from optimizer.performance.calibration import read_calibration

        own = read_calibration(calibration, {name for name, _ in values})
        values |= {(row.name, row.scope): row.value for row in own}
        version += f"+{hashlib.sha256(calibration.read_bytes()).hexdigest()[:8]}"
    generations = tuple(
        Generation(row["engine"], version_number(row["from_version"]) or (0, 0), row["generation"])
        for row in _rows(root / "performance" / "generations.csv")
    )
    references = {row["key"]: row["kernels_of"] for row in _rows(root / "kernels" / "references.csv")}
    coverage = frozenset(
        (row["gpu"], row["model_line"], row["weight_quant"]) for row in _rows(root / "performance" / "coverage.csv")
    )
    return Parameters(values, _read_kernels(root / "kernels"), references, generations, coverage, version)


def read_parameter_rows(path: Path) -> list[Parameter]:
    """The parameter file, row by row; every value must lie within its bounds."""
    result = []
    for line, row in enumerate(_rows(path), start=2):
        value, low, high, prior, sd = (float(row[key]) for key in ("value", "low", "high", "prior", "prior_log_sd"))
        parameter = Parameter(row["name"], row["scope"], value, low, high, prior, sd, row["unit"], row["source"])
        if not parameter.low <= parameter.value <= parameter.high:
            message = f"{parameter.name} {parameter.value} is outside {parameter.low}..{parameter.high}"
            raise CatalogError([Finding(message, str(path), line)])
        result.append(parameter)
    return result


def _read_kernels(folder: Path) -> dict[str, Kernels]:
    gemm = _by_gpu(folder / "gemm.csv", lambda r: (r["format"], _gemm(r)))
    moe = _by_gpu(folder / "moe.csv", lambda r: ((r["engine"], r["format"]), _gemm(r)))
    decode = _by_gpu(folder / "attention_decode.csv", lambda r: (r["kv"], _decode(r)))
    prefill = {
        r["gpu"]: PrefillAttention(float(r["mfu_long"]), float(r["overhead_us"]) * 1e-6)
        for r in _rows(folder / "attention_prefill.csv")
    }
    allreduce = _by_gpu(folder / "allreduce.csv", lambda r: (int(r["n_gpus"]), _allreduce(r)))
    return {gpu: Kernels(gpu, gemm[gpu], moe[gpu], decode[gpu], prefill[gpu], allreduce[gpu]) for gpu in gemm}


def _gemm(row: Mapping[str, str]) -> Gemm:
    return Gemm(float(row["mbu"]), float(row["mfu"]), float(row["overhead_us"]) * 1e-6, float(row["sharpness"]))


def _decode(row: Mapping[str, str]) -> DecodeAttention:
    return DecodeAttention(float(row["bandwidth_fraction"]), float(row["overhead_us"]) * 1e-6, float(row["sharpness"]))


def _allreduce(row: Mapping[str, str]) -> AllReduce:
    return AllReduce(float(row["latency_us"]) * 1e-6, float(row["bus_gb_s"]) * 1e9, float(row["sharpness"]))


def _by_gpu(path: Path, read: Callable[[Mapping[str, str]], tuple[K, V]]) -> dict[str, dict[K, V]]:
    result: dict[str, dict[K, V]] = {}
    for row in _rows(path):
        key, value = read(row)
        result.setdefault(row["gpu"], {})[key] = value
    return result


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if not path.is_file():
        raise CatalogError([Finding("file is missing", str(path))])
    with path.open(newline="", encoding="utf-8") as stream:
        yield from csv.DictReader(line for line in stream if not line.startswith("#"))
