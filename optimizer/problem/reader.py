"""From a file to a sound Problem, or to everything that is wrong with it.

``--set PATH=VALUE``: one value of the document replaced before it is checked.

What a problem may say, but probably does not mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from optimizer.demand import Metric, Slo
from optimizer.errors import Finding, ProblemError
from optimizer.files.nodes import (
    Key,
    MappingEntry,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    SourcePlace,
    plain,
    refused_paths,
    shorten,
    with_entry,
    without,
)
from optimizer.files.nodes import SequenceNode as Items
from optimizer.files.text_file import MAX_BYTES, decode, did_you_mean, read_bytes
from optimizer.files.yaml_file import parse_value, parse_yaml
from optimizer.problem.checks import COMMITMENT_MONTHS, check, is_bounded
from optimizer.problem.findings import Defect, Issue, defect_of, node_at, place_of
from optimizer.problem.histogram_file import with_histograms
from optimizer.problem.load import population_of, sessions_of, slo_of
from optimizer.problem.references import KnownIds, check_references, with_whole_ids
from optimizer.problem.schema import READ_FROM, Problem, ProblemFile, Sessions, Workload
from optimizer.problem.session_lengths import session_lengths_of
from optimizer.progress import today
from optimizer.vocabulary import KvTiers, Nvlink, Objective, Router, Tier

_ROUNDS = 6
"""Dropping a value can leave its parent incomplete; a path of the schema is at most this deep."""


_MANY_CUT = 0.1
"""Share of the sessions that may end at the longest context without a word."""


def _stand_in(value: str | int) -> ScalarNode:
    return ScalarNode(SourcePlace(""), value, str(value))


_STAND_INS: dict[str, Node] = {
    **{key: _stand_in("?") for key in ("model", "provider", "gpu", "id")},
    **{key: _stand_in(1) for key in ("input", "output", "mean", "active", "requests", "within_hours", "percent")},
    **{key: _stand_in(1) for key in ("gpus_per_node", "max_gpus")},
    **{key: _stand_in(1) for key in ("turns", "first_input", "new_input", "gap", "share", "p50_s", "p90_s")},
    "name": _stand_in("unnamed"),
    "context_max": _stand_in(2),
    "tokens": MappingNode(
        SourcePlace(""), tuple(MappingEntry(key, SourcePlace(""), _stand_in(1)) for key in ("input", "output"))
    ),
}
"""What takes the place of a required key that is missing or wrong, so that everything else is still checked."""


def load_problem(path: Path | str, *, sets: Sequence[str] = (), known: KnownIds | None = None) -> Problem:
    """Read a problem file, edit it and check everything.

    Parameters
    ----------
    path : Path or str
        A YAML 1.2 file.
    sets : sequence of str
        Edits of the problem, each ``PATH=VALUE``, such as ``workloads.chat.slo.ttft_ms=1500``.
    known : KnownIds or None
        Ids of models, GPUs, engines, providers, regions and currencies to check against; None: they are not checked.

    Returns
    -------
    Problem
        Frozen, with every default filled in; units as the keys say (docs/problem_file.md).

    Raises
    ------
    ProblemError
        With all findings, in file order.
    """
    path = Path(path)
    data = read_bytes(path)
    if isinstance(data, Finding):
        raise ProblemError([data])
    return problem_from_bytes(data, path=path, sets=sets, known=known)


def problem_from_bytes(data: bytes, *, path: Path, sets: Sequence[str] = (), known: KnownIds | None = None) -> Problem:
    """The same from bytes in hand; ``path`` names them and is where a relative config.json is looked for."""
    file = str(path)
    text = decode(data, file)
    if isinstance(text, Finding):
        raise ProblemError([text])
    root, found = _document(text, file)
    findings = list(found)
    if root is None:
        raise ProblemError(_in_order(findings))
    for option in sets:
        root, found = apply_set(root, option)
        findings += found
    root, found = with_histograms(root, path.parent)
    findings += found
    checked = _validated(root)
    findings += checked.findings
    known = known or KnownIds()
    stated = None if checked.stated is None else with_whole_ids(checked.stated, known, path.parent)
    if stated is not None:
        issues = (*check(stated), *check_references(stated, known, path.parent))
        findings += [_finding(issue, checked.root) for issue in issues if not checked.doubts(issue)]
    if findings or stated is None:
        raise ProblemError(_in_order(findings))
    warnings = tuple(warnings_of(stated, known))
    return _problem(stated, path, data, tuple(sets), warnings)


def stated_at(problem: Problem, path: tuple[Key, ...]) -> SourcePlace:
    """Where a value of a problem stands: in its file, or the option that set it; where it is not stated, what is around
    it."""
    text = decode(problem.source, problem.path)
    root = None if isinstance(text, Finding) else _document(text, problem.path)[0]
    if root is None:
        return SourcePlace(problem.path)
    for option in problem.sets:
        root, _ = apply_set(root, option)
    return place_of(root, path)


@lru_cache(maxsize=4)
def _document(text: str, file: str) -> tuple[Node | None, tuple[Finding, ...]]:
    """The document as it stands in the file, which every question asked of it under an edit begins from."""
    return parse_yaml(text, file)


def parse_problem(
    text: str, *, name: str = "problem.yaml", sets: Sequence[str] = (), known: KnownIds | None = None
) -> Problem:
    """Read a problem from YAML text in hand.

    Parameters
    ----------
    text : str
        YAML 1.2.
    name : str
        Stands for the file in findings and reports; a relative config.json is looked for beside it.
    sets : sequence of str
        Edits of the problem, each ``PATH=VALUE``, such as ``workloads.chat.slo.ttft_ms=1500``.
    known : KnownIds or None
        Ids of models, GPUs, engines, providers, regions and currencies to check against; None: they are not checked.

    Returns
    -------
    Problem
        Frozen, with every default filled in; units as the keys say (docs/problem_file.md).

    Raises
    ------
    ProblemError
        With all findings, in file order.
    """
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_BYTES:
        raise ProblemError([Finding(f"is larger than {MAX_BYTES >> 20} MiB", name)])
    return problem_from_bytes(data, path=Path(name), sets=sets, known=known)


def problem_with(problem: Problem, sets: Sequence[str], known: KnownIds | None = None) -> Problem:
    """A problem under further ``PATH=VALUE`` edits, from the bytes it was read from. Raises ``ProblemError``."""
    return problem_from_bytes(problem.source, path=Path(problem.path), sets=(*problem.sets, *sets), known=known)


@dataclass(frozen=True, slots=True)
class _Validated:
    """A document after validation: what is sound, what is not."""

    stated: ProblemFile | None
    root: Node
    findings: tuple[Finding, ...]
    refused: frozenset[tuple[Key, ...]]  # paths of what was taken out or misspelt
    shifted: frozenset[tuple[str, ...]]  # lists, without indices, that items were taken out of: those behind moved up

    def doubts(self, issue: Issue) -> bool:
        """Whether a value that the check looked at was refused itself."""
        looked_at = [self._known(path) for path in (issue.path, *issue.about)]
        refused = {self._known(path) for path in self.refused}
        return any(one[: len(other)] == other or other[: len(one)] == one for one in looked_at for other in refused)

    def _known(self, path: tuple[Key, ...]) -> tuple[Key, ...]:
        """The path without indices that may have moved."""
        steps = enumerate(path)
        return tuple(key for at, key in steps if isinstance(key, str) or _names(path[:at]) not in self.shifted)


def _validated(root: Node) -> _Validated:
    """Validate; take out what is wrong and validate the rest again, so that checks across keys still run.

    For keys that must not be absent something stands in; no check that looks at it is reported.

    Errors of later rounds only follow from what was taken out, so those of the first round are the findings.
    """
    explained = set(refused_paths(root))
    refused = set(explained)
    shifted: set[tuple[str, ...]] = set()
    findings: tuple[Finding, ...] = ()
    for round_number in range(_ROUNDS):
        try:
            return _Validated(
                ProblemFile.model_validate(plain(root)), root, findings, frozenset(refused), frozenset(shifted)
            )
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        found = [defect for defect in (defect_of(detail, root) for detail in details) if not _hollow(defect, root)]
        if round_number == 0:
            explained |= {path for defect in found for path in defect.explains if node_at(root, path) is None}
            findings = tuple(defect.finding for defect in found if not _covered(defect.location, explained))
        missing = {defect.location: defect.path for defect in found if defect.kind == "missing"}
        missing = {location: path for location, path in missing.items() if location[-1] in _STAND_INS}
        gone = frozenset(defect.path for defect in found if defect.location not in missing)
        refused |= gone | {path for defect in found for path in (defect.location, *defect.explains)}
        shifted |= {_names(path[:-1]) for path in gone if path and isinstance(path[-1], int)}
        if () in gone:
            break
        for location, path in missing.items():
            root = with_entry(root, path, str(location[-1]), _STAND_INS[str(location[-1])])
        root = without(root, gone)
    return _Validated(None, root, findings, frozenset(refused), frozenset(shifted))


def _names(path: tuple[Key, ...]) -> tuple[str, ...]:
    return tuple(key for key in path if isinstance(key, str))


def _finding(issue: Issue, root: Node) -> Finding:
    return place_of(root, issue.path).finding(issue.message, issue.hint)


def _hollow(defect: Defect, root: Node) -> bool:
    """pydantic calls a list too short when all its items are wrong; the items are reported, the list is fine. One value
    alone is a list of one."""
    node = node_at(root, defect.path)
    alone = isinstance(node, ScalarNode) and node.value is not None
    return defect.kind == "too_short" and (alone or (isinstance(node, Items) and bool(node.items)))


def _covered(path: tuple[Key, ...], explained: set[tuple[Key, ...]]) -> bool:
    """Whether a path lies in a value that a finding exists for, or is a key that was misspelt."""
    return any(path[:length] in explained for length in range(1, len(path) + 1))


def _problem(stated: ProblemFile, path: Path, data: bytes, sets: tuple[str, ...], warnings: tuple[str, ...]) -> Problem:
    values = {name: getattr(stated, name) for name in ProblemFile.model_fields}
    if "name" not in stated.model_fields_set:
        values["name"] = path.stem
    return Problem.model_construct(
        stated.model_fields_set | READ_FROM,
        **values,
        path=str(path),
        sha256=_digest(data, sets),
        warnings=warnings,
        source=data,
        sets=sets,
    )


def _digest(data: bytes, sets: Sequence[str]) -> str:
    """SHA-256 of the file, and of the edits where there are any."""
    return hashlib.sha256(b"".join([data, *(b"\0--set " + option.encode() for option in sets)])).hexdigest()


def _in_order(findings: Sequence[Finding]) -> list[Finding]:
    """File order, each finding once; those without a line last."""
    unique = dict.fromkeys(findings)
    return sorted(unique, key=lambda finding: (finding.line or 1 << 30, finding.column or 0))


class _PathError(Exception):
    """The path leads nowhere."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def apply_set(root: Node, text: str) -> tuple[Node, tuple[Finding, ...]]:
    """The document with one ``PATH=VALUE`` applied; list items are addressed by name, id or index.

    What is written here is checked with the rest of the document, so a wrong value or key is reported with the option.
    """
    option = f"--set {shorten(text, 80)}"
    path, equals, value = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        hint = "for example --set workloads.chat.slo.ttft_ms=1500"
        return root, (Finding("needs the form PATH=VALUE", option, hint=hint),)
    node, findings = parse_value(value, option)
    if node is None or findings:
        return root, findings
    try:
        return _put(root, keys, node, SourcePlace(option), ""), ()
    except _PathError as error:
        return root, (Finding(str(error), option, hint=error.hint),)


