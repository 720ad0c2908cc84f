"""How figures and catalog words read: money, latencies, token counts, GPU names, payment tiers.

Numbers of the problem file as a reader says them: names, values with their units.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from optimizer.demand import Metric, part_name
from optimizer.plan.types import Group, Stress
from optimizer.problem.figures import Figure, Reads, place_of
from optimizer.units import CENTS_PER_UNIT, significant
from optimizer.vocabulary import Link, Tier

_SYMBOL = {"USD": "$"}
_ACRONYMS = frozenset({"rtx", "sxm", "pcie", "nvl", "gh200", "gb200", "gb300", "pro", "mi210", "b60", "mlu370", "x8"})
_TIER = {
    Tier.ON_DEMAND: "on demand",
    Tier.SPOT: "spot",
    Tier.RESERVED_1Y: "1-year commitment",
    Tier.RESERVED_3Y: "3-year commitment",
    Tier.PURCHASE: "purchase",
    Tier.OWNED: "owned",
}
_METRIC = {Metric.TTFT: "TTFT", Metric.TPOT: "TPOT", Metric.E2E: "E2E"}
_QUANT = {"bf16": "16-bit", "int8": "INT8", "int4": "INT4", "fp8": "FP8", "nvfp4": "NVFP4", "mxfp4": "MXFP4"}
_KV = {"auto": "KV 16-bit", "fp8": "KV FP8"}
_INTERCONNECT = {"pcie": "PCIe", "none": "1 GPU each"}
_FABRIC = {Link.XGMI: "xGMI", Link.HCCS: "HCCS"}
_DISTINCTION = {"gpu": "GPU", "weight_quant": "weight format", "node": "kind of node"}


def money(cents: int, currency: str) -> str:
    """Whole currency, as a reader budgets: ``$8,420``, ``CNY 61,000``. The JSON report carries the cents."""
    whole = math.floor(abs(cents) / 100 + 0.5)
    sign = "-" if cents < 0 and whole else ""
    symbol = _SYMBOL.get(currency)
    return f"{sign}{symbol}{whole:,}" if symbol else f"{sign}{currency} {whole:,}"


def price(amount: float, currency: str) -> str:
    """A unit price with two to four decimals, of next to nothing two digits: ``$23.92``, ``$0.0832``, ``$0.000025``."""
    places = 4 if amount == 0 or abs(amount) >= 1e-3 else 1 - math.floor(math.log10(abs(amount)))
    whole, _, decimals = f"{amount:,.{places}f}".partition(".")
    text = f"{whole}.{decimals.rstrip('0'):0<2}"
    symbol = _SYMBOL.get(currency)
    return f"{symbol}{text}" if symbol else f"{currency} {text}"


def two_digits(value: float) -> str:
    """Two significant digits without an exponent: 0.7432 -> 0.74, 31.4 -> 31, 1234 -> 1,200; infinity in words."""
    if not math.isfinite(value):
        return "no end"
    if value == 0:
        return "0"
    rounded = significant(value, 2)
    decimals = max(0, 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}"


def count(value: float) -> str:
    """A count or rate with three significant digits, whole from 100 on: 6.67, 31.5, 1,024."""
    if not math.isfinite(value):
        return "no end"
    if abs(value) >= 100:
        return f"{math.floor(value + 0.5):,}"
    return f"{significant(value, 3):g}"


def exact(value: float) -> str:
    """A figure the user stated, as stated: 1, 1.25, 100,000."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.10g}"


def two_digits_beyond(value: float, limit: float) -> str:
    """A value above a limit with two significant digits, or as many more as show that it is: 120.3 beside 120."""
    text = two_digits(value)
    if not math.isfinite(value) or value <= limit:
        return text
    for digits in range(3, 10):
        if float(text.replace(",", "")) > limit:
            break
        rounded = significant(value, digits)
        text = f"{rounded:,.{max(0, digits - 1 - math.floor(math.log10(abs(rounded))))}f}"
    return text


def percent(share: float) -> str:
    """A share as a whole percentage; below 1 % one decimal."""
    value = abs(share) * 100
    sign = "-" if share < 0 else ""
    return f"{sign}{value:.0f} %" if value >= 1 or value == 0 else f"{sign}{value:.1f} %"


def latency_unit(limit_s: float | None, value_s: float) -> tuple[float, str]:
    """Factor and unit a latency reads best in: that of its limit, else of the value."""
    reference = value_s if limit_s is None else limit_s
    return (1.0, "s") if reference >= 1 else (1e3, "ms")


def latency(seconds: float) -> str:
    """A latency on its own: ``740 ms``, ``1.2 s``; a stated limit keeps its digits via ``limit``."""
    factor, unit = latency_unit(None, seconds)
    return f"{two_digits(seconds * factor)} {unit}"


def limit(seconds: float) -> str:
    """A latency limit as stated: ``1 s``, ``50 ms``, ``1.25 s``."""
    factor, unit = latency_unit(None, seconds)
    return f"{exact(round(seconds * factor, 6))} {unit}"


def metric_name(metric: Metric) -> str:
    """Short field name of a latency."""
    return _METRIC[metric]


def percentile_name(percentile: float) -> str:
    """``p95``."""
    return f"p{percentile:g}"


def promise_of(metric: Metric, percentile: float, length_class: str) -> str:
    """``TTFT p95``; of a promise to the requests of one class of a mix ``long TTFT p95``."""
    name = f"{metric_name(metric)} {percentile_name(percentile)}"
    return f"{length_class} {name}" if length_class else name


