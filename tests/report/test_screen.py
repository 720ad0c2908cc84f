"""The first screen: never longer than a screen, never wider than a pipe, no figure that the JSON does not hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.catalog import load_catalog
from optimizer.commands import cli
from optimizer.handover.language import translator
from optimizer.plan.replayed import NOTHING_SMALLER, Fewer
from optimizer.plan.types import Binding, Minimality, OtherWinner, OtherWinners, Outcome, Plan, Relaxation
from optimizer.report import render
from optimizer.report.periods import fewer_replicas
from optimizer.report.screen import MOST_LINES, render_screen
from optimizer.report.screen_table import decisions
from optimizer.report.screen_words import PIPE, WIDEST, short_gpu
from optimizer.report.widths import columns_of
from tests.report.english import left_in_english

ROOT = Path(__file__).resolve().parents[2]
PROBLEMS = ROOT / "problems"
_FIGURE = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
_SCALES = (1.0, 100.0, 1e3, 1e-3, 1e-6, 1e6, 1 / 3600.0)


def _numbers(value: object) -> Iterator[float]:
    """Every number of a JSON document, those inside its texts included."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from (float(text.replace(",", "")) for text in _FIGURE.findall(re.sub(r"[a-z_]", " ", key)))
            yield from _numbers(item)
    elif isinstance(value, list):
        yield float(len(value))
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, str):
        yield from (float(text.replace(",", "")) for text in re.findall(r"\d[\d,]*(?:\.\d+)?", value))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield float(value)


def _stands_in(figure: str, known: list[float]) -> bool:
    """Whether a printed figure is one of the numbers, in its unit or another, as it would be rounded."""
    decimals = len(figure.partition(".")[2])
    value = float(figure.replace(",", ""))
    digits = figure.replace(",", "").replace(".", "").strip("0")
    coarse = 10 ** (len(figure.replace(",", "")) - len(digits)) if not decimals and len(digits) <= 3 else 1
    half = 0.5000001 * (10**-decimals if decimals else coarse)
    return any(abs(number * scale - value) <= half for number in known for scale in _SCALES)


def _strange(outcome: Outcome, text: str) -> list[str]:
    """Figures of the screen that the JSON holds nowhere."""
    document = json.loads(render(outcome, "json"))
    known = list(_numbers(document))
    known += [plan["load_factor"] - 1 for plan in document["plans"]]
    beside = [document[name] for name in ("at_list_prices", "best_as_published", "best_surviving_node")]
    beside += document["best_by_grade"]
    winners = [one["plan"] for one in beside if one and one["plan"]]
    known += [winner["load_factor"] - 1 for winner in winners]
    gpus = [node["count"] * node["gpus_per_node"] for plan in [*document["plans"], *winners]
            for node in plan["nodes"]]  # fmt: skip
    sizes = [
        group["tensor_parallel"] * group["pipeline_parallel"] * group["replicas"]
        for plan in document["plans"]
        for group in plan["groups"]
    ]
    counted = {MOST_LINES, 16, 0, 1, 2, 3, 9, 10, 20}  # words of the screen: 16-bit, 1y, 9 in 10, TPOT 20 % worse
    ratios = [
        quote["monthly_cost"] / document["plans"][0]["monthly_cost"] - 1
        for quote in document["quotes"]
        if document["plans"] and quote["monthly_cost"]
    ]
    ratios += [quote["wins_below"] / quote["price"] - 1 for quote in document["quotes"] if quote["wins_below"]]
    ratios += [
        stress["load_factor"] / plan["load_factor"]
        for plan in document["plans"]
        for stress in plan["stress"]
        if "load_factor" in stress
    ]
    smaller = [(one, one["fewer"]) for plan in document["plans"] for one in plan.get("minimality", ()) if one["fewer"]]
    ratios += [fewer["replayed"] * fewer["margin"] for _, fewer in smaller]
    ratios += [float(one["replicas"] - fewer["replicas"]) for one, fewer in smaller]
    known += [float(one) for one in (*gpus, *sizes, *counted)] + [abs(one) for one in ratios]
    return [figure for figure in _FIGURE.findall(text) if not _stands_in(figure, known)]


def test_every_problem_fits_a_screen_and_a_pipe(shipped: dict[str, Outcome]) -> None:
    for name, outcome in shipped.items():
        lines = render(outcome, "screen").splitlines()
        assert len(lines) <= MOST_LINES, name
        assert max(map(len, lines)) <= PIPE, name
        assert not any(line != line.rstrip() or "\xa0" in line for line in lines), name
        assert lines[0] and lines[-1], name


