"""How far a prediction can be trusted: which of card, model family and precision were measured, and what lowers it.

A: all three; B: two; C: fewer, or a configuration nobody measured under load (design.md section 4, "Never assume in
silence"). Attention ranks and dealt experts count apart: a layout that nobody measured on that card under that engine
is a step down, two where nothing close to it was. Every step down comes with its sentence.

Tensor parallelism alone asks for no engine: engines left out err about as much as tables left out (docs/accuracy.md),
and one that is hardly measured has the band of engines left out.

Model error as multiplicative bands: truth / prediction, by promise and grade.

``catalogs/performance/bands.csv`` holds the 5, 10, 90 and 95 % quantiles of truth / prediction over published
measurements, each predicted by a fit that saw nothing of its source x GPU x model group (``optimize validate --refit``
writes it). A confidence of 0.5 means no margin.

Two kinds of bands: those of a site that nobody measured, by engine, and those of a setup that the user measured at
``ENOUGH_OWN`` loads and calibrated to: what then remains is how load and lengths scatter around one's own mean.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from statistics import NormalDist

from optimizer.catalog.loader import default_root
from optimizer.catalog.types import Model
from optimizer.demand import Lengths, Metric
from optimizer.performance.expert_ranks import Layout, layout_of
from optimizer.performance.parameter_files import file_of
from optimizer.performance.parameters import Parameters
from optimizer.performance.types import Band, Grade, ReplicaSpec
from optimizer.vocabulary import NVLINK_CLASS

Triple = tuple[str, str, str]
"""Card, model line, weight format; or layout, engine, card."""

LAYOUT_WORDS = {
    Layout.TENSOR: "tensor parallelism alone",
    Layout.EXPERTS: "dealt experts (EP)",
    Layout.RANKS: "attention ranks (DP)",
    Layout.WIDE_RANKS: "attention ranks (DP) over several nodes",
}

_VERSION = re.compile(r"[-]?[vV]?\d.*$")
_LADDER = (Grade.A, Grade.B, Grade.C)

LARGE_EXPERT_MODEL = 200e9
"""Mixture-of-experts models from this size on (DeepSeek-V3 class) usually run with prefill and decode on separate
pools, which plans have only where they are asked for, or with speculative decoding, which they have not."""


OWN = "own"
"""Whose errors a band is made of, where it is not an engine's profile: setups measured by the user."""

BORROWED = "borrowed"
"""The same of cards on which no kernel was timed, under whatever engine: they take the efficiencies of another card of
their architecture, and err about one and a half times as much."""

ENOUGH_OWN = 20
"""Different loads that a user has to measure of a setup before its band is that of own measurements."""


def own_setup(spec: ReplicaSpec) -> str:
    """The setup that a user's measurements speak for: card, model, weight format and engine."""
    return " | ".join((spec.gpu.id, spec.model.id, spec.weight_quant, spec.engine.profile))


def is_own(spec: ReplicaSpec, params: Parameters) -> bool:
    """Whether the user measured the setup at enough loads.

    Not where the degrees decide, which the setup does not name (``may_be_own``).
    """
    return bool(params.own) and may_be_own(spec) and params.own.get(own_setup(spec), 0) >= ENOUGH_OWN


def may_be_own(spec: ReplicaSpec) -> bool:
    """Whether measurements of its setup can narrow a specification's band: not where the layout or drafts, which a
    setup does not name, decide how fast it is."""
    whole = spec.pipeline_parallel == spec.attention_dp == spec.expert_parallel == 1
    return whole and not is_wide_pcie(spec) and spec.speculation is None


def band_source(spec: ReplicaSpec, params: Parameters) -> str:
    """Whose errors the band of a specification is made of: ``OWN``, ``BORROWED``, else the profile of its engine."""
    return OWN if is_own(spec, params) else usual_source(spec, params)


def usual_source(spec: ReplicaSpec, params: Parameters) -> str:
    """The same of somebody who measured nothing of the specification's setup."""
    return BORROWED if params.borrows_kernels(spec.gpu.sibling or spec.gpu.id) else spec.engine.profile


def is_upper_bound(model: Model) -> bool:
    """Whether such models usually run with techniques that are not modelled: a plan's cost is then an upper bound."""
    return model.is_moe and model.total_params >= LARGE_EXPERT_MODEL


def model_line(model: Model) -> str:
    """The family a measurement speaks for: versions of one line share their structure, dense and mixtures do not.

    ``Llama-2``, ``Llama-3.1`` and ``Llama-3.3`` are one line of dense models; ``Qwen3`` has a dense line and a mixture.
    """
    line = _VERSION.sub("", model.family)
    return f"{line} MoE" if model.is_moe else line


