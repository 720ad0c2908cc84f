"""Load, promises and lengths, against hand calculations."""

from __future__ import annotations

import pytest

from optimizer.demand import KvSizing, Lengths, Metric
from optimizer.problem import lengths_of, load_of, parts_of, rate_floors, slo_of, stated_promises, value_at


def traffic(minimal: str, lines: str) -> str:
    return minimal.replace("concurrency: 100", lines)


@pytest.mark.parametrize(
    ("lines", "rate", "inflight", "decided_by"),
    [
        ("concurrency: 100", 0, 100, "concurrency"),
        ("requests_per_second: 4", 4, 0, "requests_per_second"),
        ("output_tokens_per_second: 2000", 2000 / 300, 0, "output_tokens_per_second"),
        ("users: {active: 500, requests_per_user_per_hour: 36}", 5, 0, "users"),
        ("users: {active: 500, think_time_s: 100}", 0, 0, "users"),
        ("{concurrency: 9, users: {active: 500, think_time_s: 100}}", 0, 9, "users"),
        ("{requests_per_second: 7, output_tokens_per_second: 2000, concurrency: 9}", 7, 9, "requests_per_second"),
        ("{requests_per_second: 6, output_tokens_per_second: 2000}", 2000 / 300, 0, "output_tokens_per_second"),
        ("{requests_per_second: 6, peak_factor: 1.5, concurrency: 10}", 9, 15, "requests_per_second"),
        ("{concurrency: 10, peak_factor: 3}", 0, 30, "concurrency"),
        ("{requests_per_second: 5, users: {active: 500, think_time_s: 100}}", 5, 0, "requests_per_second"),
    ],
)
def test_the_largest_floor_counts(load, minimal, lines, rate, inflight, decided_by) -> None:
    inline = lines.startswith("{")
    text = (
        minimal.replace("    traffic:\n      concurrency: 100\n", f"    traffic: {lines}\n")
        if inline
        else traffic(minimal, lines)
    )
    problem = load(text)
    found = load_of(problem.workloads[0], problem)
    assert found.requests_per_second == pytest.approx(rate)
    assert found.inflight == pytest.approx(inflight)
    assert found.decided_by == f"workloads.chat.traffic.{decided_by}"
    assert not found.is_batch


def test_people_who_think_are_a_population_and_no_rate(load, minimal) -> None:
    """Peak factor, headroom and the busiest period multiply the people, nothing else."""
    profile = "[{name: day, hours_per_month: 230, factor: 1.5}, {name: night, hours_per_month: 500, factor: 0.3}]"
    users = f"users: {{active: 500, think_time_s: 20}}\n      peak_factor: 2\n      profile: {profile}"
    problem = load(traffic(minimal, users), "margins.load_headroom=0.25")
    found = load_of(problem.workloads[0], problem)
    assert found.floors == (0.0, 0.0, pytest.approx(500 * 2 * 1.25 * 1.5))
    assert (found.think_s, rate_floors(problem.workloads[0])) == (20.0, {})
    assert found.in_period(1).users == pytest.approx(500 * 2 * 1.25 * 0.3)


def test_people_are_divided_among_classes_by_what_they_ask_and_wait_for(load, minimal) -> None:
    """Never fewer than their share of the questions or of the waiting."""
    classes = "[{name: short, input: 100, output: 50, share: 0.8}, {name: long, input: 900, output: 600, share: 0.2}]"
    tokens = f"tokens: {{context_max: 8192, classes: {classes}}}"
    text = traffic(minimal, "users: {active: 100, think_time_s: 20}")
    text = text.replace("tokens:\n      input: 1024\n      output: 300\n      context_max: 8192\n", f"{tokens}\n")
    whole, short, long = parts_of(load(text))
    assert whole.load.users == 100
    assert (short.load.users, long.load.users) == (pytest.approx(80), pytest.approx(75))


def test_headroom_raises_both(load, minimal) -> None:
    text = traffic(minimal, "concurrency: 100\n      requests_per_second: 4\n      peak_factor: 2")
    problem = load(text, "margins.load_headroom=0.25")
    found = load_of(problem.workloads[0], problem)
    assert (found.requests_per_second, found.inflight) == (10.0, 250.0)


