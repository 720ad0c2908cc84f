"""``tokens.histogram``: what it means, from which file it comes, where it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import ProblemError
from optimizer.files.carried import carried, recorded
from optimizer.handover.trace_problem import counted, figures_of, problem_of
from optimizer.length_histogram import histogram_of
from optimizer.performance.lengths import moments_of
from optimizer.problem import lengths_of, load_problem
from optimizer.problem.schema_tokens import MOST_ROWS
from optimizer.problem.trace import Trace, read_trace
from optimizer.simulate.draws import lengths_for

REASONING = """
name: reasoning
workloads:
  - name: think
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 2}
    tokens: {@}
    slo: {ttft_ms: {p95: 2000}, tpot_ms: {p95: 60}}
"""
CSV = "input,output,share\n400,150,0.9\n900,9000,0.1\n"
INLINE = "histogram: [{input: 400, output: 150, share: 0.9}, {input: 900, output: 9000, share: 0.1}]"


def loaded(tmp_path: Path, tokens: str, csv: str | bytes | None = None, sets: tuple[str, ...] = ()):
    path = tmp_path / "p.yaml"
    path.write_text(REASONING.replace("@", tokens))
    if csv is not None:
        (tmp_path / "lengths.csv").write_bytes(csv if isinstance(csv, bytes) else csv.encode())
    return load_problem(path, sets=sets)


def test_a_file_and_a_list_say_the_same(tmp_path: Path) -> None:
    of_file = lengths_of(loaded(tmp_path, "histogram: lengths.csv", CSV).workloads[0])
    assert of_file == lengths_of(loaded(tmp_path, INLINE).workloads[0])
    assert (of_file.input_mean, of_file.output_mean) == pytest.approx((450.0, 1035.0))
    assert (of_file.input_p95, of_file.output_p95, of_file.context_max) == (900.0, 9000.0, 9900)


def test_the_option_names_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "lengths.csv").write_text(CSV)
    sets = ("workloads.think.tokens={histogram: lengths.csv}",)
    assert loaded(tmp_path, "input: 5, output: 5", sets=sets).workloads[0].tokens.context_max == 9900


def test_the_file_travels_with_the_problem(tmp_path: Path) -> None:
    with recorded() as files:
        stated = loaded(tmp_path, "histogram: lengths.csv", CSV)
    (tmp_path / "lengths.csv").unlink()
    with carried(files):
        assert load_problem(tmp_path / "p.yaml").workloads == stated.workloads


@pytest.mark.parametrize(
    ("csv", "place", "says"),
    [
        ("input,output,share\n400,150,0.9\n900,9000,0\n", "lengths.csv:3:10", "it has to be above 0"),
        ("input,output,share\n400,150,0.9\n900,9000,-0.1\n", "lengths.csv:3:10", "outside"),
        ("input,output,share\n400,150,0.9\n900,9000,0.2\n", "lengths.csv:2:9", "the shares of the rows add up to 1.1"),
        ("input,output\n400,150\n", "lengths.csv:1:1", "column share is missing"),
        ("input,output,share\n400,x,1\n", "lengths.csv:2:5", "is not a number"),
        ("input,output,share\n400,0,1\n", "lengths.csv:2:5", "it has to be at least 1"),
        ("input,output,share\n400,,1\n", "lengths.csv:2:5", "blank"),
        ("input,output,share\n400,150\n", "lengths.csv:2:", "2 cells where the header has 3"),
        ('input,output,share\n"400,150,1\n', "lengths.csv:2:1", "not valid CSV"),
        (b"\x89PNG\r\n\x00\x00", "lengths.csv:", "NUL"),
        ("input,output,share\n", "p.yaml:7:25", "lengths.csv: holds no rows"),
        (None, "p.yaml:7:25", "lengths.csv: no such file"),
        ("input,output,share\n" + "1,1,0.0005\n" * 1001, "p.yaml:7:25", "1,001 rows; at most 1,000"),
    ],
)
def test_a_defect_is_told_where_it_stands(tmp_path: Path, csv: str | None, place: str, says: str) -> None:
    with pytest.raises(ProblemError) as caught:
        loaded(tmp_path, "histogram: lengths.csv", csv)
    told = [str(finding) for finding in caught.value.findings]
    assert len(told) == 1
    assert place in told[0]
    assert says in told[0]


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (f"{INLINE}, input: 400", "input stands beside a histogram"),
        (f"{INLINE}, output: {{mean: 9, p95: 12}}", "output stands beside a histogram"),
        (f"{INLINE}, context_max: 9899", "input + output are 9,900 tokens, beyond context_max of 9,899"),
        (f"{INLINE}, classes: [{{input: 9, output: 9, share: 1}}]", "a histogram stands beside classes"),
        ("histogram: [{input: 400, output: 150}]", "share"),
    ],
)
def test_what_it_cannot_stand_beside(tmp_path: Path, tokens: str, says: str) -> None:
    with pytest.raises(ProblemError) as caught:
        loaded(tmp_path, tokens)
    (finding,) = caught.value.findings
    assert says in str(finding)
    assert (finding.line, finding.file) == (7, str(tmp_path / "p.yaml"))


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        ("histogram: 5", "histogram needs a list, not 5"),
        ("histogram: true", "histogram needs a list, not true"),
        ("histogram: {}", "histogram needs a list, not a mapping of keys"),
        ("histogram: []", "histogram is a list: it needs a row {input, output, share} for each length"),
        ("histogram: [5]", "histogram.0 needs keys with values, not 5"),
        ("classes: 5", "classes needs a list, not 5"),
        ("classes: [5]", "classes.0 needs keys with values, not 5"),
        ("context_max: 9000}\n    sessions: 5 #", "sessions needs keys with values, not 5"),
        ("context_max: 9000}\n    sessions: [] #", "sessions needs keys with values, not a list"),
    ],
)
def test_what_should_tell_the_lengths_is_refused_for_itself(tmp_path: Path, tokens: str, says: str) -> None:
    """Not with a hint to state what it stands in for."""
    with pytest.raises(ProblemError) as caught:
        loaded(tmp_path, tokens)
    (finding,) = caught.value.findings
    assert says in str(finding)
    assert finding.line == (8 if "sessions" in tokens else 7)


def test_the_longest_row_just_fits(tmp_path: Path) -> None:
    assert loaded(tmp_path, f"{INLINE}, context_max: 9900").workloads[0].tokens.context_max == 9900


def test_a_tail_that_no_lognormal_has_is_answered_by_a_histogram(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="histogram: a list of"):
        loaded(tmp_path, "input: 450, output: {mean: 1035, p95: 9000}, context_max: 16000")


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(1, 9000), st.integers(1, 9000), st.floats(0.01, 1.0)), min_size=1, max_size=8),
    seed=st.randoms(use_true_random=False),
)
def test_order_and_split_rows_change_nothing(rows, seed) -> None:
    split = [(sent, made, share / 2) for sent, made, share in rows for _ in range(2)]
    seed.shuffle(split)
    found = histogram_of(split)
    assert found == histogram_of(rows)
    assert hash(found) == hash(histogram_of(rows))
    assert sum(found.share) == pytest.approx(1.0)


def test_one_row_is_a_constant_length(tmp_path: Path) -> None:
    one = loaded(tmp_path, "histogram: [{input: 400, output: 150, share: 1}]").workloads[0]
    assert lengths_of(one) == lengths_of(loaded(tmp_path, "input: 400, output: 150").workloads[0])


def test_moments_are_those_of_the_rows(tmp_path: Path) -> None:
    """By hand: 0.9 x (400, 150) and 0.1 x (900, 9000)."""
    lengths = lengths_of(loaded(tmp_path, f"{INLINE}, shared_prefix: 0.5").workloads[0])
    m = moments_of(lengths)
    steps = 0.9 * 149 + 0.1 * 8999
    assert (m.input, m.output, m.steps) == pytest.approx((450.0, 1035.0, steps))
    assert m.resident_seen == pytest.approx((0.9 * 149 * 475 + 0.1 * 8999 * 5400) / steps)
    assert m.resident_seen > 0.9 * 475 + 0.1 * 5400  # long answers are met more often than their share
    assert m.steps_scv == pytest.approx((0.9 * 149**2 + 0.1 * 8999**2) / steps**2 - 1.0)
    assert m.prompt_scv == pytest.approx((0.9 * 400**2 + 0.1 * 900**2) / 450**2 - 1.0)
    assert np.mean(m.prompt_cells) == pytest.approx(m.prompt) == pytest.approx(225.0)
    assert sorted(m.prompt_cells) == pytest.approx([200.0] * 18 + [450.0] * 2)


def test_draws_keep_pairs_together_and_shares(tmp_path: Path) -> None:
    lengths = lengths_of(loaded(tmp_path, INLINE).workloads[0])
    prompt, output = lengths_for(lengths, 40_000)
    assert set(zip(prompt.tolist(), output.tolist(), strict=True)) == {(400.0, 150.0), (900.0, 9000.0)}
    assert (output > 1000).mean() == pytest.approx(0.1, abs=0.005)
    more = lengths_for(lengths, 50_000)[1]
    assert (more[:40_000] == output).all()


def recorded_trace(folder: Path, count: int = 2000) -> Trace:
    """Nine in ten answers short, one in ten a long chain of thought; longer for longer questions."""
    rng = np.random.default_rng(5)
    sent = np.rint(rng.lognormal(6.0, 0.6, count)) + 1
    made = np.rint(np.where(rng.random(count) < 0.9, rng.lognormal(5, 0.5, count), 20.0 * sent)) + 1
    rows = "\n".join(f"{at},{i:g},{o:g}" for at, i, o in zip(range(count), sent, made, strict=True))
    (folder / "trace.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{rows}\n")
    return read_trace(folder / "trace.csv")


def test_a_trace_that_no_lognormal_fits_becomes_a_histogram(tmp_path: Path) -> None:
    trace = recorded_trace(tmp_path)
    figures = figures_of(trace, 512)
    assert figures.output.p95 > 3.87 * figures.output.mean
    path = tmp_path / "p.yaml"
    path.write_text(problem_of(trace, figures, "meta-llama/Llama-3.1-8B-Instruct", Path("trace.csv"), 131_072))
    found = lengths_of(load_problem(path).workloads[0])
    assert found.input_mean == pytest.approx(figures.input.mean, rel=1e-4)
    assert found.output_mean == pytest.approx(figures.output.mean, rel=1e-4)
    assert (found.input_p95, found.output_p95) == (figures.input.p95, figures.output.p95)
    sent, made = np.array(trace.input_tokens), np.array(trace.output_tokens)
    resident = float(((made - 1) * (sent + made / 2)).sum() / (made - 1).sum())
    assert moments_of(found).resident_seen == pytest.approx(resident, rel=0.05)


def test_a_trace_that_a_lognormal_fits_stays_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rows = "\n".join(f"{at},{rng.lognormal(6, 0.6) + 1:.0f},{rng.lognormal(5, 0.5) + 1:.0f}" for at in range(500))
    (tmp_path / "trace.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{rows}\n")
    trace = read_trace(tmp_path / "trace.csv")
    text = problem_of(trace, figures_of(trace, 512), "m", Path("trace.csv"), None)
    assert "histogram" not in text


def test_bins_stay_within_the_longest_context(tmp_path: Path) -> None:
    trace = recorded_trace(tmp_path)
    longest = int(figures_of(trace, 512).longest)
    rows = counted(trace, longest)
    assert max(sent + made for sent, made, _ in rows) <= longest
    assert len(rows) <= MOST_ROWS
    assert sum(share for _, _, share in rows) == pytest.approx(1.0, abs=1e-6)
