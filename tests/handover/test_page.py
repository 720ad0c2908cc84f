"""The report page: self-contained, well-formed, readable without colour or sight, whatever the names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from optimizer.decide.solve import decide
from optimizer.handover.language import translator
from optimizer.handover.page import charts, render_page
from optimizer.handover.page.charts import frontier_of
from optimizer.negotiate import page_curves
from optimizer.negotiate.page_curves import Picture, Point, Stair, Turn, picture_of
from optimizer.plan.types import Outcome
from optimizer.planning.inputs import read_inputs
from optimizer.report.screen_facts import asked, held_up, sentence
from optimizer.report.screen_table import decisions
from optimizer.report.screen_words import NBSP
from optimizer.report.seen import seen
from optimizer.whatif.case import open_case

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden" / "report.html"
VOID = {"meta", "br", "img", "link", "hr", "input"}


def _point(cents: int, ttft_s: float, tokens: float, workload: str = "chat") -> Point:
    return Point(workload, "h200_sxm_141", "fp8", "auto", 2, "TP2", 2, 1, cents, ttft_s, tokens)


PICTURE = Picture(
    points=(
        _point(1_000_000, 0.7, 2100.0),
        _point(1_200_000, 0.4, 2500.0),
        _point(1_300_000, 0.5, 2400.0),
        _point(90_000_000, 0.3, 9000.0),
    ),
    stairs=(Stair(1.0, 1_000_000), Stair(1.5, 1_200_000), Stair(2.0, None)),
    turns=(
        Turn("workloads.chat.slo.ttft_ms.p95", 1000.0, 500.0, 1_300_000),
        Turn("workloads.chat.slo.ttft_ms.p95", 1000.0, 2000.0, 1_000_000),
        Turn("margins.confidence", 0.9, 0.95, None),
    ),
)


class _Page(HTMLParser):
    """What a page holds, and whether its elements nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids[value or ""] += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="session")
def page(outcome: Outcome) -> str:
    """The page of the hand-made outcome."""
    return render_page(outcome, PICTURE)