def test_batch_work(load, minimal) -> None:
    text = traffic(minimal, "batch: {requests: 72000, within_hours: 10, runs_per_month: 20}")
    problem = load(text.replace("    slo:\n      ttft_ms: {p95: 1000}\n", ""))
    found = load_of(problem.workloads[0], problem)
    assert found.requests_per_second == pytest.approx(2.0)  # 72,000 / 36,000 s
    assert (found.inflight, found.hours_per_month, found.is_batch) == (0, 200, True)
    assert found.decided_by == "workloads.chat.traffic.batch"
    assert rate_floors(problem.workloads[0]) == {"batch": pytest.approx(2.0)}


def test_a_batch_may_fill_the_longest_month_but_no_more(load, refuse, minimal) -> None:
    text = minimal.replace("    slo:\n      ttft_ms: {p95: 1000}\n", "")
    problem = load(traffic(text, "batch: {requests: 1, within_hours: 24, runs_per_month: 31}"))
    assert load_of(problem.workloads[0], problem).hours_per_month == 744
    refuse(traffic(text, "batch: {requests: 1, within_hours: 24, runs_per_month: 31.5}"))


def test_maximize_load_takes_one_request_in_flight_as_the_unit(load, minimal) -> None:
    text = minimal.replace("    traffic:\n      concurrency: 100\n", "")
    problem = load(f"{text}objective: maximize_load\nbudget: {{monthly: 9000}}\n")
    found = load_of(problem.workloads[0], problem)
    assert (found.requests_per_second, found.inflight, found.decided_by) == (0, 1, "objective")


def test_percentiles(load, minimal) -> None:
    text = minimal.replace(
        "ttft_ms: {p95: 1000}", "{ttft_ms: {p50: 500, p99: 2000}, tpot_ms: 50, e2e_s: 9, percentile: 90}"
    ).replace("slo:\n      ", "slo: ")
    promises = slo_of(load(text, "workloads.chat.slo.tokens_per_second_per_user=25").workloads[0]).promises
    base = "workloads.chat.slo"
    assert [(p.metric, p.percentile, p.limit_s, p.path) for p in promises] == [
        (Metric.TTFT, 50, 0.5, f"{base}.ttft_ms.p50"),
        (Metric.TTFT, 99, 2.0, f"{base}.ttft_ms.p99"),
        (Metric.TPOT, 90, 0.05, f"{base}.tpot_ms"),
        (Metric.E2E, 90, 9.0, f"{base}.e2e_s"),
        (Metric.TPOT, 90, 0.04, f"{base}.tokens_per_second_per_user"),
    ]


def test_plain_numbers_are_read_at_p95_by_default(load, minimal) -> None:
    problem = load(minimal, "workloads.chat.slo.ttft_ms=800")
    assert [promise.percentile for promise in slo_of(problem.workloads[0]).promises] == [95]


def test_lengths(load, full) -> None:
    chat, nightly, *_ = load(full).workloads
    assert lengths_of(chat) == Lengths(1024, 300, 8192, 3000, None, 0.25, KvSizing.WORST_CASE, 8)
    assert lengths_of(nightly) == Lengths(2000, 200, 2200)


def test_constant_lengths_round_the_longest_request_up(load, minimal) -> None:
    text = minimal.replace("      context_max: 8192\n", "").replace("output: 300", "output: 300.5")
    assert lengths_of(load(text).workloads[0]).context_max == 1325


def test_a_distribution_needs_context_max(refuse, minimal) -> None:
    text = minimal.replace("      context_max: 8192\n", "").replace("input: 1024", "input: {mean: 1024, p95: 2000}")
    (finding,) = refuse(text)
    assert "'context_max' is missing" in finding.message


def test_every_promise_path_leads_to_its_value(load, full) -> None:
    problem = load(full)
    promises = stated_promises(problem)
    paths = {promise.path for promise in promises}
    for promise in promises:
        assert value_at(problem, promise.path) == promise.value
    for workload in problem.workloads:
        assert {promise.path for promise in slo_of(workload).promises} <= paths
    assert {"hardware.limits.max_gpus", "hardware.quota.0.max_gpus", "budget.monthly", "margins.confidence"} <= paths
    assert {"workloads.nightly.traffic.batch.requests", "workloads.chat.traffic.users.active"} <= paths


@pytest.mark.parametrize("path", ["x", "workloads.none", "workloads.0.slo.ttft_ms.p42", "budget.monthly.x", "offers.9"])
def test_a_path_that_leads_nowhere(load, full, path: str) -> None:
    with pytest.raises(KeyError):
        value_at(load(full), path)