def test_every_problem_is_told_in_chinese(shipped: dict[str, Outcome], names: list[str]) -> None:
    say = translator("zh")
    for name, outcome in shipped.items():
        lines = render(outcome, "screen", say=say).splitlines()
        assert len(lines) <= MOST_LINES, name
        assert max(map(columns_of, lines)) <= 80, name
        nodes = [node for plan in outcome.plans for node in plan.nodes]
        own = [outcome.problem_name, *(one.workload for one in outcome.asked)]
        own += [one for node in nodes for one in (node.region, node.provider) if one]
        references = [(node.price_source or "").removeprefix("your quote ") for node in nodes]
        own += [part for one in references for part in one.split(", ") if part]
        said: list[str] = []
        render(outcome, "screen", say=lambda text, said=said: said.append(say(text)) or said[-1])  # type: ignore[misc]
        render(outcome, "text", say=lambda text, said=said: said.append(say(text)) or said[-1])  # type: ignore[misc]
        assert left_in_english("\n".join(said), names, *own) == [], name


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [PIPE, 100, WIDEST, 200])
def test_every_problem_fits_any_terminal_and_ends_with_what_to_type(
    width: int, language: str, shipped: dict[str, Outcome]
) -> None:
    say = translator(language)
    for name, outcome in shipped.items():
        lines = render_screen(outcome, width=width, file=f"problems/{name}", say=say).splitlines()
        assert len(lines) <= MOST_LINES, name
        assert max(map(columns_of, lines)) <= min(width, WIDEST), name
        steps = [line for line in lines if line.startswith(say("next"))]
        assert len(steps) == 1 and f"optimize {'explain' if outcome.plans else ''}".strip() in steps[0], name
        assert lines.index(steps[0]) >= len(lines) - 8, name
        assert "optimize glossary" in " ".join(" ".join(lines[-3:]).split()), name


def test_check_of_every_problem_is_a_line_a_fact_in_a_pipe_and_ends_with_what_to_type() -> None:
    for path in sorted(PROBLEMS.glob("*.yaml")):
        done = CliRunner().invoke(cli, ["check", str(path)])
        assert done.exit_code == 0, (path.name, done.output)
        *facts, last = done.stdout.splitlines()
        assert last.startswith("next     optimize "), path.name
        assert not any(line.startswith("   ") for line in facts), path.name  # none goes on below itself


def test_every_figure_stands_in_the_json(shipped: dict[str, Outcome]) -> None:
    for name, outcome in shipped.items():
        assert not _strange(outcome, render(outcome, "screen")), name


def test_the_check_of_figures_can_fail(shipped: dict[str, Outcome]) -> None:
    outcome = shipped["chatbot_100users.yaml"]
    assert _strange(outcome, "$4,463 a month") == ["4,463"]
    assert _strange(outcome, "TPOT p95 38.913 ms") == ["38.913"]


def test_money_of_every_row_is_that_of_the_json(shipped: dict[str, Outcome]) -> None:
    for name, outcome in shipped.items():
        document = json.loads(render(outcome, "json"))
        costs = {str(plan["rank"]): plan["monthly_cost"] for plan in document["plans"]}
        costs["list"] = (document["at_list_prices"] or {}).get("monthly_cost")
        for row, key in (("pub", "best_as_published"), ("N+1", "best_surviving_node")):
            costs[row] = ((document[key] or {}).get("plan") or {}).get("monthly_cost")
        costs |= {one["grade"]: one["plan"]["monthly_cost"] for one in document["best_by_grade"] if one["plan"]}
        shown = re.findall(
            r"^ *(\d+|list|pub|N\+1|[ABC]) +([\d,]+) ", render(outcome, "screen").split("hardware, who")[-1], re.M
        )
        assert bool(shown) is bool(outcome.plans), name
        for row, money in shown:
            assert money == f"{int(costs[row] + 0.5):,}", (name, row)
        for one in decisions(outcome) if outcome.plans else ():
            assert one.plan.monthly_cents / 100 == costs[one.name], (name, one.name)


def test_the_whole_report_of_every_problem_fits_a_pipe(shipped: dict[str, Outcome]) -> None:
    for name, outcome in shipped.items():
        lines = [line for line in render(outcome, "text").splitlines() if str(ROOT) not in line]
        assert max(map(len, lines)) <= PIPE, name


def test_hand_made_outcomes_fit_at_any_width(outcomes: dict[str, Outcome]) -> None:
    for name, outcome in outcomes.items():
        for width in (60, 72, 80, 100, 120, 300):
            lines = render_screen(outcome, width=width).splitlines()
            assert len(lines) <= MOST_LINES, (name, width)
            assert max(map(len, lines)) <= min(width, 120), (name, width)


