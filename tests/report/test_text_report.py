"""Properties of the text report beyond its golden files: width, colour, wording."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from optimizer.plan.types import Outcome
from optimizer.report import render, write_output
from optimizer.report.glossary import glossary
from optimizer.report.screen import wants_colour


def test_fits_80_columns_without_escape_codes(outcomes: dict[str, Outcome]) -> None:
    for outcome in outcomes.values():
        text = render(outcome, "text")
        assert max(len(line) for line in text.splitlines()) <= 80
        assert "\x1b" not in text
        assert not any(line != line.rstrip() for line in text.splitlines())


def test_long_names_stay_inside_80_columns(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["optimal"]
    plan = outcome.plans[0]
    node = replace(plan.nodes[0], provider="a-provider-with-a-long-name", instance_type="standard-nd96isr-h200-v5-long")
    text = render(replace(outcome, plans=(replace(plan, nodes=(node,)),)), "text")
    assert max(len(line) for line in text.splitlines()) <= 80


def test_colour_only_on_a_terminal_that_wants_it(outcomes: dict[str, Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = render(outcomes["optimal"], "text", terminal=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render(outcomes["optimal"], "text")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour()
    assert "\x1b" not in render(outcomes["optimal"], "text", terminal=True)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour()


def test_never_says_proven_without_saying_of_what(outcomes: dict[str, Outcome]) -> None:
    text = " ".join(render(outcomes["optimal"], "text").split())
    assert (
        "proven: #1 is the cheapest among the 1,458 configurations enumerated, under performance model 2026-11 "
        "and prices from 2026-02-01 to 2026-08-03" in text
    )
    assert "#1 is grade B" in text
    assert "vllm bench serve" in text


def test_unproven_plan_shows_its_gap_and_is_not_called_proven(outcomes: dict[str, Outcome]) -> None:
    text = " ".join(render(outcomes["feasible"], "text").split())
    assert "not proven: #1 is the cheapest found so far, with a gap of at most 3 %" in text
    assert "arithmetic proven" not in text


def test_infeasible_comes_with_a_way_out(outcomes: dict[str, Outcome]) -> None:
    text = render(outcomes["infeasible"], "text")
    assert re.search(r"workloads\.chat\.slo\.ttft_ms\.p95 +100 -> 240 ms +then from \$9,300/mo", text)
    assert re.search(r"hardware\.limits\.max_gpus +2 -> 4 .*\n +and budget\.monthly +8000 -> 8420", text)
    assert "infeasible" not in text.lower()


def test_ties_are_marked(outcomes: dict[str, Outcome]) -> None:
    assert "tie with #1" in render(outcomes["optimal"], "text")


def test_terms_stand_in_the_glossary_alone(outcomes: dict[str, Outcome]) -> None:
    for style in ("screen", "text"):
        assert "time to first token" not in render(outcomes["optimal"], style)
    assert any("time to first token" in line for line in glossary(["ttft"]))
    assert not list(glossary(["no such term"]))


def test_stdout_that_cannot_print_a_character_gets_an_escape(
    outcomes: dict[str, Outcome], capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    write_output(render(outcomes["cny"], "text"), None)
    assert raw.getvalue().startswith(b"=\\u667a")