CLASSES = """\
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-70B-Instruct
    traffic: {output_tokens_per_second: 180, concurrency: 18}
    tokens:
      classes:
        - {name: short, input: 200, output: 150, share: 0.8, slo: {ttft_ms: 400, tpot_ms: {p50: 20, p99: 60}}}
        - {name: long, input: 12000, output: 300, share: 0.2, slo: {tokens_per_second_per_user: 25}}
    slo: {ttft_ms: {p95: 9000}, percentile: 90}
"""


def test_lengths_of_classes(load) -> None:
    """0.8 x 200 + 0.2 x 12,000 in, 0.8 x 150 + 0.2 x 300 out; the longest request is the sum where it is not stated."""
    lengths = lengths_of(load(CLASSES).workloads[0])
    assert (lengths.input_mean, lengths.output_mean, lengths.context_max) == (pytest.approx(2560), 180, 12300)
    assert [(one.name, one.share, one.lengths) for one in lengths.classes] == [
        ("short", 0.8, Lengths(200, 150, 350)),
        ("long", 0.2, Lengths(12000, 300, 12300)),
    ]


def test_shares_that_are_rounded_are_taken_in_proportion(load) -> None:
    lengths = lengths_of(load(CLASSES.replace("share: 0.8", "share: 0.798")).workloads[0])
    assert [one.share for one in lengths.classes] == pytest.approx([0.798 / 0.998, 0.2 / 0.998])


def test_a_class_is_promised_what_it_states_else_what_the_workload_does(load) -> None:
    promises = slo_of(load(CLASSES).workloads[0]).promises
    own = "workloads.chat.tokens.classes"
    assert [(p.length_class, p.metric, p.percentile, p.limit_s, p.path) for p in promises] == [
        ("short", Metric.TTFT, 95, 0.4, f"{own}.short.slo.ttft_ms"),
        ("short", Metric.TPOT, 50, 0.02, f"{own}.short.slo.tpot_ms.p50"),
        ("short", Metric.TPOT, 99, 0.06, f"{own}.short.slo.tpot_ms.p99"),
        ("long", Metric.TTFT, 95, 9.0, "workloads.chat.slo.ttft_ms.p95"),
        ("long", Metric.TPOT, 95, 0.04, f"{own}.long.slo.tokens_per_second_per_user"),
    ]


def test_every_path_of_a_class_leads_to_its_value(load) -> None:
    problem = load(CLASSES)
    promises = {promise.path: promise.value for promise in stated_promises(problem)}
    assert {promise.path for promise in slo_of(problem.workloads[0]).promises} <= set(promises)
    assert all(value_at(problem, path) == value for path, value in promises.items())


def test_parts_of_a_problem_with_classes(load) -> None:
    """One request a second: 0.8 and 0.2 of it; 18 in flight: 120 and 60 of 180 tokens are written for either class."""
    whole, short, long = parts_of(load(CLASSES))
    assert [part.name for part in (whole, short, long)] == ["chat", "chat/short", "chat/long"]
    assert [part.load.requests_per_second for part in (whole, short, long)] == pytest.approx([1.0, 0.8, 0.2])
    assert [part.load.inflight for part in (whole, short, long)] == pytest.approx([18, 12, 6])
    assert (whole.whole, short.whole, long.whole) == (None, 0, 0)
    assert short.lengths == Lengths(200, 150, 350)
    assert [p.length_class for p in short.slo.promises] == ["", "", ""]


@pytest.mark.parametrize("edit", ["split_classes: no", "classes: [{input: 5, output: 6, share: 1}]"])
def test_parts_of_a_workload_that_is_not_split(load, edit: str) -> None:
    text = CLASSES.replace("    slo: {ttft_ms: {p95: 9000}", f"      {edit}\n    slo: {{ttft_ms: {{p95: 9000}}")
    if edit.startswith("classes"):
        text = text.replace(CLASSES.split("    tokens:\n")[1].split("    slo:", maxsplit=1)[0], "")
    assert [part.name for part in parts_of(load(text))] == ["chat"]


def test_a_trace_does_not_tell_classes(refuse, tmp_path) -> None:
    rows = "".join(f"{second},5,6\n" for second in range(2000))
    (tmp_path / "trace.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{rows}")
    findings = refuse(CLASSES.replace("{output_tokens", f"{{trace: {tmp_path / 'trace.csv'}, output_tokens"))
    assert [finding.message.split(",")[0] for finding in findings] == ["a trace stands beside length classes"]


def test_names_of_classes_and_workloads_do_not_collide(refuse) -> None:
    other = CLASSES.removeprefix("workloads:\n").replace("name: chat", 'name: "chat/short"')
    assert any("'chat/short' is taken" in finding.message for finding in refuse(CLASSES + other))
