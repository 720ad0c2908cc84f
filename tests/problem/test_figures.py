"""Every number of a problem file: what is known about it, where it is found, whatever the names of things are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from optimizer.decide import read_inputs
from optimizer.errors import UsageError
from optimizer.planning.inputs import Inputs
from optimizer.problem import load_problem
from optimizer.problem.figures import (
    Figure,
    Looser,
    Reads,
    all_figures,
    figure_of,
    figures_of,
    place_of,
    stated_promises,
    value_at,
)
from optimizer.problem.findings import all_sections
from optimizer.report.words import Names
from optimizer.whatif.axes import axis_of, resolve

ROOT = Path(__file__).resolve().parents[2]
UNITLESS = frozenset({"pue", "percentile", "rates", "compute_capability", "pcie_generation", "release_year"})
"""Counted in nothing: ratios, and numbers that name a version or a year."""

SHIPPED = sorted((ROOT / "problems").glob("*.yaml"))


def _numeric(annotation: object) -> bool:
    """Whether an annotation takes a number that stands by itself, not one of a list of choices."""
    if annotation in (int, float):
        return True
    origin = getattr(annotation, "__origin__", None)
    return origin is not tuple and any(_numeric(part) for part in get_args(annotation))


def test_every_numeric_key_of_the_schema_is_a_figure() -> None:
    """A key without a ``Number`` (or a part of one) is no figure, and is missed here."""
    figures = {(figure.keys[-1], tuple(k for k in figure.keys[:-1] if k != "*")) for figure in all_figures()}
    missed = []
    for path, section in all_sections():
        above = tuple(path.split(".")) if path else ()
        for key, field in section.model_fields.items():
            named = "*" if key == "rates" else key  # exchange rates: each currency is a key of its own
            if _numeric(field.annotation) and (named, above) not in figures:
                missed.append(f"{path}.{key}")
    assert not missed


@pytest.mark.parametrize("figure", all_figures(), ids=lambda figure: figure.path)
def test_everything_is_known_about_it(figure: Figure) -> None:
    number = figure.number
    assert number.label.strip()
    assert number.unit or number.reads is Reads.SHARE or figure.key in UNITLESS or figure.keys[-2:] == ("fx", "*")
    assert float(number.step) > 0
    assert not figure.whole or float(number.step) == int(float(number.step))
    assert isinstance(number.looser, Looser)
    assert 0 <= figure.least < figure.most
    assert number.axis is True or (isinstance(number.axis, str) and number.axis.strip())
    assert not number.promise or number.looser is not Looser.UNKNOWN, "a promise that is never looser"
    assert not number.monotone or number.looser is not Looser.UNKNOWN, (
        "no way is looser, so none is known to be cheaper"
    )


UNITS = {
    "_gb_s": "GB/s",
    "_s": "s",
    "_ms": "ms",
    "_percent": "%",
    "_months": "months",
    "_kw": "kW",
    "_gib": "GiB",
    "_w": "W",
}


@pytest.mark.parametrize("figure", all_figures(), ids=lambda figure: figure.path)
def test_the_unit_is_the_one_that_the_key_ends_in(figure: Figure) -> None:
    key = next((key for key in reversed(figure.keys) if any(key.endswith(end) for end in UNITS)), None)
    if key is not None:
        unit = next(unit for end, unit in UNITS.items() if key.endswith(end))
        assert re.match(rf"{unit}( |$)", figure.number.unit)


@pytest.mark.parametrize("name", ["chat", "traffic", "slo", "e2e_s", "ttft_ms", "tokens", "classes", "quality", "p95"])
def test_no_name_is_taken_for_a_key(name: str) -> None:
    for figure in all_figures():
        path = figure.path.replace("*", name)
        found = figure_of(path)
        assert (found.keys, found.number, found.section, found.part) == (
            figure.keys, figure.number, figure.section, figure.part,
        )  # fmt: skip
        assert set(found.names) <= {name}
        assert found.workload == (name if figure.keys[0] == "workloads" else "")


def test_the_id_of_a_quote_may_hold_dots() -> None:
    place = place_of("offers.lambda.h100.stock.stock")
    assert isinstance(place, Figure)
    assert (place.label, place.names) == ("stock of lambda.h100.stock", ("lambda.h100.stock",))


def test_what_is_no_number_keeps_its_place() -> None:
    assert place_of("hardware.gpus").section == "hardware"
    assert place_of("engine.kv_cache").key == "kv_cache"
    assert place_of("workloads.slo.tokens.split_classes").section == "tokens"
    assert place_of("workloads.slo.traffic.users").workload == "slo"
    assert place_of("flagged").keys == ("flagged",)
    with pytest.raises(KeyError):
        figure_of("hardware.gpus")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Every section that a problem may have, as far as they stand beside each other."""
    path = tmp_path_factory.mktemp("figures") / "problem.yaml"
    path.write_text("""
workloads:
  - name: traffic
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic:
      users: {active: 40, requests_per_user_per_hour: 30}
      min_replicas: 1
    tokens: {input: {mean: 500, p95: 900}, output: 200, context_max: 4096}
    slo: {ttft_ms: {p95: 1000}, tpot_ms: 60}
hardware:
  owned: [{gpu: l40s_48, gpus_per_node: 2, nodes: 1}]
  quota: [{provider: aws, max_gpus: 8}]
  custom: [{id: own_card, sibling: l40s_48}]
  limits: {max_share_per_provider: 0.9}
offers:
  - {id: my.quote, provider: aws, gpu: l40s_48, gpus_per_node: 1, price_per_hour: 2, min_nodes: 2,
     price_breaks: [{from_nodes: 4, price_per_hour: 0.9}]}
payment: {discounts: [{provider: aws, percent: 10}], fx: {CNY: 7.1}}
""")
    return read_inputs(path)