def _put(node: Node | None, keys: list[str], value: Node, place: SourcePlace, where: str) -> Node:
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    deeper = f"{where}.{key}" if where else key
    if isinstance(node, SequenceNode):
        index = _index(node, key, where)
        old = node.items[index] if index < len(node.items) else None
        items = (*node.items[:index], _put(old, rest, value, place, deeper), *node.items[index + 1 :])
        return SequenceNode(node.place, items)
    if isinstance(node, ScalarNode) and node.value is not None:
        last = ".".join(keys)
        hint = f"replace it as a whole: --set {where}={{{last}: ...}}"
        raise _PathError(f"{where} is {shorten(node.raw)!r}, which has no keys inside", hint)
    mapping = node if isinstance(node, MappingNode) else MappingNode(place, ())
    entry = mapping.get(key)
    inner = MappingEntry(
        key, entry.place if entry else place, _put(entry.value if entry else None, rest, value, place, deeper)
    )
    if entry is None:
        return MappingNode(mapping.place, (*mapping.entries, inner))
    return MappingNode(mapping.place, tuple(inner if other.key == key else other for other in mapping.entries))


def _index(node: SequenceNode, key: str, where: str) -> int:
    """Index of the list item that a step names; one past the end appends."""
    names = [_name(item) for item in node.items]
    if key in names:
        return names.index(key)
    if key.isascii() and key.isdigit() and int(key) <= len(node.items):
        return int(key)
    stated = [name for name in names if name]
    known = f"items here: {', '.join(stated)}" if stated else f"it has {len(node.items)} items, counted from 0"
    raise _PathError(f"{where} has no item {key!r}", did_you_mean(key, stated) or known)