ASSUMED_HITS = "gap not stated, hits assumed (tokens.prefix_gap_s)"
"""Why a prediction with prefix hits that nobody earned is graded C."""


DRAFTED = (
    "speculative decoding: no row with drafts has a part in the fit or its bands, and acceptance is that of the"
    " prompts: one grade down"
)
"""Why a prediction with drafts is never of grade A."""


def grade_of(spec: ReplicaSpec, params: Parameters, lengths: Lengths | None = None) -> tuple[Grade, tuple[str, ...]]:
    """Grade of a specification, serving requests of such ``lengths``, and the sentences that explain it."""
    if is_own(spec, params):
        loads = params.own[own_setup(spec)]
        told = f"measured by you at {loads} loads: {spec.model.id} in {spec.weight_quant} on {spec.gpu.id}"
        if lengths is not None and lengths.assumes_hits:
            return Grade.C, (ASSUMED_HITS, told)
        return Grade.A, (told,)
    own = _triple(spec)
    step, further = _missing(own, params.triples), _layout_missing(spec, params)
    reasons = _coverage_reasons(own, step, params) + _layout_reasons(spec, further, params)
    gpu = spec.gpu
    if gpu.sibling:
        reasons.append(f"{gpu.id} takes the efficiencies of its sibling {gpu.sibling}: one grade down")
    if gpu.custom:
        reasons.append(f"{gpu.id} is a card of your own (hardware.custom): nobody measured it")
    if gpu.memory_is_fallback:
        reasons.append(f"the usable memory of {gpu.id} is estimated from cards of its kind: one grade down")
    if is_upper_bound(spec.model):
        reasons.append(f"{spec.model.id} usually runs with techniques that are not modelled: one grade down")
    if spec.model.plain_keys:
        reasons.append(f"{spec.model.id} was read by the standard keys of its configuration alone")
    if spec.speculation is not None:
        reasons.append(DRAFTED)
    if spec.pipeline_parallel > 1:
        reasons.append("pipeline parallelism has never been measured under load")
    if is_wide_pcie(spec):
        assumed = "a measured" if spec.known_host else "the slowest measured"
        reasons.append(f"tensor parallelism over PCIe depends on the host tenfold; {assumed} host is assumed")
    if lengths is not None and lengths.assumes_hits:
        return Grade.C, (ASSUMED_HITS, *reasons)
    return _grade(spec, step + further), tuple(reasons)


def grades_of(specs: Sequence[ReplicaSpec], params: Parameters, lengths: Lengths | None = None) -> list[Grade]:
    """Grades of many specifications; how far a triple and a layout are from measured ones is looked up once."""
    if lengths is not None and lengths.assumes_hits:
        return [Grade.C for _ in specs]
    steps: dict[tuple[int, int, str, Layout, str], int] = {}
    result = []
    for spec in specs:
        if is_own(spec, params):
            result.append(Grade.A)
            continue
        key = (id(spec.gpu), id(spec.model), spec.weight_quant, layout_of(spec), spec.engine.profile)
        if key not in steps:
            steps[key] = _missing(_triple(spec), params.triples) + _layout_missing(spec, params)
        result.append(_grade(spec, steps[key]))
    return result


def _grade(spec: ReplicaSpec, missing: int) -> Grade:
    if spec.pipeline_parallel > 1 or is_wide_pcie(spec) or spec.gpu.custom or spec.model.plain_keys:
        return Grade.C
    unlike = bool(spec.gpu.sibling) + spec.gpu.memory_is_fallback + is_upper_bound(spec.model)
    step = missing + unlike + (spec.speculation is not None)
    return _LADDER[min(step, 2)]


def is_wide_pcie(spec: ReplicaSpec) -> bool:
    """Whether four or more GPUs share the work on a token over PCIe."""
    return spec.tensor_parallel >= 4 and spec.link not in NVLINK_CLASS


def _triple(spec: ReplicaSpec) -> Triple:
    return (spec.gpu.sibling or spec.gpu.id, model_line(spec.model), spec.weight_quant)


def _layout(spec: ReplicaSpec) -> Triple:
    return (layout_of(spec).value, spec.engine.profile, spec.gpu.sibling or spec.gpu.id)


def _layout_missing(spec: ReplicaSpec, params: Parameters) -> int:
    """How many of layout, engine and card differ from what was measured together, at most two."""
    own = _layout(spec)
    return 0 if own[0] == Layout.TENSOR else _missing(own, params.layouts)


@lru_cache(maxsize=2**12)
def _missing(own: Triple, known: frozenset[Triple]) -> int:
    """How many of three things differ from the nearest measured triple, at most two."""
    if own in known:
        return 0
    return 1 if _near(own, known) else 2


