"""``--set PATH=VALUE``."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("option", "path", "expected"),
    [
        ("workloads.chat.slo.ttft_ms=1500", "workloads.chat.slo.ttft_ms", 1500),
        ("workloads.0.slo.ttft_ms={p50: 400}", "workloads.chat.slo.ttft_ms.p50", 400),
        ("workloads.chat.slo.ttft_ms.p99=3000", "workloads.chat.slo.ttft_ms.p99", 3000),
        ("hardware.limits.max_gpus=16", "hardware.limits.max_gpus", 16),
        ("hardware.gpus=[a, b]", "hardware.gpus", ("a", "b")),
        ("hardware.only_owned=NO", "hardware.only_owned", False),
        ("budget.monthly=", "budget.monthly", None),
        ("ranking.distinct_by=gpu", "ranking.distinct_by", ("gpu",)),
        (" margins . spare_nodes = 2", "margins.spare_nodes", 2),
        ("workloads.chat.model=a=b", "workloads.chat.model", "a=b"),
    ],
)
def test_a_value_is_set(load, minimal, option: str, path: str, expected: object) -> None:
    from optimizer.problem import value_at

    assert value_at(load(minimal, option), path) == expected


def test_options_apply_in_order_and_may_append(load, minimal) -> None:
    quote = "{id: q, provider: x, gpu: a, gpus_per_node: 8, price_per_hour: 9}"
    problem = load(
        minimal,
        f"offers=[{quote}]",
        "offers.q.stock=4",
        "offers.1={id: r, provider: x, gpu: a, gpus_per_node: 8, price_per_hour: 5}",
        "offers.r.stock=2",
    )
    assert [(offer.id, offer.stock) for offer in problem.offers] == [("q", 4), ("r", 2)]


@pytest.mark.parametrize(
    ("option", "message", "hint"),
    [
        ("workloads.chat.slo.ttft_ms", "needs the form PATH=VALUE", "--set workloads.chat.slo.ttft_ms=1500"),
        ("=5", "needs the form PATH=VALUE", None),
        ("a..b=5", "needs the form PATH=VALUE", None),
        ("workloads.chta.slo.ttft_ms=5", "workloads has no item 'chta'", "did you mean chat"),
        ("workloads.7.slo.ttft_ms=5", "workloads has no item '7'", "items here: chat"),
        ("workloads.chat.slo.tftt_ms=5", "unknown key 'tftt_ms'", "did you mean ttft_ms"),
        ("margin.confidence=0.5", "unknown key 'margin'", "did you mean margins"),
        ("workloads.chat.slo.tpot_ms=fast", "needs a number of milliseconds, not the text 'fast'", None),
        ("workloads.chat.slo.tpot_ms=-3", "above 0", None),
        ("workloads.chat.slo.tpot_ms=.nan", "not a finite number", None),
        ("workloads.chat.slo.tpot_ms=[", "is not a YAML value", None),
        ("workloads.chat.slo.tpot_ms=!!int 3", "tag", None),
        ("workloads.chat.model.x=1", "which has no keys inside", "replace it as a whole"),
        ("workloads.chat.tokens.context_max=100", "input + output are 1,324", None),
    ],
)
def test_a_wrong_option_is_named(refuse, minimal, option: str, message: str, hint: str | None) -> None:
    (finding,) = refuse(minimal, option)
    assert finding.file == f"--set {option}"
    assert finding.line is None
    assert message in finding.message
    assert hint is None or hint in (finding.hint or "")


def test_an_option_can_mend_the_file(load, refuse, minimal) -> None:
    broken = minimal.replace("concurrency: 100", "concurrency: many")
    refuse(broken)
    assert load(broken, "workloads.chat.traffic.concurrency=7").workloads[0].traffic.concurrency == 7
