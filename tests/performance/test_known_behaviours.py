"""What was predicted before is looked up, and is the same to the last bit as what is asked anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from optimizer.demand import Lengths
from optimizer.performance import known_behaviours
from optimizer.performance.behaviour import behaviours
from optimizer.performance.known_behaviours import KnownBehaviours

LLAMA = "meta-llama/Llama-3.1-70B-Instruct"
CHAT = Lengths(1024, 300, 8192)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many replicas the closed form was asked about, call by call."""
    calls: list[int] = []

    def counted(specs: Any, *given: Any, **loads: Any) -> Any:
        calls.append(len(specs))
        return behaviours(specs, *given, **loads)

    monkeypatch.setattr(known_behaviours, "behaviours", counted)
    return calls


@pytest.mark.parametrize("kind", ["rates", "inflights", "users"])
def test_together_apart_and_again_are_the_same(make, params, asked, kind) -> None:
    specs = [make("h100_sxm_80", LLAMA, "fp8", tp=2), make("h200_sxm_141", LLAMA, "fp8"), make("b200_sxm_180", LLAMA)]
    loads = [0.9, 1.7, 2.5]
    more: dict[str, Any] = {"think_s": 9.0} if kind == "users" else {}
    known = KnownBehaviours()
    together = known.of(specs, CHAT, params, **{kind: loads, **more})
    apart = [behaviours([s], CHAT, params, **{kind: [at], **more})[0] for s, at in zip(specs, loads, strict=True)]
    assert together == apart
    assert known.of(specs[::-1], CHAT, params, **{kind: loads[::-1], **more}) == apart[::-1]
    assert asked == [3]


def test_only_what_is_new_is_asked(make, params, asked) -> None:
    spec, known = make("h100_sxm_80", LLAMA, "fp8", tp=2), KnownBehaviours()
    known.of([spec], CHAT, params, rates=[1.0])
    known.of([spec, spec, spec], CHAT, params, rates=[1.0, 2.0, 2.0])
    assert asked == [1, 1]


def test_what_decides_a_behaviour_tells_it_apart(make, params, asked) -> None:
    spec, known = make("h100_sxm_80", LLAMA, "fp8", tp=2), KnownBehaviours()
    first = known.of([spec], CHAT, params, rates=[1.0])
    others = [
        known.of([spec], CHAT, params, inflights=[1.0]),
        known.of([spec], replace(CHAT, output_mean=500.0), params, rates=[1.0]),
        known.of([replace(spec, max_num_batched_tokens=512)], CHAT, params, rates=[1.0]),
        known.of([spec], CHAT, params, users=[1.0], think_s=1.0),
        known.of([spec], CHAT, params, users=[1.0], think_s=20.0),
    ]
    assert asked == [1] * 6
    assert all(other != first for other in others)
    assert others[3] != others[4]