def test_a_wider_terminal_shows_the_bands(outcomes: dict[str, Outcome]) -> None:
    narrow, wide = (render_screen(outcomes["optimal"], width=width) for width in (80, 120))
    assert "25-39" not in narrow
    assert "25-39" in wide


def test_it_says_once_that_latencies_are_not_replayed(outcomes: dict[str, Outcome]) -> None:
    assert " ".join(render(outcomes["optimal"], "screen").split()).count("not replayed") == 1


def test_long_names_and_many_rules_do_not_break_it(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["two_workloads"]
    plan = outcome.plans[0]
    nodes = tuple(replace(node, provider="a-provider-with-a-very-long-name-indeed" * 3) for node in plan.nodes)
    many = replace(
        outcome,
        plans=tuple(replace(plan, rank=rank, nodes=nodes) for rank in range(1, 11)),
        rules=tuple(f"some.rule.number{number}: [a, b, c]" for number in range(60)),
        warnings=tuple(f"warning number {number} that goes on for quite a while and then some" for number in range(30)),
        asked=tuple(replace(outcome.asked[0], workload=f"w{number}") for number in range(20)),
        problem_path="problems/" + "deep/" * 30 + "a b.yaml",
    )
    lines = render(many, "screen").splitlines()
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= PIPE


def test_rows_are_decisions_not_the_cheapest_alike(outcomes: dict[str, Outcome]) -> None:
    first = outcomes["optimal"].plans[0]

    def alike(rank: int, **changes: object) -> Plan:
        group = replace(first.groups[0], checkpoint="quantize_yourself")
        return replace(first, rank=rank, **{"groups": (group,), **changes})  # type: ignore[arg-type]

    other = replace(first.nodes[0], gpu="b200_sxm_180")
    plans = (
        alike(1, grade="C"), alike(2), alike(3), alike(4, nodes=(other,)), replace(first, rank=5), alike(6, grade="A")
    )  # fmt: skip
    others = OtherWinners(by_grade=(("A", OtherWinner(plans[5], 6)),), as_published=OtherWinner(plans[4], 5))
    rows = decisions(replace(outcomes["optimal"], plans=plans, others=others))
    assert [row.name for row in rows] == ["1", "4", "5", "6"]
    assert [row.why for row in rows] == [
        "",
        "",
        "#5: weights in the model's own format",
        "#6: cheapest of grade A",
    ]


def test_a_plan_for_the_same_money_with_more_room_has_its_row(outcomes: dict[str, Outcome]) -> None:
    first = outcomes["optimal"].plans[0]
    second = replace(first, rank=2, load_factor=first.load_factor * 1.2)
    for plan, shown in ((second, True), (replace(second, monthly_cents=first.monthly_cents + 1), False),
                        (replace(second, load_factor=first.load_factor * 1.04), False)):  # fmt: skip
        other = replace(first, rank=3, nodes=(replace(first.nodes[0], gpu="b200_sxm_180"),))
        rows = decisions(replace(outcomes["optimal"], plans=(first, plan, other)))
        assert [row.name for row in rows] == (["1", "2", "3"] if shown else ["1", "3"])


def test_the_winner_at_list_prices_has_its_row_where_it_is_another(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["optimal"]
    dearer = replace(outcome.plans[0], monthly_cents=900_000)
    other = replace(outcome, others=OtherWinners(at_list=OtherWinner(dearer)))
    assert decisions(other)[-1].name == "list"
    same = replace(outcome, others=OtherWinners(at_list=OtherWinner(outcome.plans[0], rank=1)))
    assert all(row.name != "list" for row in decisions(same))


def test_what_a_buyer_may_insist_on_has_its_row_where_it_is_another(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["optimal"]
    first = replace(outcome.plans[0], grade="B")
    native, graded = replace(first, monthly_cents=900_000), replace(first, monthly_cents=950_000, grade="A")
    others = OtherWinners(by_grade=(("A", OtherWinner(graded)), ("B", OtherWinner(first, 1))))
    both = replace(outcome, plans=(first,), others=replace(others, as_published=OtherWinner(native)))
    assert [row.name for row in decisions(both)] == ["1", "pub", "A"]
    text = render(both, "screen")
    assert "pub: weights in the model's own format" in text
    assert "A: cheapest of grade A" in text
    safe = replace(both, others=OtherWinners(surviving=OtherWinner(native)))
    assert [row.name for row in decisions(safe)] == ["1", "N+1"]
    assert "N+1: cheapest that goes on with any one node gone" in render(safe, "screen")
    same = OtherWinners(by_grade=(("B", OtherWinner(first, 1)),), as_published=OtherWinner(first, 1))
    assert [row.name for row in decisions(replace(outcome, plans=(first,), others=same))] == ["1"]


def test_the_next_command_of_an_infeasible_problem_can_be_typed(outcomes: dict[str, Outcome]) -> None:
    joined = render(outcomes["infeasible"], "screen").replace("\\\n", "")
    assert re.search(
        r"optimize problems/chatbot_100users\.yaml\s+--set workloads\.chat\.slo\.ttft_ms\.p95=240\n", joined
    )


def test_what_an_edit_changes_to_is_never_left_out(outcomes: dict[str, Outcome]) -> None:
    """A list of cards is wider than what was left beside the path, and the edit was told without it."""
    cards = ("h100_sxm_80", "h200_sxm_141", "l40s_48")
    long = Relaxation("hardware.gpus", cards, (*cards, "rtx_pro_6000_server_96"), 1_445_378)
    short = Relaxation("payment.tiers", ("on_demand",), ("on_demand", "spot"), 186_250)
    told = render(replace(outcomes["infeasible"], relaxations=(short, long)), "screen")
    assert "[on_demand] -> [on_demand, spot]" in told
    assert "rtx_pro_6000_server_96]" in told
    assert max(map(len, told.splitlines())) <= 80


def test_short_names_of_cards_stay_apart() -> None:
    gpus = load_catalog().gpus
    assert len({short_gpu(gpu) for gpu in gpus}) == len(gpus)


def test_a_mixture_is_named_with_how_it_is_split(shipped: dict[str, Outcome]) -> None:
    outcome = shipped["deepseek_company.yaml"]
    split = outcome.plans[0].groups[0].split
    assert "EP" in split
    assert split in " ".join(render(outcome, "screen").split())
    assert not re.search(r"\bTP\d", render(shipped["chatbot_100users.yaml"], "screen"))  # obvious: one GPU to a replica


def test_ranks_between_those_shown_are_accounted_for(shipped: dict[str, Outcome]) -> None:
    for name, outcome in shipped.items():
        if not outcome.plans:
            continue
        text = render(outcome, "screen")
        shown = [int(one) for one in re.findall(r"^ *(\d+) +[\d,]+ ", text.split("hardware, who")[-1], re.M)]
        told = re.findall(r"#(\d+)(?=[^;]*(?:hardware of a row above|--full))", " ".join(text.split()))
        missing = set(range(1, max(shown) + 1)) - set(shown)
        assert missing <= {int(one) for one in told}, name


def test_what_binds_is_close_to_its_limit_or_said_to_be_nothing(shipped: dict[str, Outcome]) -> None:
    outcome = shipped["chatbot_100users.yaml"]
    plan = outcome.plans[0]
    near = [replace(one, slack=0.05) for one in plan.binding]
    far = [replace(one, slack=0.4) for one in plan.binding]
    for bindings, closely in ((near, True), (far, False)):
        told = replace(outcome, plans=(replace(plan, binding=tuple(bindings)), *outcome.plans[1:]))
        line = next(line for line in render(told, "screen").splitlines() if line.startswith("binds"))
        assert line.startswith("binds    nothing closely: nearest is ") is not closely


def test_fewer_replicas_are_told_of_whom_where_groups_differ(outcomes: dict[str, Outcome]) -> None:
    plan = outcomes["two_workloads"].plans[0]
    fewer = Fewer(1, 1, "saturation", 1.0, 1.0, 0.9)
    first, second = (
        Minimality(plan.groups[0].workload, 2, None, NOTHING_SMALLER), Minimality(plan.groups[1].workload, 2, fewer)
    )  # fmt: skip
    told = fewer_replicas(replace(plan, minimality=(first, second)))
    assert told.startswith(f"{plan.groups[0].workload}: nothing smaller to buy; {plan.groups[1].workload}: 1 replica")
    assert fewer_replicas(replace(plan, minimality=(first, first))) == NOTHING_SMALLER
    same = replace(plan, groups=(plan.groups[0], replace(plan.groups[0], gpu="l4_24")), minimality=(first, second))
    assert "H200 SXM 141GB: nothing smaller to buy; L4 24GB: 1 replica fewer" in fewer_replicas(same)


def test_money_that_binds_is_the_money_of_the_plan(outcomes: dict[str, Outcome]) -> None:
    plan = replace(outcomes["optimal"].plans[0], monthly_cents=1_168_000)
    limit = Binding("budget.monthly", None, 11_680.0, 12_000.0, "USD", 320 / 12_000)
    text = " ".join(render(replace(outcomes["optimal"], plans=(replace(plan, binding=(limit,)),)), "screen").split())
    assert "11,680 of 12,000 USD" in text
