"""Performance parameters and kernel facts, as read from ``catalogs/performance`` and ``catalogs/kernels``.

A parameter has a name and a scope: empty (shared by all), or one of ``gpu:``, ``arch:``, ``engine:``, ``format:`` and
pairs of them. Physical quantities take the most specific scope that exists; factors multiply over all scopes that
match, each pulled toward one by a prior, so a card or engine with few measurements, or none, keeps a sane value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from optimizer.errors import CatalogError


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
    assumed: bool = True  # whether a release that is not stated may be of it


class MeasuredCell(NamedTuple):
    """What a grade is earned by: measured rows of a card, model line and weight format, under an engine and layout."""

    gpu: str
    model_line: str
    weight_quant: str
    engine: str  # profile
    layout: str


@dataclass(frozen=True)
class Parameters:
    """Everything the performance model knows beside the catalogs."""

    values: Mapping[tuple[str, str], float]
    kernels: Mapping[str, Kernels]  # by card
    references: Mapping[str, str]  # card or architecture -> the card whose kernels it takes
    generations: tuple[Generation, ...]
    coverage: frozenset[MeasuredCell]  # replicas measured under load
    version: str  # names the fit: content hash of the parameter file
    own: Mapping[str, int] = field(default_factory=dict)
    """How many different loads a user measured of a setup, by ``own_setup``; empty without a calibration."""
    pool_coverage: frozenset[MeasuredCell] = frozenset()
    """Prefill and decode pools measured under load."""

    @cached_property
    def triples(self) -> frozenset[tuple[str, str, str]]:
        """Card, model line and weight format that were measured together."""
        return frozenset((cell.gpu, cell.model_line, cell.weight_quant) for cell in self.coverage)

    @cached_property
    def layouts(self) -> frozenset[tuple[str, str, str]]:
        """Layout, engine and card that were measured together."""
        return frozenset((cell.layout, cell.engine, cell.gpu) for cell in self.coverage)

    @cached_property
    def of_pools(self) -> Parameters:
        """The same where pools are graded: what was measured as a pool counts beside what was as a replica."""
        return replace(self, coverage=self.coverage | self.pool_coverage)

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

    def borrows_kernels(self, gpu: str) -> bool:
        """Whether a card takes the kernel facts of its architecture: none were timed on it, nor on a card of which the
        references say by name that it has the same die or memory."""
        return gpu not in self.kernels and gpu not in self.references

    def generation(self, engine: str, version: str) -> str:
        """Name of the engine generation a version belongs to; an unstated version is the newest that is assumed."""
        mine = [entry for entry in self.generations if entry.engine == engine]
        if not mine:
            return ""
        number = version_number(version)
        older = [entry for entry in mine if (entry.assumed if number is None else entry.from_version <= number)]
        return max(older or mine[:1], key=lambda entry: entry.from_version).name


def version_number(version: str) -> tuple[int, int] | None:
    """Major and minor of an engine version, None where it states no number."""
    match = re.search(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else None
