"""Words that the negotiation reports share: a plan on one line, paths and values as a reader says them.

Which renderer an answer of the negotiation room has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import MappingProxyType

from optimizer.errors import UsageError
from optimizer.plan.types import Group, NodeLine, Plan
from optimizer.report.layout import Block, Line, Name, Passage, Say, Style, drawn, fold
from optimizer.report.words import cache_words, gpu_name, money, plural, quant_name, tier_name
from optimizer.vocabulary import Evidence, Role, Tier


def winner(plan: Plan) -> str:
    """What to get and how to run it on one line, without the price."""
    kinds = len({node.gpu for node in plan.nodes}) > 1
    return f"{hardware(plan)}; {'; '.join(setup(group, len(plan.groups) > 1, kinds) for group in plan.groups)}"


def hardware(plan: Plan) -> str:
    """``8x MI300X 192GB in 1 node``; with a day profile in the busiest period."""
    kinds: dict[str, int] = {}
    for node in plan.nodes:
        kinds[node.gpu] = kinds.get(node.gpu, 0) + node.count * node.gpus_per_node
    cards = " + ".join(f"{number}x {gpu_name(gpu)}" for gpu, number in kinds.items())
    peak = " at the peak" if plan.periods else ""
    return f"{cards} in {plural(sum(node.count for node in plan.nodes), 'node')}{peak}"


def setup(group: Group, several: bool, kinds: bool = False) -> str:
    """``FP8, KV 16-bit, TP2 x 4``; of several groups the workload (of a pool its role) first, on several kinds of GPU
    the kind last."""
    sizes = f"{group.split} x {group.replicas:,}"
    name = f"{group.workload}: " if several else ""
    name = name if group.role is Role.SERVE else f"{group.role}: "
    place = f" on {gpu_name(group.gpu)}" if kinds else ""
    return f"{name}{quant_name(group.weight_quant)}, {cache_words(group)}, {sizes}{place}"


def sources(plan: Plan) -> str:
    """Where the nodes come from and how they are paid: ``crusoe us, on demand``."""
    return "; ".join(dict.fromkeys(_source(node) for node in plan.nodes))


def _source(node: NodeLine) -> str:
    if node.tier is Tier.OWNED:
        return "your own hardware"
    place = " ".join(part for part in (node.provider, node.region) if part)
    kind = ", indicative price" if node.evidence is Evidence.INDICATIVE else ""
    return f"{place}, {tier_name(node.tier, node.commitment_months)}{kind}"


def signed(cents: int, currency: str) -> str:
    """A difference of money: ``+$1,850``, ``-$320``, ``no difference``."""
    whole = math.floor(abs(cents) / 100 + 0.5)
    if not whole:
        return "less than $1 apart" if cents and currency == "USD" else ("the same price" if not cents else "< 1")
    return f"{'+' if cents > 0 else '-'}{money(abs(cents), currency)}"


def wrapped(
    text: str | tuple[str, ...], indent: str = "  ", hang: str | None = None, style: Style = Style.PLAIN
) -> tuple[Block]:
    """Running text."""
    return (Passage(text, indent, hang, style),)


def heading(title: str, problem: str, path: str) -> tuple[Block]:
    """The first lines of a report: what it answers, about which problem, in which file."""
    return wrapped((title, Name(f": {problem}  ({path})")), "", "  ", Style.HEADING)


def not_replayed(*, replayed: bool) -> Iterator[Block]:
    """That no plan of a report was replayed, where it is so."""
    if not replayed:
        yield from wrapped("Not replayed (--no-simulate): what is said here is the closed form's word alone.")


def finished(blocks: Iterable[Block], say: Say = str) -> str:
    """A whole report: the lines, no blank one twice or last, none wider than a report but for a word that is.

    Its terms are told by ``optimize glossary``.
    """
    printed: list[Line] = []
    for line in (Line(piece, one.style) for one in drawn(blocks, say) for piece in _folded(one.text)):
        if line.text or not printed or printed[-1].text:
            printed.append(line)
    while printed and not printed[-1].text:
        printed.pop()
    return "\n".join(line.text for line in printed) + "\n"


def _folded(text: str) -> list[str]:
    """A line that is too wide goes on below, further in than it began."""
    indent = len(text) - len(text.lstrip())
    return fold(text, " " * (indent + _FURTHER)) if text else [""]


_FURTHER = 4
"""Columns by which the rest of a line that was too wide stands further in."""

_RENDERERS = MappingProxyType(
    {
        "BudgetAnswer": ("negotiate_budget", "render_budget", ("text", "json")),
        "Checked": ("check", "render_check", ("text", "json")),
        "Comparison": ("negotiate_compare", "render_comparison", ("text", "json")),
        "Confirmation": ("negotiate_confirm", "render_confirmation", ("text", "json")),
        "Explanation": ("negotiate_explain", "render_explanation", ("text", "json")),
        "Frontier": ("negotiate_frontier", "render_frontier", ("text", "json", "csv")),
        "MemoryAnswer": ("memory", "render_memory", ("text", "json")),
        "Predicted": ("predicted", "render_predicted", ("csv", "json")),
        "Targets": ("negotiate_targets", "render_targets", ("text", "json", "csv")),
        "WhyNot": ("negotiate_why_not", "render_why_not", ("text", "json")),
    }
)


def render_answer(answer: object, style: str, say: Say = str) -> str:
    """The report of an answer. Raises ``UsageError`` for a format that it does not have."""
    module, name, styles = _RENDERERS[type(answer).__name__]
    if style not in styles:
        raise UsageError(f"no report format {style!r} for this answer; there are {', '.join(styles)}")
    render = getattr(import_module(f"optimizer.report.{module}"), name)
    report = render(answer, style, say) if style == "text" else render(answer, style)
    assert isinstance(report, str)
    return report