def _name(item: Node) -> str | None:
    if not isinstance(item, MappingNode):
        return None
    for key in ("name", "id"):
        entry = item.get(key)
        if entry is not None and isinstance(entry.value, ScalarNode):
            return entry.value.raw
    return None


def warnings_of(problem: ProblemFile, known: KnownIds) -> Iterator[str]:
    """Sentences for the report, each opening with the path it is about."""
    yield from _workloads(problem)
    yield from _objective(problem)
    yield from _links(problem)
    if problem.engine.kv_tiers is not KvTiers.NONE:
        yield (
            "engine.kv_tiers: a node whose host_memory_gib no offer, quote or owned entry states keeps no KV cache in"
            " the memory of its host; nodes with other memory are other kinds, which one configuration does not mix"
        )
    yield from _tiers(problem)
    yield from _regions(problem, known)
    yield from _dates(problem, known)


def _workloads(problem: ProblemFile) -> Iterator[str]:
    for workload in problem.workloads:
        path, traffic = f"workloads.{workload.name}", workload.traffic
        thinking = population_of(workload)[0] > 0
        if traffic.users is not None and "peak_factor" not in traffic.model_fields_set:
            average = "their number as stated" if thinking else "their average rate"
            yield (
                f"{path}.traffic.users: users are not requests in flight, and without peak_factor {average} is taken"
                " as the peak"
            )
        others = [other for other in problem.workloads if other.traffic.batch is None]
        if traffic.batch is not None and others and not traffic.profile:
            yield (
                f"{path}.traffic.batch: beside online workloads nodes are paid for all hours, not for those used alone;"
                " in a file of its own, or with a profile of factor 0 while it rests, it may cost less"
            )
        if thinking and (open_parts := _unbounded(slo_of(workload))):
            yield (
                f"{path}.slo: nothing is promised about {open_parts}, so that part of an answer to users may take twice"
                " as long as for a lone request"
            )
        yield from _sessions(workload, path)
        router = Router(problem.engine.router)
        if workload.sessions is not None and router is not Router.PREFIX_AFFINITY:
            yield (
                f"engine.router: {router} deals the turns of a session to any replica, which holds an older context of"
                f" it or none, the less the more replicas there are; {Router.PREFIX_AFFINITY} keeps a session where it"
                " was, which is what predictions count on; replays go by the router"
            )
        online = traffic.batch is None and problem.objective is not Objective.MAXIMIZE_LOAD
        if online and not thinking and not slo_of(workload).promises:
            yield f"{path}.slo: no latency promise is stated, so replicas may run at 0.9 of saturation"


