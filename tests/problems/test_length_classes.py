"""The length classes of problems/length_classes.yaml: cheaper than any single kind of GPU, by brute force too."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from optimizer.candidates.types import Candidate
from optimizer.decide import read_inputs
from optimizer.negotiate.compare import compare
from optimizer.plan.types import Optimal, Outcome
from optimizer.report import render
from optimizer.whatif.case import Case, open_case

PROBLEM = Path(__file__).parents[2] / "problems" / "length_classes.yaml"
CARDS = ("a100_sxm_80", "a10g_24", "h100_sxm_80", "l4_24")
WHOLE, SHORT, LONG = 0, 1, 2


TOP = "ranking.top=1"
Solved = Callable[..., Outcome]


@pytest.fixture(scope="module")
def outcome(solved: Solved) -> Outcome:
    return solved("length_classes")


@cache
def opened() -> Case:
    return open_case(read_inputs(PROBLEM))


def cheapest(case: Case, part: int, card: str) -> float:
    """Cents of the fewest one-GPU nodes of a card that carry a part; every replica takes one."""
    rules = case.candidates.rules
    load = rules.workloads[part].load.requests_per_second
    price = {o.node_type.gpu.id: o.monthly_cents for o in case.options if o.offer.provider == "cloud"}

    def fits(candidate: Candidate) -> bool:
        spec = candidate.spec
        point = candidate.points[0]
        limits = [promise.limit_s for promise in rules.workloads[part].slo.promises]
        return (
            (candidate.workload, spec.gpu.id, spec.weight_quant) == (part, card, "bf16")
            and candidate.node_type.gpus_per_node == spec.gpus == 1
            and candidate.recovery >= rules.workloads[part].min_recovery
            and all(value <= limit for value, limit in zip(point.latencies_s, limits, strict=True))
        )

    rates = [one.points[0].requests_per_second for one in case.candidates.candidates if fits(one)]
    return min((math.ceil(load / rate * (1 - 1e-9)) * price[card] for rate in rates), default=math.inf)


def brute_force(case: Case, cards: tuple[str, ...] = CARDS, *, split: bool = True) -> float:
    """Every card for the mix, and every pair of cards for the two classes."""
    mixed = min(cheapest(case, WHOLE, card) for card in cards)
    if not split:
        return mixed
    apart = min(cheapest(case, SHORT, one) + cheapest(case, LONG, other) for one, other in product(cards, cards))
    return min(mixed, apart)


def test_small_cards_serve_the_short_and_a_large_one_the_long(outcome: Outcome) -> None:
    assert isinstance(outcome, Optimal)
    groups = [(g.workload, g.length_class, g.class_share, g.gpu) for g in outcome.plans[0].groups]
    assert groups == [("chat/short", "short", 0.8, "l4_24"), ("chat/long", "long", 0.2, "a100_sxm_80")]


def test_the_answer_is_that_of_brute_force_with_and_without_the_permission(solved: Solved) -> None:
    case = opened()
    best = solved("length_classes", TOP, simulate=False).plans[0].monthly_cents
    whole = solved("length_classes", "workloads.chat.tokens.split_classes=no", TOP, simulate=False)
    assert best == brute_force(case)
    assert whole.plans[0].monthly_cents == brute_force(case, split=False)
    assert best < 0.6 * whole.plans[0].monthly_cents


def test_the_cost_of_each_single_kind_is_that_of_brute_force(solved: Solved) -> None:
    case = opened()
    outcome = solved("length_classes", simulate=False)
    alone = {one.gpu: one.monthly_cents for one in outcome.single_kinds}
    found = {card: brute_force(case, (card,)) for card in CARDS}
    assert alone == {card: None if math.isinf(cents) else cents for card, cents in found.items()}


def test_the_saving_against_each_single_kind_is_printed(outcome: Outcome) -> None:
    """Published savings of such splits are 33 to 77 % (Melange, arXiv 2404.14527)."""
    best = outcome.plans[0].monthly_cents
    alone = {one.gpu: one.monthly_cents for one in outcome.single_kinds}
    savings = {card: 1 - best / cents for card, cents in alone.items() if cents is not None}
    assert all(0.2 <= saving <= 0.8 for saving in savings.values()), savings
    text = render(outcome, "text")
    for card, name in (("a100_sxm_80", "A100 SXM 80GB"), ("l4_24", "L4 24GB")):
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {name} ") and "#1 saves" in line]
        assert line.endswith(f"#1 saves {savings[card] * 100:.0f} %")


def test_every_class_keeps_its_own_ttft_as_predicted_and_as_replayed(outcome: Outcome) -> None:
    for plan in outcome.plans:
        limits = {"chat/short": 0.6, "chat/long": 9.0}
        for prediction, replay in zip(plan.predicted, plan.simulated, strict=True):
            (promise,) = [one for one in prediction.promises if one.metric == "ttft"]
            assert promise.limit_s == limits[prediction.workload]
            assert replay.workload == prediction.workload and replay.kept


def test_the_report_says_who_serves_what_share(outcome: Outcome) -> None:
    text = render(outcome, "text")
    assert "chat/short (80 % of the requests): 1x L4 24GB" in text
    assert "chat/long (20 % of the requests): 1x A100 SXM 80GB" in text
    assert "the router has to send each request" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100


def test_a_group_in_json_names_its_class(outcome: Outcome) -> None:
    found = json.loads(render(outcome, "json"))
    groups = found["plans"][0]["groups"]
    assert [(g["workload"], g["length_class"], g["share"]) for g in groups] == [
        ("chat", "short", 0.8), ("chat", "long", 0.2),
    ]  # fmt: skip
    assert [g["max_model_len"] for g in groups] == [2048, 16384]
    for part in ("predicted", "simulated", "binding"):
        assert {one["length_class"] for one in found["plans"][0][part]} == {"short", "long"}
        assert {one["workload"] for one in found["plans"][0][part]} == {"chat"}
    assert {one["gpu"] for one in found["single_gpu_kinds"] if one["monthly_cost"]} == {"a100_sxm_80", "l4_24"}


def test_csv_has_a_group_for_each_class(outcome: Outcome) -> None:
    row = next(csv.DictReader(io.StringIO(render(outcome, "csv"))))
    assert row["workload"] == "chat/short; chat/long"


@pytest.mark.parametrize(
    ("edit", "dearer"),
    [
        ("workloads.chat.tokens.split_classes=no", True),
        ("workloads.chat.tokens.classes.short.slo.ttft_ms.p95=200", True),
        ("workloads.chat.tokens.classes.short.slo.ttft_ms.p95=9000", False),
        ("workloads.chat.tokens.classes.long.input=1000", False),
        ("workloads.chat.tokens.classes=null", None),
    ],
)
def test_each_key_changes_the_answer(edit: str, dearer: bool | None, solved: Solved) -> None:
    sets = [edit, TOP]
    if dearer is None:
        sets += ["workloads.chat.tokens.input=2560", "workloads.chat.tokens.output=180"]
    first, second = (solved("length_classes", *s, simulate=False).plans[0] for s in ([TOP], sets))
    assert first.groups != second.groups
    if dearer is not None:
        assert (second.monthly_cents > first.monthly_cents) == dearer


def test_a_single_pool_is_replayed_class_by_class(solved: Solved) -> None:
    outcome = solved("length_classes", "workloads.chat.tokens.split_classes=no", TOP)
    (replay,) = outcome.plans[0].simulated
    assert [(p.length_class, str(p.metric)) for p in replay.promises] == [
        ("short", "ttft"), ("short", "tpot"), ("long", "ttft"), ("long", "tpot"),
    ]  # fmt: skip
    short, _, long, _ = (promise.simulated_s for promise in replay.promises)
    assert replay.kept and short < 0.6 * long
    found = json.loads(render(outcome, "json"))
    assert [one["length_class"] for one in found["plans"][0]["predicted"][0]["promises"]] == ["short"] * 2 + [
        "long"
    ] * 2
    assert "length_class" not in found["plans"][0]["groups"][0]
    assert not outcome.single_kinds


def test_the_permission_to_split_never_costs_more() -> None:
    """Loads and promises of all kinds: a closed-form answer with the permission is at most as dear as without."""
    base = read_inputs(PROBLEM, sets=[TOP])
    helped = 0
    for share, limit in product((0.5, 0.95), (400, 3000)):
        edits = [
            f"workloads.chat.tokens.classes.short.share={share}",
            f"workloads.chat.tokens.classes.long.share={1 - share:.2f}",
            f"workloads.chat.tokens.classes.short.slo.ttft_ms.p95={limit}",
        ]
        case = open_case(base.with_sets(edits)).allowed()
        for rate in (0.5, 3, 12):
            asked = case.edited([f"workloads.chat.traffic.requests_per_second={rate}"])
            both = asked.solve().solutions
            whole = asked.only(lambda one: one.workload == WHOLE).solve().solutions
            assert both
            assert not whole or both[0].monthly_cents <= whole[0].monthly_cents
            helped += not whole or both[0].monthly_cents < whole[0].monthly_cents
    assert helped >= 4


def test_a_comparison_tells_classes_apart(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(PROBLEM.read_text().replace("input: 12000", "input: 2500"))
    found = compare(PROBLEM, other, sets=[TOP], simulate=False)
    assert [change.path for change in found.inputs] == ["workloads.chat.tokens.classes.long.input"]
    assert {change.path for change in found.plan if ": " in change.path} >= {"chat/long: gpu", "chat/long: replicas"}
    assert not any(change.path.startswith("chat/short") for change in found.plan)
    assert "workloads.chat.slo.tpot_ms.p95 (long)" in {change.path for change in found.promises}
