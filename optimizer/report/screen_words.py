"""Short words for the first screen: hardware, sellers, models, loads; and facts that know how much room they have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optimizer.plan.types import Asked, Group, LoadFloor, NodeLine, Plan
from optimizer.problem import place_of
from optimizer.report.layout import Line, Say, Style
from optimizer.report.widths import columns_of, padded, wrap
from optimizer.report.words import exact, gpu_name, plural
from optimizer.vocabulary import Evidence, Role, Tier

PIPE = 80
"""Columns on a pipe."""

WIDEST = 120
"""Columns beyond which lines only get harder to read."""

SEVERAL_SIZES = frozenset({"a100_pcie", "a100_sxm", "gh200", "h20", "v100_pcie", "v100_sxm"})
"""Cards that are sold with more than one size of memory, which their short name keeps."""

LABEL = 9
"""Columns of the label that a fact begins with."""

NBSP = "\u00a0"
"""Between words that stay on one line; printed as a blank."""

_UNIT = re.compile(r"(\d) (%|ms\b|s\b|h\b)")

_TIER = {
    Tier.ON_DEMAND: "",
    Tier.SPOT: "spot",
    Tier.RESERVED_1Y: "1y",
    Tier.RESERVED_3Y: "3y",
    Tier.PURCHASE: "bought",
    Tier.OWNED: "owned",
}
_USUAL = {Tier.RESERVED_1Y: 12, Tier.RESERVED_3Y: 36}
_EVIDENCE = {Evidence.QUOTE: "quote", Evidence.LIST: "list", Evidence.INDICATIVE: "indic."}
_FIGURES = {
    "concurrency": ("request in flight", "requests in flight"),
    "requests_per_second": ("request/s", "requests/s"),
    "output_tokens_per_second": ("output token/s", "output tokens/s"),
    "users": ("user", "users"),
    "batch": ("request a run", "requests a run"),
    "concurrent_sessions": ("session at a time", "sessions at a time"),
    "sessions_per_second": ("session/s", "sessions/s"),
}
_ORDER = ("users", "batch", "concurrent_sessions", "concurrency", "sessions_per_second")


@dataclass(frozen=True, slots=True)
class Fact:
    """One labelled sentence; ``most`` lines of it are shown. Where room is short, facts of a low ``keep`` go first."""

    label: str
    text: str
    keep: int
    most: int = 2
    style: Style = Style.PLAIN

    def lines(self, width: int, say: Say = str) -> list[Line]:
        """The fact at a width. What does not fit into its lines is told to be left out."""
        head = padded(say(self.label) if self.label else "", LABEL)
        return [Line(text, self.style) for text in cut(say(self.text), width, self.most, head, " " * LABEL)]


def cut(text: str, width: int, most: int, head: str = "", hang: str = "") -> list[str]:
    """Running text in at most so many lines; a mark at the end of the last where there were more."""
    whole = _UNIT.sub(r"\1" + NBSP + r"\2", text)
    lines = [line.replace(NBSP, " ") for line in wrap(whole, width, head, hang, break_words=True)]
    if len(lines) <= most:
        return lines
    mark = " ... (--full)"
    kept = lines[:most]
    last = kept[-1]
    while columns_of(last) + len(mark) > width and last.strip():
        last = last.rstrip().rpartition(" ")[0] if last.isascii() else last[:-1]
    return [*kept[:-1], last.rstrip(" ,;:，；：、") + mark]


def some(parts: Sequence[str], most: int, noun: str, joint: str = "; ") -> str:
    """The first few, and how many more there are."""
    rest = len(parts) - most
    shown = joint.join(parts[:most])
    return f"{shown}{joint}and {plural(rest, 'more ' + noun)}" if rest > 0 else shown


def short_gpu(gpu: str) -> str:
    """``H200 SXM``; the size of its memory stays where the card comes in several: ``A100 SXM 80GB``."""
    stem, _, size = gpu.rpartition("_")
    if stem and size.isdigit() and stem not in SEVERAL_SIZES:
        return gpu_name(gpu).rpartition(" ")[0]
    return gpu_name(gpu)


def short_model(model: str) -> str:
    """``Llama-3.1-70B-Instruct``: without its publisher; a path to a config stays whole."""
    return model if model.endswith(".json") else model.rpartition("/")[2]


def short_tier(node: NodeLine) -> str:
    """``1y``, ``spot``; nothing on demand."""
    months, usual = node.commitment_months, _USUAL.get(node.tier, 0)
    if node.tier in _USUAL and months not in (0, usual):
        return f"{months} months"
    return _TIER[node.tier]


def hardware(plan: Plan) -> str:
    """``8x H100 SXM qubrid 1y``; kinds and sellers are joined by ``+``, idle and spare ones are told. How a mixture's
    replica is split follows where it is by attention ranks or dealt experts, or drafts: ``16x B300 SXM verda DP4 EP4``,
    ``1x B200 SXM verda MTP2``. Of pools
    on one line of nodes the GPUs of each, prefill first: ``4+4x H100 SXM qubrid``; on several who does what."""
    if not plan.has_pools:
        split = _told_of(plan.groups[0]) if len(plan.groups) == 1 else ""
        return " + ".join(of_node(node) for node in plan.nodes) + (f" {split}" if split else "")
    sizes = {group.role: group.gpus * group.replicas for group in plan.groups}
    if len(plan.nodes) == 1:
        return of_node(plan.nodes[0], f"{sizes[Role.PREFILL]:,}+{sizes[Role.DECODE]:,}")
    return " + ".join(f"{of_node(node)}{_roles_on(node, plan)}" for node in plan.nodes)


def _told_of(group: Group) -> str:
    if group.attention_dp > 1 or group.expert_parallel > 1:
        return group.split
    return group.drafts.words if group.drafts else ""


def _roles_on(node: NodeLine, plan: Plan) -> str:
    """Which pools stand on the nodes of a line."""
    kind = (node.gpu, node.gpus_per_node, node.link)
    roles = [str(one.role) for one in plan.groups if (one.gpu, one.gpus_per_node, one.link) == kind]
    return f" {'+'.join(roles)}" if roles else ""


def of_node(node: NodeLine, gpus: str = "") -> str:
    """The nodes of one line; ``gpus`` in place of their number."""
    name = f"{gpus or format(node.count * node.gpus_per_node, ',')}x {short_gpu(node.gpu)}"
    words = [name, "" if node.tier is Tier.OWNED else node.provider, short_tier(node)]
    aside = [f"{node.idle_beside_spares} idle"] if node.idle_beside_spares else []
    aside += [f"{node.spare} spare"] if node.spare else []
    return " ".join(word for word in words if word) + (f" ({', '.join(aside)})" if aside else "")


def evidence(plan: Plan) -> str:
    """The weakest class among its prices, shortened."""
    return "own" if plan.price_evidence is None else _EVIDENCE.get(plan.price_evidence, str(plan.price_evidence))


def stated_load(asked: Asked) -> list[str]:
    """The figures that decide the load, as the file states them: people first, then what is in flight, then rates."""
    winners = sorted((floor for floor in asked.floors if floor.wins), key=_place)
    return [_figure(floor, asked) for floor in winners]


def _key(floor: LoadFloor) -> str:
    keys = place_of(floor.path).keys
    return keys[3] if len(keys) > 3 else keys[-1]


def _place(floor: LoadFloor) -> int:
    key = _key(floor)
    return _ORDER.index(key) if key in _ORDER else len(_ORDER)


def _figure(floor: LoadFloor, asked: Asked) -> str:
    one, more = _FIGURES.get(_key(floor), (_key(floor).replace("_", " "),) * 2)
    return f"{exact(floor.stated)} {one if floor.stated == 1 else more}"


def between(first: str, last: str) -> str:
    """``2026-05-24 to 2026-11-09``; one day alone."""
    return first if first == last else f"{first} to {last}"


def joined(parts: Iterable[str]) -> str:
    """``a, b and c``."""
    listed = [part for part in parts if part]
    return listed[0] if len(listed) == 1 else " and ".join([", ".join(listed[:-1]), listed[-1]]) if listed else ""