def _sessions(workload: Workload, path: str) -> Iterator[str]:
    """Waits that are narrower than real ones, and sessions that the longest context ends."""
    if workload.sessions is None:
        return
    if isinstance(workload.sessions.gap, float):
        yield (
            f"{path}.sessions.gap: one number is an exponential wait; real ones are far wider (p90 over p50 is 4 in"
            " chat, 8 for tools, 15 for people, not 3.3), which changes how much of a context is still held: state"
            " {p50: , p90: }"
        )
    means = sessions_of(workload)
    if means is not None and means.cut > _MANY_CUT:
        yield (
            f"{path}.tokens.context_max: {means.cut:.0%} of the sessions end there before their last turn; sessions"
            f" have {means.turns:.3g} turns on average, not {_turns_mean(workload.sessions):.3g}"
        )


def _turns_mean(sessions: Sessions) -> float:
    return session_lengths_of(sessions).turns.mean


def _unbounded(slo: Slo) -> str:
    """The parts of a response time that no promise bounds, in words; empty where all are."""
    promised = {promise.metric for promise in slo.promises}
    if Metric.E2E in promised:
        return ""
    return " and ".join(metric.value.upper() for metric in (Metric.TTFT, Metric.TPOT) if metric not in promised)


def _objective(problem: ProblemFile) -> Iterator[str]:
    if problem.objective in (Objective.MINIMIZE_TTFT, Objective.MINIMIZE_TPOT) and not is_bounded(problem):
        yield (
            f"objective: {problem.objective} without budget.monthly or a limit under hardware.limits buys GPUs for"
            " milliseconds, however many there are; state what the answer may cost"
        )