def _near(own: Triple, known: frozenset[Triple]) -> list[Triple]:
    """Measured triples that differ in one thing."""
    return [other for other in known if sum(a == b for a, b in zip(own, other, strict=True)) == 2]


def _coverage_reasons(own: Triple, missing: int, params: Parameters) -> list[str]:
    if missing == 0:
        return []
    card, line, quant = own
    if missing == 2:
        return [f"{line} in {quant} on {card}: nothing close to it was measured under load"]
    near = max(_near(own, params.triples))
    known = " in ".join((near[1], near[2])) + f" on {near[0]}"
    return [f"measured under load: {known}, not {line} in {quant} on {card}"]


def _layout_reasons(spec: ReplicaSpec, missing: int, params: Parameters) -> list[str]:
    """The sentence of a layout that nobody measured; the nearest one named is of the same layout where there is one."""
    if missing == 0:
        return []
    own = _layout(spec)
    layout, engine, card = own
    asked = f"{LAYOUT_WORDS[Layout(layout)]} under {engine} on {card}"
    if missing == 2:
        return [f"not measured under load: {asked}, nor anything close: two grades down"]
    near = max(_near(own, params.layouts), key=lambda other: (other[0] == layout, other))
    known = f"{LAYOUT_WORDS[Layout(near[0])]} under {near[1]} on {near[2]}"
    return [f"not measured under load: {asked}, nearest: {known}: one grade down"]


Bands = Mapping[tuple[str, str, Grade], Band]
"""By figure, engine profile (``OWN``, ``BORROWED``, or blank: all engines) and grade."""

_EDGE, _NEAR = 0.95, 0.9


def error_factor(metric: Metric, grade: Grade, quantile: float, engine: str = "") -> float:
    """Truth / prediction at a quantile: at 0.9, nine in ten truths lie below prediction x factor.

    The end-to-end time takes the band of TPOT, which makes up most of it. ``engine``: what ``band_source`` says; blank,
    or an engine with few measurements: what holds for all engines together.
    """
    return factor_in(named_band("ttft" if metric is Metric.TTFT else "tpot", grade, engine), quantile)


def band(metric: Metric, grade: Grade, engine: str = "") -> Band:
    """The two-sided 90 % band."""
    return Band(error_factor(metric, grade, 1 - _EDGE, engine), error_factor(metric, grade, _EDGE, engine))


def throughput_factor(grade: Grade, quantile: float, engine: str = "") -> float:
    """Truth / prediction of the saturation rate that is exceeded with probability ``quantile`` (below one)."""
    return factor_in(named_band("throughput", grade, engine), 1.0 - quantile)


def factor_in(limits: Band, quantile: float) -> float:
    """Truth / prediction at a quantile: log-linear in the normal score through one half, the near and the far quantile.

    The error has heavier tails than a lognormal, so the far quantile alone would put the near ones too far out.
    """
    above = quantile >= 0.5
    end, near = (limits.high, limits.near_high) if above else (limits.low, limits.near_low)
    score, far, middle = (abs(NormalDist().inv_cdf(q)) for q in (quantile, _EDGE, _NEAR))
    if near is None or score >= far:
        return math.exp(math.log(end) * score / far)
    if score <= middle:
        return math.exp(math.log(near) * score / middle)
    share = (score - middle) / (far - middle)
    return math.exp((1.0 - share) * math.log(near) + share * math.log(end))


def band_name(figure: str, *, beyond_slots: bool) -> str:
    """Name of a figure's band: more requests offered than a replica takes at once have bands of their own.

    No plan is made there (a number in flight never exceeds the slots), but measurements are.
    """
    return f"{figure}_beyond_slots" if beyond_slots else figure


def named_band(figure: str, grade: Grade, engine: str = "") -> Band:
    """The band of a figure by its name in the file: tpot, ttft, ttft_unknown_start, throughput, offline, ..."""
    return band_in(_table(), figure, grade, engine)


def band_in(bands: Bands, figure: str, grade: Grade, engine: str) -> Band:
    """The band of what ``band_source`` says where it has one, else that of all engines."""
    return bands.get((figure, engine, grade)) or bands[figure, "", grade]


def read_bands(root: Path) -> Bands:
    """The bands of a catalog directory, of replicas and of pools; the packaged ones of a file that it does not have."""
    bands: dict[tuple[str, str, Grade], Band] = {}
    for name in ("bands.csv", "pool_bands.csv"):
        with file_of(root, "performance", name).open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                edges = (float(row[edge]) for edge in ("low", "high", "near_low", "near_high"))
                bands[row["figure"], row["engine"], Grade(row["grade"])] = Band(*edges)
    return bands


@cache
def _table() -> Bands:
    """The packaged bands; read once, as they never change while a program runs."""
    return read_bands(default_root())
