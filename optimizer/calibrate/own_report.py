"""What a calibration found, for the person whose measurements these are: every run before and after, what stays off."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from optimizer.calibrate.own_fit import Calibration, FittedFigure
from optimizer.calibrate.rows import RowCase
from optimizer.demand import Metric
from optimizer.performance.accuracy import ENOUGH_OWN, OWN, band
from optimizer.performance.types import Grade

_NAMES = {"tpot": "TPOT", "ttft": "TTFT", "throughput": "throughput"}
_UNITS = {"tpot": "ms", "ttft": "ms", "throughput": "tokens/s"}
_WIDTH = 11


def report(found: Calibration, say: Callable[[str], str] = str) -> Iterator[str]:
    """Setups as understood, the median error, every figure that the fit leaves outside its band."""
    yield say("Understood:")
    yield from dict.fromkeys(f"  {say(setup_of(case))}" for case in found.cases)
    yield say(f"{len(found.cases)} results; median error in percent before and after:")
    for figure, error in found.before.items():
        yield f"  {figure:<{_WIDTH}}{error:8.1f}{found.after[figure]:8.1f}"
    for setup in found.loads:
        yield say(_band_line(setup.scope, int(setup.value)))
    off = [one for one in found.figures if not one.inside]
    if off:
        outside = f"{len(off)} of {len(found.figures)} figures"
        yield say(f"Still outside the 90 % band of the model after the fit, {outside}:")
        yield from (f"  {say(_line(found.cases[one.case], one))}" for one in off)


def _band_line(setup: str, loads: int) -> str:
    """Whether the setup's plans have the narrower band of own measurements."""
    own = band(Metric.TPOT, Grade.A, OWN)
    spread = f"TPOT {own.low:.2f} to {own.high:.2f} times the prediction, nine times in ten"
    if loads >= ENOUGH_OWN:
        return f"{setup}: {loads} different loads; its plans carry the band of own measurements ({spread})"
    return f"{setup}: {loads} different loads; from {ENOUGH_OWN} on its plans carry a narrower band ({spread})"


def fits_nothing(found: Calibration) -> str | None:
    """Why a fit should not be used: more than half of its own figures lie outside their band; None where it may be."""
    fitted = [one for one in found.figures if one.fitted]
    off = [one for one in fitted if not one.inside]
    if 2 * len(off) <= len(fitted):
        return None
    worst = max(off, key=lambda one: abs(one.error))
    return (
        f"after the fit {len(off)} of {len(fitted)} fitted figures still lie outside the band of the model, "
        f"{_NAMES[worst.metric]} by up to {worst.error:+.0%}: these results are not of the setup they are read as, or "
        "the model does not know it"
    )


def setup_of(case: RowCase) -> str:
    """One run's setup in words."""
    spec = case.spec
    version = f" {spec.engine_version}" if spec.engine_version else ""
    cache = "8-bit KV" if spec.kv_cache == "fp8" else "16-bit KV"
    degrees = f"TP{spec.tensor_parallel}" + (f" PP{spec.pipeline_parallel}" if spec.pipeline_parallel > 1 else "")
    copies = f" x {case.replicas} copies" if case.replicas > 1 else ""
    setup = f"{spec.model.id} in {spec.weight_quant}, {cache}, {degrees}{copies} on {spec.gpu.id} ({spec.link})"
    return f"{setup}, {spec.engine.id}{version}"


def load_of(case: RowCase) -> str:
    """One run's load in words."""
    row = case.row
    lengths = f"{row.input_tokens:,.0f} + {row.output_tokens:,.0f} tokens"
    if row.load == "open_loop":
        cap = f", at most {row.concurrency:,.0f} in flight" if row.concurrency >= 1 else ""
        return f"{lengths}, {row.request_rate:g} requests/s{cap}"
    held = f", {row.concurrency:,.0f} in flight" if row.concurrency >= 1 else ""
    return f"{lengths}{held}" + ("" if row.load == "closed_loop" else f" ({row.load})")


def _line(case: RowCase, one: FittedFigure) -> str:
    of = "" if one.statistic == "mean" else f" {one.statistic}"
    unit = _UNITS[one.metric]
    figures = f"measured {one.measured:,.4g} {unit}, the fit says {one.predicted:,.4g} ({one.error:+.0%})"
    band = f"its band ends at {one.low:,.4g} and {one.high:,.4g}"
    return f"{load_of(case)}: {_NAMES[one.metric]}{of} {figures}; {band}"