def _links(problem: ProblemFile) -> Iterator[str]:
    hardware = problem.hardware
    if hardware.nvlink is Nvlink.REQUIRED and hardware.only_owned and not any(o.nvlink for o in hardware.owned):
        yield "hardware.nvlink: required, but no owned node states nvlink: yes, so only one-GPU replicas may pass"


def _tiers(problem: ProblemFile) -> Iterator[str]:
    payment = problem.payment
    for quote in problem.offers:
        if quote.tier not in payment.tiers:
            yield f"offers.{quote.id}: its tier {quote.tier} is not in payment.tiers, so it is not used"
    most = payment.max_commitment_months
    for tier, months in COMMITMENT_MONTHS:
        if most is not None and tier in payment.tiers and months > most:
            yield f"payment.tiers: {tier} binds for {months} months, beyond max_commitment_months of {most}"
    online = any(workload.traffic.batch is None for workload in problem.workloads)
    if Tier.SPOT in payment.tiers and online:
        yield "payment.tiers: spot capacity can be taken away at any moment, also from online workloads"


def _regions(problem: ProblemFile, known: KnownIds) -> Iterator[str]:
    quoted = {quote.region for quote in problem.offers}
    unknown = [name for name in problem.hardware.regions or () if name not in known.regions and name not in quoted]
    if known.regions and unknown:
        yield f"hardware.regions: no catalog knows {', '.join(unknown)}, so only a quote that states it can stand there"


def _dates(problem: ProblemFile, known: KnownIds) -> Iterator[str]:
    """ISO days compare as text."""
    payment = problem.payment
    as_of = payment.as_of or known.newest_price_date
    if payment.fx is not None and payment.fx.date is None:
        yield "payment.fx: the exchange rates have no date"
    yield from expired_quotes(problem)
    if as_of is None:
        return
    if known.newest_price_date is not None and as_of < known.newest_price_date:
        yield f"payment.as_of: {as_of}; prices up to {known.newest_price_date} are newer than it, and are used"
    for index, discount in enumerate(payment.discounts):
        if discount.until is not None and discount.until < as_of:
            yield f"payment.discounts.{index}: held until {discount.until}, before {as_of}, so it is not applied"


def expired_quotes(problem: ProblemFile) -> Iterator[str]:
    """A sentence for each quote that no longer holds on ``payment.as_of``, or where that is not stated today."""
    held, day = problem.payment.as_of or str(today()), "" if problem.payment.as_of else ", today"
    for quote in problem.offers:
        if quote.valid_until is not None and quote.valid_until < held:
            what = f"{quote.provider}, {quote.gpus_per_node}x {quote.gpu}"
            until = f"valid until {quote.valid_until}, which is before {held}{day}"
            yield f"offers.{quote.id}: expired ({what}): {until}, so it is not ranked"
