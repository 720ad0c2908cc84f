"""Ways out of an infeasible problem, phrased as edits of its file: paths and values that ``--set`` takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from optimizer.demand import Metric, Promise
from optimizer.fleet.candidate_set import CandidateSet
from optimizer.fleet.constraints_nodes import owned_path
from optimizer.fleet.constraints_service import quality_path_of
from optimizer.fleet.lower_bounds import DEMAND
from optimizer.fleet.relaxation import FLAGGED, WayOut, ways_out
from optimizer.fleet.types import Edit, SolveSettings
from optimizer.pricing.types import NodeOption, Origin
from optimizer.problem import figure_of, place_of
from optimizer.units import CENTS_PER_UNIT

if TYPE_CHECKING:
    from optimizer.problem import Problem

_ORDER = (
    "slo",
    "budget",
    "limits",
    "quota",
    "owned",
    "payment",
    "engine",
    "quality",
    "ranking",
    "hardware",
    "margins",
    "traffic",
)
"""Kinds of edits, from the most to the least useful: a promise a little looser before less load."""


def edits_of(
    problem: Problem, candidate_set: CandidateSet, options: Sequence[NodeOption], settings: SolveSettings
) -> tuple[Edit, ...]:
    """Every single change that makes a plan possible; where there is none, the smallest sets of changes."""
    ways = ways_out(candidate_set, options, settings)
    writer = _Writer(problem, candidate_set, options)
    edits = [writer.edit(way) for way in ways]
    edits.sort(key=lambda edit: (_kind(edit.path), edit.path))
    confidence = problem.margins.confidence
    if candidate_set.note and confidence > 0.5:
        edits.append(Edit("margins.confidence", confidence, 0.5))
    return tuple(edits)


def _kind(path: str) -> int:
    keys = place_of(path).keys
    return next((number for number, word in enumerate(_ORDER) if word in keys), len(_ORDER))


def rounded_up(value: float, digits: int = 2) -> float:
    """A limit rounded up to so many significant digits; whole numbers as such."""
    return _rounded(value, digits, math.ceil)


def rounded_down(value: float, digits: int = 2) -> float:
    """A demand rounded down to so many significant digits; whole numbers as such."""
    return _rounded(value, digits, math.floor)


def _rounded(value: float, digits: int, step: Callable[[float], int]) -> float:
    if value == 0:
        return 0
    places = digits - 1 - math.floor(math.log10(abs(value)))
    unit = 10.0**places
    guard = 1 - 1e-9 if step is math.ceil else 1 + 1e-9
    result = round(step(value * unit * guard) / unit, max(0, places))
    return int(result) if result == int(result) else result


class _Writer:
    """Turns the rules that a way out gives up into edits of one problem."""

    def __init__(self, problem: Problem, candidate_set: CandidateSet, options: Sequence[NodeOption]) -> None:
        self._problem = problem
        self._rules = candidate_set.rules
        self._promises: dict[str, Promise] = {
            promise.path: promise for asked in self._rules.workloads for promise in asked.slo.promises
        }
        owned = [option.offer.id for option in options if option.origin is Origin.OWNED]
        self._owned = {owned_path(offer): offer for offer in owned}

    def edit(self, way: WayOut) -> Edit:
        """The edits of one way out: the first, and what must go with it."""
        made = [self._one(path, way) for path in way.paths]
        made.sort(key=lambda edit: (_kind(edit.path), edit.path))
        first, rest = made[0], tuple(made[1:])
        return Edit(first.path, first.before, first.after, rest)

    def _one(self, path: str, way: WayOut) -> Edit:
        excess = way.excess.get(path, 0)
        if path in self._promises:
            return self._promise(path, excess)
        if path in self._owned:
            return self._more_owned(path, excess)
        section = place_of(path).section
        if section == "traffic":
            return self._traffic(path, excess)
        if section in ("hardware.limits", "hardware.quota"):
            return self._limit(path, excess)
        return self._choice(path, way)

    def _traffic(self, path: str, excess: int) -> Edit:
        """Less load, in parts of the demand; or fewer copies, counted."""
        figure, stated = figure_of(path), self._stated(path)
        number = float(str(stated))
        less = number - excess if figure.whole else rounded_down(number * (1 - excess / DEMAND), 3)
        return Edit(path, stated, figure.taken(less))

    def _choice(self, path: str, way: WayOut) -> Edit:
        section = place_of(path).section
        if section == "engine":
            return self._engine(path, way)
        if section == "payment":
            return self._payment(path, way)
        if section == "quality":
            return self._quality(path, way)
        if section == "ranking":
            return Edit(path, self._stated(path), max(str(slot.candidate.grade) for slot in way.slots))
        if path in (FLAGGED, "hardware.gpus"):
            return self._gpus(way)
        return self._switch(path, way)

    def _promise(self, path: str, excess_us: int) -> Edit:
        promise = self._promises[path]
        seconds = promise.limit_s + excess_us / 1e6
        figure = figure_of(path)
        if figure.is_speed:
            return Edit(path, self._stated(path), rounded_down(1 / seconds))
        unit = 1.0 if promise.metric is Metric.E2E else 1e3
        return Edit(path, self._stated(path), rounded_up(seconds * unit))

    def _limit(self, path: str, excess: int) -> Edit:
        stated = self._stated(path)
        number = float(str(stated))
        if place_of(path).key == "max_power_kw":
            return Edit(path, stated, math.ceil(number * 10 + excess / 100) / 10)
        return Edit(path, stated, int(number) + excess)

    def _more_owned(self, path: str, excess: int) -> Edit:
        number = self._owned_index(self._owned[path])
        yaml_path = f"hardware.owned.{number}.nodes"
        nodes = self._problem.hardware.owned[number].nodes
        return Edit(yaml_path, nodes, nodes + excess)

    def _owned_index(self, offer: str) -> int:
        seen: dict[str, int] = {}
        for number, entry in enumerate(self._problem.hardware.owned):
            stem = f"owned-{entry.gpus_per_node}x-{entry.gpu}"
            seen[stem] = seen.get(stem, 0) + 1
            if offer == (stem if seen[stem] == 1 else f"{stem}-{seen[stem]}"):
                return number
        raise KeyError(offer)

    def _engine(self, path: str, way: WayOut) -> Edit:
        specs = [slot.candidate.spec for slot in way.slots]
        attribute = place_of(path).key
        if attribute == "expert_parallel":
            return Edit(path, str(self._problem.engine.expert_parallel), "any")
        stated = list(getattr(self._problem.engine, attribute))
        return Edit(path, stated, _with(stated, [getattr(spec, attribute) for spec in specs]))

    def _quality(self, path: str, way: WayOut) -> Edit:
        asked = self._rules.workloads
        kept = min(s.candidate.recovery for s in way.slots if path == quality_path_of(asked[s.workload]))
        return Edit(path, self._stated(path), math.floor(kept * 1000 + 1e-6) / 1000)

    def _switch(self, path: str, way: WayOut) -> Edit:
        after = {
            "budget.monthly": -(-way.cents // CENTS_PER_UNIT),
            "margins.spare_nodes": 0,
            "margins.survive": "none",
            "hardware.only_owned": False,
            "hardware.nvlink": "any",
        }
        stated = self._stated(path)
        return Edit(path, str(stated) if isinstance(stated, str) else stated, after[path])

    def _payment(self, path: str, way: WayOut) -> Edit:
        payment = self._problem.payment
        if path == "payment.max_commitment_months":
            longest = max(option.commitment_months for option in way.options)
            return Edit(path, payment.max_commitment_months, longest)
        if path == "payment.price_evidence":
            evidence = [str(kind) for kind in payment.price_evidence]
            return Edit(path, evidence, _with(evidence, [str(option.evidence) for option in _rented(way)]))
        tiers = [str(tier) for tier in payment.tiers]
        return Edit(path, tiers, _with(tiers, [str(option.tier) for option in _rented(way)]))

    def _gpus(self, way: WayOut) -> Edit:
        cards = [slot.node_type.gpu.id for slot in way.slots]
        stated, excluded = self._rules.options.gpus, list(self._rules.options.excluded_gpus)
        if stated is not None:
            return Edit("hardware.gpus", list(stated), _with(list(stated), cards))
        if excluded and set(cards) & set(excluded):
            left = [card for card in excluded if card not in cards]
            return Edit("hardware.gpus", {"exclude": excluded}, {"exclude": left} if left else None)
        return Edit("hardware.gpus", {"exclude": excluded} if excluded else None, sorted(set(cards)))

    def _stated(self, path: str) -> object:
        from optimizer.problem import value_at

        return value_at(self._problem, path)


def _rented(way: WayOut) -> list[NodeOption]:
    return [option for option in way.options if option.origin is not Origin.OWNED]


def _with(stated: list[Any], more: Sequence[Any]) -> list[Any]:
    return [*stated, *sorted({item for item in more if item not in stated}, key=str)]
