"""Every way a problem file can be wrong: the right place, the right words, exit without traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.errors import ProblemError
from optimizer.problem import KnownIds, load_problem


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("concurrency: 100", "concurrency: -1", 20),  # the value
        ("peak_factor: 1.5", "peek_factor: 1", 7),  # the key
        ("kv_cache: fp8", "kv_cache: [fp8, fp4]", 19),  # the item
        ("{p50: 500, p90: 800, p95: 1000, p99: 2000}", "{p50: 500, p95: x}", 32),
    ],
)
def test_columns(refuse, full, old: str, new: str, column: int) -> None:
    (finding,) = refuse(full.replace(old, new))
    assert finding.column == column


def test_a_missing_key_is_reported_where_it_belongs(refuse, minimal) -> None:
    (finding,) = refuse(minimal.replace("      input: 1024\n", ""))
    assert (finding.line, finding.message) == (6, "the key 'input' is missing in workloads.0.tokens")
    assert finding.hint == "add input: 1024"


def test_a_misspelt_section_is_one_finding(refuse, minimal) -> None:
    (finding,) = refuse(minimal.replace("tokens:", "token:"))
    assert "unknown key 'token'" in finding.message


def test_without_workloads(refuse) -> None:
    assert "'workloads' is missing" in refuse("name: x\n")[0].message
    assert "empty list" in refuse("workloads: []\n")[0].message
    assert "needs a list" in refuse("workloads: 5\n")[0].message
    assert "needs keys" in refuse("- a\n- b\n")[0].message
    assert "needs keys" in refuse("just text\n")[0].message


def test_a_check_across_keys_is_silent_where_one_of_them_is_refused(refuse, minimal) -> None:
    text = f"{minimal}hardware: {{only_owned: yes, owned: [{{gpu: 5, gpus_per_node: 1}}]}}\n"
    (finding,) = refuse(text)
    assert "needs text" in finding.message


def test_objectives_that_cannot_be(refuse, minimal) -> None:
    without_traffic = minimal.replace("    traffic:\n      concurrency: 100\n", "")
    assert "has no traffic" in refuse(without_traffic)[0].message
    (finding,) = refuse(f"{without_traffic}objective: maximize_load\n")
    assert "maximize_load without anything that bounds it" in finding.message
    assert finding.line == without_traffic.count("\n") + 1
    batch = minimal.replace("concurrency: 100", "batch: {requests: 9, within_hours: 1}")
    batch = batch.replace("    slo:\n      ttft_ms: {p95: 1000}\n", "")
    (finding,) = refuse(f"{batch}objective: minimize_ttft\n")
    assert "not batch work" in finding.message
    (finding,) = refuse(batch + "    slo: {tpot_ms: 5}\n")
    assert "no latency promises" in finding.message


@pytest.mark.parametrize(
    "bound",
    [
        "budget: {monthly: 9000}",
        "hardware: {limits: {max_gpus: 8}}",
        "hardware: {limits: {max_nodes: 8}}",
        "hardware: {limits: {max_power_kw: 8}}",
        "hardware: {quota: [{provider: aws, max_gpus: 8}]}",
        "hardware: {only_owned: yes, owned: [{gpu: a, gpus_per_node: 8}]}",
        "offers: [{id: q, provider: x, gpu: a, gpus_per_node: 8, price_per_hour: 9, stock: 3}]",
    ],
)
def test_maximize_load_with_a_bound(load, minimal, bound: str) -> None:
    text = minimal.replace("    traffic:\n      concurrency: 100\n", "")
    assert load(f"{text}objective: maximize_load\n{bound}\n").objective == "maximize_load"


@pytest.mark.parametrize(
    ("hardware", "message"),
    [
        ("{only_owned: yes}", "owned lists no hardware"),
        (
            "{only_owned: yes, nvlink: forbidden, owned: [{gpu: a, gpus_per_node: 8, nvlink: yes}]}",
            "nvlink is forbidden",
        ),
        ("{only_owned: yes, gpus: [b], owned: [{gpu: a, gpus_per_node: 8}]}", "gpus leaves out all owned cards (a)"),
        ("{only_owned: yes, gpus: {exclude: [a]}, owned: [{gpu: a, gpus_per_node: 8}]}", "gpus leaves out"),
    ],
)
def test_owned_hardware_that_rules_itself_out(refuse, minimal, hardware: str, message: str) -> None:
    (finding,) = refuse(f"{minimal}hardware: {hardware}\n")
    assert message in finding.message


def test_commitment_that_no_tier_keeps(refuse, minimal) -> None:
    (finding,) = refuse(f"{minimal}payment: {{tiers: [reserved_1y], max_commitment_months: 6}}\n")
    assert "none of the tiers (reserved_1y) keeps" in finding.message


REFERENCES = [
    ("model: Qwen/Qwen3-32B", "model: Qwen/Qwen3-32", "unknown model", "Qwen/Qwen3-32B"),
    ("model: Qwen/Qwen3-32B", "model: zzz", "unknown model", "config.json"),
    ("model: Qwen/Qwen3-32B", "model: ./zzz/config.json", "no such file", "relative to the problem file"),
    ("exclude: [t4_16,", "exclude: [t4_61,", "unknown GPU 't4_61'", "t4_16"),
    ("gpu: a800_sxm_80", "gpu: a800_sxm", "unknown GPU", "a800_sxm_80"),
    ("gpu: h20_96", "gpu: h20_69", "unknown GPU", "h20_96"),
    ("gpu: h100_sxm_80, max_gpus", "gpu: h100, max_gpus", "unknown GPU", "h100_sxm_80"),
    ("gpu: h100_sxm_80, percent", "gpu: h100, percent", "unknown GPU", "h100_sxm_80"),
    ("exclude: [azure]", "exclude: [azzure]", "unknown provider", "azure"),
    ("quota:\n    - {provider: aws", "quota:\n    - {provider: ows", "unknown provider", "aws"),
    ("discounts:\n    - {provider: aws", "discounts:\n    - {provider: ows", "unknown provider", "aws"),
    ("regions: [us-east-1", "regions: [us-eest-1", "unknown region", "us-east-1"),
    ("name: sglang", "name: sglong", "unknown engine", "sglang"),
    ("fx: {CNY: 7.1, EUR", "fx: {EUR", "no exchange rate for 'CNY'", "units per USD"),
    ("currency: CNY\n    price", "currency: JPY\n    price", "no exchange rate for 'JPY'", "units per USD"),
    ("context_max: 8192", "context_max: 200000", "stops at 131,072", "131072"),
    ("{input: 2000, output: 200}", "{input: 2000, output: 200, context_max: 50000}", "stops at 40,960", None),
]


@pytest.mark.parametrize(("old", "new", "message", "hint"), REFERENCES)
def test_unknown_ids(refuse, full, known: KnownIds, old: str, new: str, message: str, hint: str | None) -> None:
    assert full.count(old) == 1
    (finding,) = refuse(full.replace(old, new), known=known)
    assert message in finding.message
    assert hint is None or hint in (finding.hint or "")
    first = full[: full.index(old)].count("\n") + 1
    assert finding.line is not None and abs(finding.line - first) <= 2


def test_a_config_json_gives_the_context_limit(refuse, load, minimal, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    text = minimal.replace("meta-llama/Llama-3.1-70B-Instruct", "./mine")
    seen: list[Path] = []

    def limit(path: Path) -> int:
        seen.append(path)
        return 4096

    (finding,) = refuse(text, known=KnownIds(models={"a": 1}, context_of_config=limit))
    assert "stops at 4,096" in finding.message
    assert seen == [tmp_path / "mine" / "config.json"]
    assert load(text).workloads[0].model == "./mine"


def test_a_config_json_that_cannot_be_used(refuse, minimal, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")

    def fail(path: Path) -> int:
        raise ProblemError("unknown family")

    text = minimal.replace("meta-llama/Llama-3.1-70B-Instruct", "./config.json")
    (finding,) = refuse(text, known=KnownIds(context_of_config=fail))
    assert "unknown family" in finding.message
    assert finding.line == 3


@pytest.mark.parametrize(
    ("extra", "warning"),
    [
        ("payment: {tiers: [spot]}", "spot capacity can be taken away"),
        ("payment: {tiers: [on_demand, reserved_3y], max_commitment_months: 12}", "reserved_3y binds for 36 months"),
        ("payment: {fx: {CNY: 7}}", "no date"),
        ("payment: {as_of: 2026-09-01, discounts: [{percent: 5, until: 2026-08-31}]}", "so it is not applied"),
        (
            "offers: [{id: q, provider: x, gpu: a, gpus_per_node: 8, price_per_hour: 9, valid_until: 2026-08-01}]\n"
            "payment: {as_of: 2026-08-20}",
            "expired (x, 8x a): valid until 2026-08-01, which is before 2026-08-20, so it is not ranked",
        ),
        (
            "offers: [{id: q, provider: x, gpu: a, gpus_per_node: 8, purchase_price: 9}]",
            "its tier purchase is not in payment.tiers",
        ),
        ("hardware: {nvlink: required, only_owned: yes, owned: [{gpu: a, gpus_per_node: 8}]}", "one-GPU replicas"),
        ("payment: {as_of: 2026-08-19}", "prices up to 2026-08-20 are newer than it"),
        ("objective: minimize_ttft", "buys GPUs for milliseconds"),
    ],
)
def test_warnings(load, minimal, extra: str, warning: str) -> None:
    problem = load(f"{minimal}{extra}\n", known=KnownIds(newest_price_date="2026-08-20"))
    assert len(problem.warnings) == 1
    assert warning in problem.warnings[0]


def test_what_bounds_a_latency_objective_needs_no_warning(load, minimal) -> None:
    for bound in ("budget: {monthly: 1000}", "hardware: {limits: {max_gpus: 16}}"):
        assert load(f"{minimal}objective: minimize_tpot\n{bound}\n").warnings == ()
    known = KnownIds(newest_price_date="2026-08-20")
    assert load(f"{minimal}payment: {{as_of: 2026-08-20}}\n", known=known).warnings == ()


def test_users_without_peak_factor_are_warned_about(load, minimal) -> None:
    users = "users: {active: 500, think_time_s: 90}"
    assert "users are not requests in flight" in load(minimal.replace("concurrency: 100", users)).warnings[0]
    with_peak = minimal.replace("concurrency: 100", f"{users}\n      peak_factor: 1")
    assert load(with_peak).warnings == ()


def test_no_promise_is_warned_about(load, minimal) -> None:
    text = minimal.replace("    slo:\n      ttft_ms: {p95: 1000}\n", "")
    assert "0.9 of saturation" in load(text).warnings[0]


# files that are no problem file
def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="no such file"):
        load_problem(tmp_path / "none.yaml")


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="is a directory"):
        load_problem(tmp_path)


def test_name_with_nul() -> None:
    with pytest.raises(ProblemError, match=r"no such file|cannot be read"):
        load_problem("a\0b.yaml")


def test_device() -> None:
    with pytest.raises(ProblemError, match="not a regular file"):
        load_problem("/dev/null")


@pytest.mark.parametrize(
    ("data", "message", "line"),
    [
        (b"", "is empty", 1),
        (b" \n\n", "is empty", 1),
        (b"# only a comment\n", "only blanks or comments", 1),
        (b"---\n", "only blanks or comments", 1),
        (b"\xef\xbb\xbfname: x\n", "byte order mark", 1),
        (b"\xff\xfen\0", "UTF-16 byte order mark", 1),
        (b"name: x\nmodel: \x00\x01\n", "NUL byte", 2),
        (b"name: x\n\nmodel: caf\xe9\n", "byte 0xe9 is not valid UTF-8", 3),
        (b"name: x\x07\n", "control character U+0007", 1),
        (b"\x89PNG\r\n\x1a\n\0\0", "NUL byte", 3),
        (b"x" * (1 << 20) + b"y", "larger than 1 MiB", None),
        (b"a: 1\n---\na: 2\n", "second document", 2),
        (b"%YAML 1.1\n---\na: 1\n", "YAML 1.1 is asked for", 2),
        (b"a:\n\tb: 1\n", "tab is used as indentation", 2),
        (b"a: " + b"[" * 10_000, "nested more than 32 levels", 1),
        (b"a: " + b"{a: " * 10_000, "nested more than 32 levels", 1),
        (b"{" * 100, "where a key is expected", 1),
        (b"? [a]\n: 1\n", "where a key is expected", 1),
        (b"a: @b\n", "not valid YAML", 1),
        (b"a: b: c\n", "not valid YAML", 1),
    ],
)
def test_files_that_are_no_problem(refuse, data: bytes, message: str, line: int | None) -> None:
    findings = refuse(data)
    assert any(message in finding.message for finding in findings), [str(finding) for finding in findings]
    assert findings[0].line == line


def test_alias_bomb(refuse) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    (finding,) = refuse("\n".join(rows))
    assert "expands to more than 20,000 values" in finding.message
    assert finding.line in (4, 5)


def test_a_wrong_value_hides_no_other_finding(refuse, minimal, known: KnownIds) -> None:
    text = minimal.replace("meta-llama", "meta-lama").replace(
        "concurrency: 100", "requests_per_second: 4\n      concurrency: x"
    )
    assert [finding.line for finding in refuse(text, known=known)] == [3, 6]
    assert [finding.line for finding in refuse(text.replace("1024", "x"), known=known)] == [3, 6, 8]
    without_tokens = text[: text.index("    tokens")] + text[text.index("    slo") :]
    assert [finding.line for finding in refuse(without_tokens, known=known)] == [2, 3, 6]


def test_a_refused_required_value_hides_no_other_finding(refuse, minimal) -> None:
    text = minimal.replace("model: meta", "model: !!str meta").replace("concurrency: 100", "concurrency: x")
    findings = refuse(f"{text}budget: {{monthly: 5}}\npayment: {{extras_monthly: 9}}\n")
    assert [finding.line for finding in findings] == [3, 5, 12]