def gpu_name(gpu: str) -> str:
    """A catalog id in words: ``h200_sxm_141`` -> ``H200 SXM 141GB``, ``rtx_6000_ada_48`` -> ``RTX 6000 Ada 48GB``."""
    parts = gpu.split("_")
    words = [_gpu_word(part) for part in parts]
    if parts[-1].isdigit() and len(parts) > 1:
        words[-1] = f"{parts[-1]}GB"
    return " ".join(words)


def _gpu_word(part: str) -> str:
    if part == "pcie":
        return "PCIe"
    return part.upper() if part in _ACRONYMS or any(letter.isdigit() for letter in part) else part.capitalize()


def tier_name(tier: Tier, months: int) -> str:
    """How it is paid: ``on demand``, ``1-year commitment``; another commitment length is spelt out."""
    name = _TIER[tier]
    usual = {Tier.RESERVED_1Y: 12, Tier.RESERVED_3Y: 36}.get(tier, 0)
    return name if months in (0, usual) or tier is Tier.PURCHASE else f"{name} for {months} months"


def quant_name(quant: str) -> str:
    """Weight format as printed: ``FP8``, ``16-bit``."""
    return _QUANT.get(quant, quant.upper())


def kv_name(kv: str) -> str:
    """KV-cache format as printed: ``KV 16-bit``, ``KV FP8``."""
    return _KV.get(kv, f"KV {kv.upper()}")


def cache_words(group: Group) -> str:
    """Its KV cache as printed: ``KV 16-bit``, ``KV FP8 + 255 GiB of the host``."""
    host = f" + {group.host_kv_gib:,.0f} GiB of the host" if group.host_kv_gib else ""
    return f"{kv_name(group.kv_cache)}{host}"


def interconnect_name(interconnect: str, link: Link) -> str:
    """How the GPUs of one replica talk; direct links by the name of their maker."""
    if interconnect == "nvlink":
        return _FABRIC.get(link, "NVLink")
    return _INTERCONNECT.get(interconnect, interconnect)


def distinction(name: str) -> str:
    """What two ranks must differ in: ``gpu`` -> ``GPU``, ``weight_quant`` -> ``weight format``."""
    return _DISTINCTION.get(name, name)


def plural(number: int, noun: str) -> str:
    """``1 node``, ``2 nodes``, ``1,458 nodes``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def what_if(stress: Stress) -> str:
    """``TPOT 20 % worse (48.4 of 50 ms)``: with the figure it leads to, which is not the end of the printed band."""
    if stress.reached_s is None or stress.limit_s is None:
        return stress.what
    factor, unit = latency_unit(stress.limit_s, stress.reached_s)
    values = (stress.reached_s * factor, stress.limit_s * factor)
    digits = next((n for n in (1, 2) if round(values[0], n) != round(values[1], n)), 3)
    reached, stated = (exact(round(value, digits)) for value in values)
    return f"{stress.what} ({reached} of {stated} {unit})"


def yaml_scalar(value: object) -> str:
    """A value as it would be written in the problem file."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(yaml_scalar(item) for item in value) + "]"
    return str(value)


@dataclass(frozen=True, slots=True)
class Names:
    """How paths are said: with the workload's name only where there are several workloads."""

    several: bool
    currency: str
    whose: tuple[tuple[str, str], ...] = ()  # of paths that do not say it themselves: a quota's provider and card

    def of(self, path: str) -> str:
        """The field in words: ``TTFT p95``, ``chat: requests in flight``."""
        figure = place_of(path)
        if not isinstance(figure, Figure):
            return path
        whole = part_name(figure.workload, figure.length_class)
        owner = whole if self.several else figure.length_class
        of = dict(self.whose).get(path)
        return f"{owner}: {figure.label}" if owner else f"{figure.label} ({of})" if of else figure.label

    def value(self, path: str, value: float) -> str:
        """The value with its unit: ``1,000 ms``, ``97 %``, ``$20,000 a month``."""
        figure = place_of(path)
        if isinstance(figure, Figure):
            if figure.number.reads is Reads.MONEY:
                return f"{money(round(value * CENTS_PER_UNIT), self.currency)} {figure.number.unit}"
            if figure.number.reads is Reads.SHARE:
                return f"{value * 100:.10g} %"
        return counted(exact(round(value, 6)), unit_of(path))

    def beside(self, path: str, value: float) -> str:
        """The value beside the name of its field, which need not say the unit again: ``requests in flight: 100``."""
        unit = unit_of(path)
        return exact(round(value, 6)) if unit and unit in self.of(path) else self.value(path, value)


def unit_of(path: str) -> str:
    """The unit of a field, where it has one that is no money and no share: ``ms``, ``requests/s``."""
    figure = place_of(path)
    counted_in = isinstance(figure, Figure) and figure.number.reads is Reads.COUNTED
    return figure.number.unit if isinstance(figure, Figure) and counted_in else ""


def counted(number: str, unit: str) -> str:
    """A number with its unit, in the singular for one: ``1 node``, ``2 nodes``, ``1 kind of GPU``, ``31 ms``."""
    if number == "1":
        unit = re.sub(r"^(requests|tokens|nodes|GPUs|kinds|users|copies|months|hours|minutes|runs)\b", _one, unit)
    return f"{number} {unit}".rstrip()


def _one(plural: re.Match[str]) -> str:
    return "copy" if plural[1] == "copies" else plural[1][:-1]
