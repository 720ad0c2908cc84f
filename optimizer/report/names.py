"""Fields of the problem file as a reader says them: names, values with their units."""

from __future__ import annotations

import re
from dataclasses import dataclass

from optimizer.report.words import exact, money
from optimizer.workload import part_name

_NAMES: tuple[tuple[str, str], ...] = (
    (r"slo\.ttft_ms(?:\.(p\d+))?", "TTFT{}"),
    (r"slo\.tpot_ms(?:\.(p\d+))?", "TPOT{}"),
    (r"slo\.e2e_s(?:\.(p\d+))?", "end-to-end time{}"),
    (r"slo\.tokens_per_second_per_user", "speed for each user"),
    (r"traffic\.concurrency", "requests in flight"),
    (r"traffic\.requests_per_second", "requests per second"),
    (r"traffic\.output_tokens_per_second", "output tokens per second"),
    (r"traffic\.users\.active", "active users"),
    (r"traffic\.users", "active users"),
    (r"traffic\.users\.requests_per_user_per_hour", "requests per user and hour"),
    (r"traffic\.users\.think_time_s", "time between requests of a user"),
    (r"traffic\.peak_factor", "peak factor"),
    (r"traffic\.min_replicas", "copies of the model at least"),
    (r"traffic\.profile\.([^.]+)\.factor", "load in the period {}"),
    (r"traffic\.batch\.runs_per_month", "batch runs a month"),
    (r"traffic\.batch\.requests", "requests of a batch run"),
    (r"traffic\.batch\.within_hours", "hours for a batch run"),
    (r"tokens\.context_max", "longest context"),
    (r"tokens\.input(?:\.mean)?", "input tokens"),
    (r"tokens\.output(?:\.mean)?", "output tokens"),
    (r"tokens\.input\.p95", "input tokens p95"),
    (r"tokens\.output\.p95", "output tokens p95"),
    (r"tokens\.shared_prefix", "share of the input found in the prefix cache"),
    (r"quality\.min_recovery", "quality floor"),
    (r"hardware\.limits\.max_gpus", "limit on GPUs"),
    (r"hardware\.limits\.max_nodes", "limit on nodes"),
    (r"hardware\.limits\.max_power_kw", "limit on power"),
    (r"hardware\.limits\.max_gpu_kinds", "limit on kinds of GPU"),
    (r"hardware\.limits\.max_share_per_provider", "limit on one provider's share"),
    (r"hardware\.quota\.\d+\.max_gpus", "quota on GPUs"),
    (r"hardware\.owned\.\d+\.nodes", "own nodes"),
    (r"offers\.([^.]+)\.stock", "stock of {}"),
    (r"budget\.monthly", "budget"),
    (r"payment\.max_commitment_months", "longest commitment"),
    (r"margins\.confidence", "safety margin for model error"),
    (r"margins\.load_headroom", "load headroom"),
    (r"margins\.spare_nodes", "spare nodes"),
)

_UNITS: tuple[tuple[str, str], ...] = (
    (r"slo\.t\w+_ms.*", " ms"),
    (r"slo\.e2e_s.*", " s"),
    (r"slo\.tokens_per_second_per_user", " tokens/s"),
    (r"traffic\.requests_per_second", " requests/s"),
    (r"traffic\.output_tokens_per_second", " output tokens/s"),
    (r"traffic\.users\.think_time_s", " s"),
    (r"traffic\.users.*", " users"),
    (r"traffic\.concurrency", " requests in flight"),
    (r"traffic\.min_replicas", " copies"),
    (r"traffic\.(peak_factor|profile\..*)", " times the stated load"),
    (r"traffic\.batch\.runs_per_month", " runs"),
    (r"traffic\.batch\.requests", " requests"),
    (r"traffic\.batch\.within_hours", " hours"),
    (r"tokens\.(input|output|context_max).*", " tokens"),
    (r"hardware\.(limits|quota\.\d+)\.max_gpus", " GPUs"),
    (r"hardware\.(limits\.max_nodes|owned\.\d+\.nodes)|offers\.[^.]+\.stock", " nodes"),
    (r"hardware\.limits\.max_power_kw", " kW"),
    (r"hardware\.limits\.max_gpu_kinds", " kinds of GPU"),
    (r"hardware\.limits\.max_share_per_provider", " of the money"),
    (r"payment\.max_commitment_months", " months"),
    (r"margins\.spare_nodes", " nodes"),
)

_SHARES = r"quality\.min_recovery|margins\.(confidence|load_headroom)|tokens\.shared_prefix"


@dataclass(frozen=True, slots=True)
class Names:
    """How paths are said: with the workload's name only where there are several workloads."""

    several: bool
    currency: str
    whose: tuple[tuple[str, str], ...] = ()  # of paths that do not say it themselves: a quota's provider and card

    def of(self, path: str) -> str:
        """The field in words: ``TTFT p95``, ``chat: requests in flight``."""
        workload, length_class, short = _parts(path)
        for pattern, name in _NAMES:
            match = re.fullmatch(pattern, short)
            if match:
                detail = next((group for group in match.groups() if group), None)
                words = name.format(f" {detail}" if detail else "").replace("  ", " ")
                owner = workload if self.several else length_class
                of = dict(self.whose).get(path)
                return f"{owner}: {words}" if owner else f"{words} ({of})" if of else words
        return path

    def value(self, path: str, value: float) -> str:
        """The value with its unit: ``1,000 ms``, ``97 %``, ``$20,000 a month``."""
        short = _parts(path)[2]
        if short == "budget.monthly":
            return f"{money(round(value * 100), self.currency)} a month"
        if re.fullmatch(_SHARES, short):
            return f"{value * 100:.10g} %"
        return counted(exact(round(value, 6)), unit_of(path))

    def beside(self, path: str, value: float) -> str:
        """The value beside the name of its field, which need not say the unit again: ``requests in flight: 100``."""
        unit = unit_of(path)
        return exact(round(value, 6)) if unit and unit in self.of(path) else self.value(path, value)


def unit_of(path: str) -> str:
    """The unit of a field, where it has one that is no money and no share: ``ms``, ``requests/s``."""
    short = _parts(path)[2]
    return next((unit for pattern, unit in _UNITS if re.fullmatch(pattern, short)), "").strip()


def counted(number: str, unit: str) -> str:
    """A number with its unit, in the singular for one: ``1 node``, ``2 nodes``, ``1 kind of GPU``, ``31 ms``."""
    if number == "1":
        unit = re.sub(r"^(requests|nodes|GPUs|kinds|users|copies|months|hours|runs)\b", _one, unit)
    return f"{number} {unit}".rstrip()


def _one(plural: re.Match[str]) -> str:
    return "copy" if plural[1] == "copies" else plural[1][:-1]


def _parts(path: str) -> tuple[str, str, str]:
    """Workload (with the length class, where a field is one's own), length class, and the field of either."""
    match = re.match(r"workloads\.([^.]+)\.(.+)", path)
    if match is None:
        return "", "", path
    inner = re.match(r"tokens\.classes\.([^.]+)\.(slo\..+|.+)", match[2])
    if inner is None:
        return match[1], "", match[2]
    short = inner[2] if inner[2].startswith("slo.") else f"tokens.{inner[2]}"
    return part_name(match[1], inner[1]), inner[1], short
