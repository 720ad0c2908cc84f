"""Words that the negotiation reports share: a plan on one line, paths and values as a reader says them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from optimizer.plan.types import Group, NodeLine, Plan
from optimizer.report.layout import Line, Style, labelled, paragraph
from optimizer.report.verdicts import terms
from optimizer.report.words import exact, gpu_name, kv_name, money, plural, quant_name, tier_name
from optimizer.vocabulary import Tier
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
    (r"traffic\.batch\.requests", "requests of a batch run"),
    (r"traffic\.batch\.within_hours", "hours for a batch run"),
    (r"tokens\.context_max", "longest context"),
    (r"tokens\.input(?:\.mean)?", "input tokens"),
    (r"tokens\.output(?:\.mean)?", "output tokens"),
    (r"quality\.min_recovery", "quality floor"),
    (r"hardware\.limits\.max_gpus", "limit on GPUs"),
    (r"hardware\.limits\.max_nodes", "limit on nodes"),
    (r"hardware\.limits\.max_power_kw", "limit on power"),
    (r"hardware\.limits\.max_gpu_kinds", "limit on kinds of GPU"),
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
    (r"traffic\.batch\.requests", " requests"),
    (r"traffic\.batch\.within_hours", " hours"),
    (r"tokens\.(input|output|context_max).*", " tokens"),
    (r"hardware\.(limits|quota\.\d+)\.max_gpus", " GPUs"),
    (r"hardware\.limits\.max_nodes", " nodes"),
    (r"hardware\.limits\.max_power_kw", " kW"),
    (r"hardware\.limits\.max_gpu_kinds", " kinds of GPU"),
    (r"payment\.max_commitment_months", " months"),
    (r"margins\.spare_nodes", " nodes"),
)

_SHARES = r"quality\.min_recovery|margins\.(confidence|load_headroom)|tokens\.shared_prefix"


@dataclass(frozen=True, slots=True)
class Names:
    """How paths are said: with the workload's name only where there are several workloads."""

    several: bool
    currency: str

    def of(self, path: str) -> str:
        """The field in words: ``TTFT p95``, ``chat: requests in flight``."""
        workload, length_class, short = _parts(path)
        for pattern, name in _NAMES:
            match = re.fullmatch(pattern, short)
            if match:
                percentile = next((group for group in match.groups() if group), None)
                words = name.format(f" {percentile}" if percentile else "")
                owner = workload if self.several else length_class
                return f"{owner}: {words}" if owner else words
        return path

    def value(self, path: str, value: float) -> str:
        """The value with its unit: ``1,000 ms``, ``97 %``, ``$20,000 a month``."""
        short = _parts(path)[2]
        if short == "budget.monthly":
            return f"{money(round(value * 100), self.currency)} a month"
        if re.fullmatch(_SHARES, short):
            return f"{value * 100:.10g} %"
        unit = next((unit for pattern, unit in _UNITS if re.fullmatch(pattern, short)), "")
        return f"{exact(round(value, 6))}{unit}"


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


def winner(plan: Plan) -> str:
    """What to get and how to run it on one line, without the price."""
    return f"{hardware(plan)}; {'; '.join(setup(group, len(plan.groups) > 1) for group in plan.groups)}"


def hardware(plan: Plan) -> str:
    """``8x MI300X 192GB in 1 node``."""
    kinds: dict[str, int] = {}
    for node in plan.nodes:
        kinds[node.gpu] = kinds.get(node.gpu, 0) + node.count * node.gpus_per_node
    cards = " + ".join(f"{number}x {gpu_name(gpu)}" for gpu, number in kinds.items())
    return f"{cards} in {plural(sum(node.count for node in plan.nodes), 'node')}"


def setup(group: Group, several: bool) -> str:
    """``FP8, KV 16-bit, TP2 x 4``."""
    stages = f" PP{group.pipeline_parallel}" if group.pipeline_parallel > 1 else ""
    sizes = f"TP{group.tensor_parallel}{stages} x {group.replicas:,}"
    name = f"{group.workload}: " if several else ""
    return f"{name}{quant_name(group.weight_quant)}, {kv_name(group.kv_cache)}, {sizes}"


def sources(plan: Plan) -> str:
    """Where the nodes come from and how they are paid: ``crusoe us, on demand``."""
    return "; ".join(dict.fromkeys(_source(node) for node in plan.nodes))


def _source(node: NodeLine) -> str:
    if node.tier is Tier.OWNED:
        return "your own hardware"
    place = " ".join(part for part in (node.provider, node.region) if part)
    return f"{place}, {tier_name(node.tier, node.commitment_months)}"


def signed(cents: int, currency: str) -> str:
    """A difference of money: ``+$1,850``, ``-$320``, ``no difference``."""
    whole = math.floor(abs(cents) / 100 + 0.5)
    if not whole:
        return "less than $1 apart" if cents and currency == "USD" else ("the same price" if not cents else "< 1")
    return f"{'+' if cents > 0 else '-'}{money(abs(cents), currency)}"


def wrapped(text: str, indent: str = "  ", hang: str | None = None, style: Style = Style.PLAIN) -> Iterator[Line]:
    """Running text as lines."""
    return (Line(piece, style) for piece in paragraph(text, indent=indent, hang=hang))


def heading(title: str, problem: str, path: str) -> Iterator[Line]:
    """The first lines of a report: what it answers, about which problem, in which file."""
    return wrapped(f"{title}: {problem}  ({path})", "", "  ", Style.HEADING)


_TERMS: tuple[tuple[str, str, str], ...] = (
    ("node", r"\bnodes?\b", "one server with all its GPUs: rented or bought as a whole"),
    ("in flight", r"in flight", "requests that are being answered, or wait, at the same moment"),
    ("on demand", r"\bon demand\b", "rented by the hour without commitment"),
    ("spot", r"\bspot\b", "rented cheaply by the hour; the provider may take it back at short notice"),
    ("margin", r"safety margin", "in so many of 100 cases every promise still holds, however wrong the model is"),
    ("quality", r"quality floor", "share of its published quality that the model must keep in a smaller number format"),
    ("KV FP8", r"KV FP8", "the KV cache in 8 bits instead of 16: half the memory"),
)
"""What the reports of negotiations explain beyond the terms that every report does."""


def finished(lines: Iterable[Line]) -> str:
    """A whole report: the lines, then every term that appears in them, explained once."""
    printed = list(lines)
    text = "\n".join(line.text for line in printed)
    explained = list(terms(text))
    own = [(term, meaning) for term, mark, meaning in _TERMS if re.search(mark, text)]
    if own and not explained:
        explained.append(Line("Terms", Style.HEADING))
    explained += [Line(line, Style.QUIET) for term, meaning in own for line in labelled(term, meaning, 12)]
    printed += explained
    while printed and not printed[-1].text:
        printed.pop()
    return "\n".join(line.text for line in printed) + "\n"