def _check(text: str) -> _Page:
    page = _Page(text)
    assert max(page.ids.values()) == 1
    assert not {"script", "iframe", "object", "link", "img", "form", "base"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("href", "xlink:href", "src", "aria-labelledby"):
            for target in value.replace("#", " ").split():
                assert target in page.ids, (tag, name, value)
    assert not re.search(r"url\((?!#)", text)
    assert not re.search(r"@import|https?://(?!www\.w3\.org)", text)
    return page


def test_page_is_self_contained_and_well_formed(page: str) -> None:
    found = _check(page)
    assert found.tags["svg"] == 7
    assert "Content-Security-Policy" in page
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_page_says_what_was_found(page: str) -> None:
    text = " ".join(_Page(page).text.split())
    assert "4x H200" in text or "8x H200" in text
    assert "1 dearer ones are off the chart." in text
    assert "nothing keeps every promise" in text
    assert "1.04" in text  # simulated / predicted TTFT
    assert "vllm bench serve" in text


KEY = re.compile(r"\b(?:workloads|margins|hardware|engine|quality|slo)\.[a-z_]+[.a-z_0-9]*")


def test_the_page_opens_as_the_terminal_does(outcome: Outcome, page: str) -> None:
    """The sentence, the question in words and what the answer rests on are those of the first screen, uncut."""
    text = " ".join(_Page(page).text.split())
    facts = [*asked(outcome), *held_up(outcome, decisions(outcome))]
    for words in (
        "".join(sentence(outcome)),
        *(one.text for one in facts if one.label in ("asked", "trust", "proven")),
    ):
        assert " ".join(words.replace(NBSP, " ").split()) in text
    assert text.index("a month") < text.index("The question") < text.index("Ranking")


def test_a_reader_meets_no_key_of_the_file(page: str) -> None:
    """Keys stand where they are to be typed, nowhere else; the file goes by its name, not by where it lies."""
    answer = page[: page.index('id="h-confirm"')]
    assert KEY.findall(re.sub(r"<desc.*?</desc>", "", answer)) == []
    assert "TTFT p95 500 ms" in answer  # a bar of what each promise costs


def test_the_ranking_shows_what_was_replayed(outcome: Outcome, page: str) -> None:
    plan = outcome.plans[0]
    replayed = [one for one in seen(plan) if one.limit_s is not None]
    assert any(one.value_s != one.estimate_s for one in replayed)
    row = re.findall(r"<tr><td data-label=\"rank\">.*?</tr>", page)[0]
    for one in replayed:
        assert f"{one.title} {one.of().split(NBSP)[0]} / " in row


def test_notes_have_their_number(outcome: Outcome, page: str) -> None:
    notes = re.findall(r"<li>(.*?)</li>", page)
    assert len(notes) == len({note for plan in outcome.plans for note in plan.notes})
    told = re.findall(r'data-label="notes">([^<]*)<', page)
    for plan, numbers in zip(outcome.plans, told, strict=True):
        assert [notes[int(number) - 1] for number in numbers.split(", ") if number] == list(dict.fromkeys(plan.notes))


def test_nothing_is_off_a_narrow_screen(page: str) -> None:
    """At 390 px every table is a list of its cells, each with its head, and no drawing has a least width."""
    narrow = page[page.index("@media screen and (max-width: 40rem)") :]
    narrow = narrow[: narrow.index("@media print")]
    assert "td { display: grid" in narrow and "attr(data-label)" in narrow
    assert ".chart { min-width: 0; }" in narrow
    for table in re.findall(r"<table>.*?</table>", page, re.DOTALL):
        assert len(re.findall(r"<td", table)) == len(re.findall(r"<td data-label=", table))


def test_points_of_the_frontier_have_the_numbers_of_their_table(page: str) -> None:
    chart = page[page.index('id="h-chart1"') : page.index('id="h-chart2"')]
    drawing, table = chart.split("</svg>")
    labels = [text for text in re.findall(r"<text[^>]*>([^<]+)</text>", drawing) if "bold" in text or text.isdigit()]
    numbers = re.findall(r'data-label="#">(\d+)<', table)
    assert numbers == ["1", "2", "3"]
    assert set(numbers[:2]) <= set(labels)  # the third is dearer than what is drawn


def test_every_chart_has_a_name_a_description_and_a_table(page: str) -> None:
    drawings = re.findall(r"<figure.*?</details>", page, re.DOTALL)
    assert len(drawings) == 7
    for drawing in drawings:
        assert 'role="img"' in drawing
        assert re.search(r"<title [^>]*>[^<]+</title><desc [^>]*>[^<]+</desc>", drawing)
        assert "<table" in drawing
        assert "#0" not in re.sub(r'href="#[^"]*"|url\(#[^)]*\)', "", drawing)


def test_every_table_has_heads_and_a_caption(page: str) -> None:
    for table in re.findall(r"<table.*?</table>", page, re.DOTALL):
        assert "<caption" in table
        heads = len(re.findall(r"<th ", table))
        rows = [len(re.findall(r"<td ", row)) for row in re.findall(r"<tr>(?!<th)(.*?)</tr>", table, re.DOTALL)]
        assert set(rows) == {heads}


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast(scheme: int, page: str) -> None:
    """WCAG: 4.5 for text, 3 for graphics."""
    block = re.findall(r":root \{([^}]*--page[^}]*)\}", page)[scheme]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    for ink, ground, least in (
        ("ink", "page", 4.5), ("muted", "page", 4.5), ("accent", "page", 4.5), ("ink", "panel", 4.5),
        ("second", "page", 3), ("third", "page", 3), ("fourth", "page", 3),
    ):  # fmt: skip
        high, low = sorted((_luminance(colours[ink]), _luminance(colours[ground])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= least, (ink, ground)


def test_hostile_names_are_text(hostile: Outcome, page: str) -> None:
    name = hostile.plans[0].groups[0].workload
    points = tuple(replace(point, workload=name) for point in PICTURE.points)
    text = render_page(hostile, replace(PICTURE, points=points))
    found = _check(text)
    assert found.tags == _Page(page).tags
    assert all(char.isprintable() or char == "\n" for char in text)


def test_infeasible(infeasible: Outcome) -> None:
    text = _Page(render_page(infeasible, None)).text
    assert "No deployment keeps every promise" in text
    assert "budget.monthly: 1000 -> 15000" in text


def test_same_bytes(outcome: Outcome, page: str) -> None:
    assert render_page(outcome, PICTURE) == page


def test_golden_without_drawings(page: str) -> None:
    """Drawings differ between versions of matplotlib. Set UPDATE_GOLDEN=1 to write it anew."""
    text = re.sub(r"<svg.*?</svg>", "<svg></svg>", page, flags=re.DOTALL)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert GOLDEN.read_text(encoding="utf-8") == text


def test_chinese_page(outcome: Outcome) -> None:
    text = render_page(outcome, PICTURE, translator("zh"), "zh")
    assert _check(text).tags["svg"] == 7
    assert 'lang="zh-CN"' in text


def test_frontier_keeps_what_nothing_beats() -> None:
    frontier = frontier_of(PICTURE.points, lambda point: point.ttft_p95_s)
    assert [point.monthly_cents for point in frontier] == [1_000_000, 1_200_000, 90_000_000]


def test_picture_agrees_with_the_answer() -> None:
    """Drawn alone, the cheapest configuration of one workload is the plan that the solver proves."""
    inputs = read_inputs(ROOT / "problems" / "chatbot_100users.yaml")
    outcome, picture = decide(inputs), picture_of(open_case(inputs))
    best = outcome.plans[0]
    assert min(point.monthly_cents for point in picture.points) == best.monthly_cents
    costs = [stair.monthly_cents for stair in picture.stairs]
    assert costs[0] == best.monthly_cents
    known = [cents for cents in costs if cents is not None]
    assert known == sorted(known)
    assert costs == [*known, *[None] * (len(costs) - len(known))]


def _costs(steps: dict[float, int | None]) -> Callable[[object, Sequence[str]], int | None]:
    """The cheapest cost by load: that of the last step at or below it."""

    def cost(_: object, sets: Sequence[str]) -> int | None:
        load = 1 + float(sets[0].partition("=")[2])
        return [cents for begin, cents in steps.items() if begin <= load + 1e-9][-1]

    return cost


def test_every_step_of_the_load_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps between what was asked first, two of them close together, and where nothing keeps every promise."""
    workload = SimpleNamespace(sessions=None, traffic=SimpleNamespace(users=None))
    problem = SimpleNamespace(
        objective="minimize_cost", margins=SimpleNamespace(load_headroom=0.0), workloads=(workload,)
    )
    case = SimpleNamespace(inputs=SimpleNamespace(problem=problem))
    monkeypatch.setattr(page_curves, "_cost", _costs({1: 100, 1.31: 200, 1.33: 300, 2.6: None}))
    stairs = list(page_curves._stairs(case))  # type: ignore[arg-type]
    told = [(first.factor, last.factor, first.monthly_cents) for first, last in charts.stretches(stairs)]
    assert told == [(1, 1.3, 100), (1.31, 1.32, 200), (1.33, 2.59, 300), (2.6, 4, None)]
    assert charts.is_exact(stairs)
    monkeypatch.setattr(page_curves, "_cost", _costs({1 + n / 100: n for n in range(301)}))
    stairs = list(page_curves._stairs(case))  # type: ignore[arg-type]
    assert len(stairs) == page_curves.MOST_LOADS
    assert not charts.is_exact(stairs)
    workload.sessions = object()  # replayed for minutes each
    assert len(list(page_curves._stairs(case))) == len(page_curves.LOADS)  # type: ignore[arg-type]


def test_replay_is_drawn_from_the_replay_that_the_plan_passed(page: str) -> None:
    """Latencies with their limit, queue and cache over time; the figures stand in a table, the peaks in the text."""
    text = " ".join(_Page(page).text.split())
    for words in ("How latencies are spread in the replay", "Queue and KV cache over time in the replay"):
        assert words in text
    section = page[page.index('id="h-replay"') :]
    assert "TTFT: p50 500 ms, p90 740 ms, p95 770 ms, p99 794 ms (p95 &lt;= 1 s)" in section
    assert "waiting: 7; being served: 90; KV cache of the fullest copy: 62 %" in section
    assert "950 ms" in section  # with the margin


def test_nothing_is_drawn_that_was_not_replayed(outcome: Outcome) -> None:
    plans = tuple(replace(plan, simulated=()) for plan in outcome.plans)
    text = render_page(replace(outcome, plans=plans), PICTURE)
    assert _check(text).tags["svg"] == 5
    assert "Not simulated in this run." in text


def test_the_footage_of_a_solved_problem_agrees_with_its_replay() -> None:
    sets = ["hardware.gpus=[h100_sxm_80]", "ranking.top=2"]
    first, second = decide(read_inputs(ROOT / "problems" / "chatbot_100users.yaml", sets=sets)).plans
    (replay,) = first.simulated
    shown = replay.footage
    assert shown is not None and second.simulated[0].footage is None
    for promise in replay.promises:
        seconds = shown.ttft_s if promise.metric == "ttft" else shown.tpot_s
        at = seconds[shown.percentiles.index(promise.percentile)]
        assert at == pytest.approx(promise.simulated_s)
        assert list(seconds) == sorted(seconds)
    assert len(shown.seconds) == len(shown.waiting) == len(shown.running) == len(shown.kv_share) == 240
    assert 0 < max(shown.kv_share) <= 1
    mean = sum(shown.running) / len(shown.running)  # Little's law: the stated rate times the time in service
    asked = 2000 / 300 * (replay.e2e_s.mean - replay.ttft_ms.mean / 1e3)
    assert mean == pytest.approx(asked, rel=0.25)
