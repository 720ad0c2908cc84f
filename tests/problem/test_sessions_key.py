"""``sessions:``: what the turns come to, which load they make, what is said where real sessions differ."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from optimizer.demand import Gap, Spread
from optimizer.errors import ProblemError
from optimizer.gamma_law import gamma_at, gamma_below, gamma_shape, largest_ratio
from optimizer.problem import lengths_of, load_of, load_problem, parse_problem, sessions_of
from optimizer.session_turns import turns_of

PROBLEMS = Path(__file__).parents[2] / "problems"

AGENT = """
workloads:
  - name: agent
    model: meta-llama/Llama-3.1-70B-Instruct
    traffic: {traffic}
    tokens: {{context_max: {longest}}}
    sessions:
      turns: {turns}
      shared_prefix: {{tokens: 14000, groups: 1}}
      first_input: {{mean: 10000, p90: 30000}}
      new_input: {{mean: 1300, p50: 650}}
      output: {{mean: 440, p90: 900}}
      output_kept: {kept}
      carry: 0.98
      gap: {gap}
    slo: {{ttft_ms: {{p95: 3000}}, tpot_ms: {{p95: 60}}}}
"""
GAPS = "[{share: 0.86, p50_s: 9, p90_s: 71}, {share: 0.14, p50_s: 132, p90_s: 1930}]"


def problem(
    tmp_path: Path, traffic: str = "{users: {active: 600}}", turns: str = "{mean: 68, p90: 155}", kept: str = "yes",
    gap: str = GAPS, longest: int = 100_000_000,
):  # fmt: skip
    path = tmp_path / "p.yaml"
    path.write_text(AGENT.format(traffic=traffic, turns=turns, kept=kept, gap=gap, longest=longest))
    return load_problem(path)


def workload(tmp_path: Path, **keys: object):
    return problem(tmp_path, **keys).workloads[0]  # type: ignore[arg-type]


def test_contexts_grow_by_new_inputs_and_kept_answers(tmp_path: Path) -> None:
    """With n turns of a session distributed as stated, a turn has E[n (n - 1)] / 2 / E[n] earlier ones on average."""
    one = workload(tmp_path)
    means, turns = sessions_of(one), turns_of(lengths_of(one).sessions, 100_000_000)
    before = float((turns.number - 1).mean())
    assert means is not None
    assert means.turns == pytest.approx(68, rel=0.01)
    assert means.input == pytest.approx(14_000 + 10_000 + before * (1_300 + 440), rel=0.02)
    assert means.output == pytest.approx(440, rel=0.01)
    assert 0.96 < means.reachable < 0.98  # measured for coding agents: 0.96 to 0.98
    dropped = sessions_of(workload(tmp_path, kept="no"))
    assert dropped is not None and dropped.input == pytest.approx(24_000 + before * 1_300, rel=0.02)


def test_means_stand_in_tokens_for_whoever_asks(tmp_path: Path) -> None:
    one = workload(tmp_path)
    lengths = lengths_of(one)
    assert one.tokens.input == lengths.input_mean and one.tokens.output == lengths.output_mean
    assert lengths.earns_hits and not lengths.assumes_hits and lengths.classes == ()


def test_a_session_ends_before_the_turn_that_would_go_beyond_the_longest_context(tmp_path: Path) -> None:
    one = workload(tmp_path, longest=65_536)
    turns = turns_of(lengths_of(one).sessions, 65_536)
    means = sessions_of(one)
    assert means is not None and means.turns < 30 and means.cut > 0.5
    assert float((turns.input + turns.output).max()) <= 65_536 + 1e-6
    assert any("have" in warning and "not 68" in warning for warning in problem(tmp_path, longest=65_536).warnings)


@pytest.mark.parametrize("turns", ["{mean: 8}", "8", "{mean: 8, p90: 12}", "{mean: 8, p90: 22}"])
def test_turns_have_the_stated_mean(tmp_path: Path, turns: str) -> None:
    means = sessions_of(workload(tmp_path, turns=turns))
    assert means is not None and means.turns == pytest.approx(8, rel=0.01)


def test_loads(tmp_path: Path) -> None:
    mean_gap = 0.86 * Gap(p50_s=9, p90_s=71).mean + 0.14 * Gap(p50_s=132, p90_s=1930).mean

    def load(traffic: str):
        whole = problem(tmp_path, traffic=traffic)
        return load_of(whole.workloads[0], whole)

    people = load("{users: {active: 600}}")
    assert (people.users, people.requests_per_second, people.inflight) == (600, 0, 0)
    assert people.think_s == pytest.approx(mean_gap)
    kept_going = load("{concurrent_sessions: 600, peak_factor: 1.5}")
    assert kept_going.users == 900 and kept_going.think_s == people.think_s
    assert kept_going.decided_by == "workloads.agent.traffic.concurrent_sessions"
    turns = load("{requests_per_second: 5}")
    assert (turns.requests_per_second, turns.users) == (5, 0)
    begun = load("{sessions_per_second: 0.1}")
    assert begun.requests_per_second == pytest.approx(6.8, rel=0.01)
    assert begun.decided_by == "workloads.agent.traffic.sessions_per_second"


def test_one_number_as_gap_is_warned_of(tmp_path: Path) -> None:
    assert any("exponential" in warning for warning in problem(tmp_path, gap="20").warnings)
    assert not any("exponential" in warning for warning in problem(tmp_path).warnings)


def test_a_router_that_deals_the_turns_of_a_session_is_worth_a_word(tmp_path: Path) -> None:
    assert any(warning.startswith("engine.router: round_robin") for warning in problem(tmp_path).warnings)
    path = tmp_path / "p.yaml"
    path.write_text(path.read_text() + "engine: {router: prefix_affinity}\n")
    assert not any("engine.router" in warning for warning in load_problem(path).warnings)
    assert lengths_of(workload(tmp_path, gap="{p50: 9, p90: 71}")).gaps == (Gap(p50_s=9.0, p90_s=71.0),)


def test_sets_reach_every_key(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(AGENT.format(traffic="{users: {active: 600}}", turns=9, kept="yes", gap=GAPS, longest=131_072))
    edited = load_problem(path, sets=["workloads.agent.sessions.gap.1.p90_s=400", "workloads.agent.sessions.carry=0.5"])
    sessions = lengths_of(edited.workloads[0]).sessions
    assert sessions is not None and sessions.gaps[1].p90_s == 400 and sessions.carry == 0.5


@pytest.mark.parametrize(("percentile", "ratio"), [(90.0, 1.5), (90.0, 2.2), (90.0, 3.0), (95.0, 3.9), (95.0, 5.5)])
def test_lengths_have_the_stated_percentile(percentile: float, ratio: float) -> None:
    spread = Spread(1_000.0, percentile, 1_000.0 * ratio)
    if spread.sigma is not None:
        score = math.log(ratio) / spread.sigma + spread.sigma / 2
        assert score == pytest.approx({90.0: 1.2816, 95.0: 1.6449}[percentile], abs=1e-4)
        return
    shape = gamma_shape(ratio, percentile)
    assert float(gamma_below(shape, ratio * shape)) == pytest.approx(percentile / 100, abs=1e-6)


def test_the_gamma_law() -> None:
    assert float(gamma_below(1.0, 2.0)) == pytest.approx(1 - math.exp(-2), abs=1e-9)  # exponential
    assert float(gamma_at(1.0, 0.9)) == pytest.approx(math.log(10), abs=1e-9)
    assert largest_ratio(90.0) == pytest.approx(3.02, abs=0.01)
    assert largest_ratio(95.0) == pytest.approx(5.80, abs=0.01)


def test_a_plain_file_states_no_sessions(tmp_path: Path) -> None:
    text = "workloads: [{name: c, model: m, traffic: {concurrency: 1}, tokens: {input: 5, output: 5}}]"
    assert parse_problem(text).workloads[0].sessions is None


@pytest.mark.parametrize(("key", "value"), [("turns", "0"), ("gap", "[]")])
def test_no_hint_says_to_leave_out_what_sessions_cannot_be_without(key: str, value: str) -> None:
    with pytest.raises(ProblemError) as refused:
        load_problem(PROBLEMS / "coding_agents.yaml", sets=[f"workloads.agents.sessions.{key}={value}"])
    assert "leave the key out" not in str(refused.value)


def documents(tmp_path: Path, keys: str, carry: str = ""):
    path = tmp_path / "p.yaml"
    path.write_text(
        "workloads: [{name: c, model: meta-llama/Llama-3.1-8B-Instruct, traffic: {users: {active: 9}},"
        " tokens: {context_max: 65536}, slo: {ttft_ms: 900, tpot_ms: 60}, sessions: {turns: 2, shared_prefix:"
        f" {{tokens: 900}}, first_input: 200, new_input: 100, output: 300, gap: 40{carry}}}, documents: {{{keys}}}}}]"
    )
    return lengths_of(load_problem(path).workloads[0])


def test_passages_behind_the_system_prompt_hide_what_stands_behind_them(tmp_path: Path) -> None:
    """Two turns of 900 + 6 x 240 tokens and 200, then 600 of their own: the system prompt alone is found again."""
    told = documents(tmp_path, "per_request: 6, tokens: 240, distinct: 3200, top10_share: 0.59")
    assert told.input_mean == pytest.approx(900 + 1_440 + (200 + 600) / 2)
    assert told.shared_prefix == pytest.approx(900 / told.input_mean)


def test_a_document_that_stands_first_is_shared_with_the_system_prompt_behind_it(tmp_path: Path) -> None:
    told = documents(tmp_path, "tokens: 12000, distinct: 50, top10_share: 0.6, position: first")
    sessions = told.sessions
    assert sessions is not None and (sessions.shared, sessions.groups, sessions.top_share) == (12_900, 50, 0.6)
    assert told.shared_prefix == pytest.approx((12_900 + 500 / 2) / (12_900 + (200 + 600) / 2))