def test_every_number_is_an_axis_or_says_why_not(full: Inputs) -> None:
    names = Names(several=False, currency="USD")
    for figure, value in figures_of(full.problem):
        if figure.number.axis is not True:
            with pytest.raises(UsageError, match="is no axis: "):
                resolve(full.problem, figure.path)
            continue
        assert resolve(full.problem, figure.path) == figure
        text = names.value(figure.path, figure.least if value is None else value)
        unit = figure.number.unit.split(" ")[0][:3]
        assert unit in text or figure.number.reads is not Reads.COUNTED


@pytest.mark.parametrize(
    ("name", "span", "said"),
    [
        ("requests_per_user_per_hour", "10:20:5", "20 requests per user and hour"),
        ("active", "10:20:5", "20 users"),
        ("min_replicas", "1:4", "4 copies"),
        ("startup_minutes", "5:20:5", "20 minutes"),
        ("offers.0.price_per_hour", "1:2:0.5", "$2 an hour for a node"),
        ("nodes", "1:3", "1 node"),
        ("percent", "5:10:5", "10 %"),
        ("ttft_ms", "500:1000:100", "500 ms"),
    ],
)
def test_units_of_axes(full: Inputs, name: str, span: str, said: str) -> None:
    axis = axis_of(full, name, span)
    assert Names(several=False, currency="USD").value(axis.path, axis.values[-1]) == said
    full.with_sets([axis.edit(0)])


def test_an_axis_of_whole_numbers_takes_no_fractions(full: Inputs) -> None:
    with pytest.raises(UsageError, match="takes whole numbers"):
        axis_of(full, "min_replicas", "1:4:0.5")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_promises_can_be_written_back(path: Path) -> None:
    """Each stands where it is said to stand, and its own value is one that the key takes."""
    problem = load_problem(path)
    promises = stated_promises(problem)
    assert all(value_at(problem, promise.path) == promise.value for promise in promises)
    load_problem(path, sets=[f"{promise.path}={promise.figure.taken(promise.value)}" for promise in promises])


def test_no_path_is_searched_for_meaning() -> None:
    """Outside the module that reads paths by the schema, none is taken apart as text."""
    rooms = ("candidates", "decide", "fleet", "negotiate", "report", "verify")
    taken_apart = re.compile(
        r"\b(path|promise|change)\.(endswith|startswith|partition|rpartition|removeprefix|removesuffix)\("
        r"|\"\.?(slo|traffic|tokens|quality|classes)\.?\" in "
    )
    found = [
        f"{path.name}:{number}"
        for room in rooms
        for path in sorted((ROOT / "optimizer" / room).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if taken_apart.search(line)
    ]
    assert not found
