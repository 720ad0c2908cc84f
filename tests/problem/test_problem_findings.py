"""Every way a problem file can be wrong: the right place, the right words, exit without traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.errors import ProblemError
from optimizer.problem import KnownIds, load_problem

# old text, new text, words of the message, words of the hint; the finding is in the line of the old text
MUTATIONS = [
    # unknown and misspelt keys
    ("peak_factor: 1.5", "peek_factor: 1.5", "unknown key 'peek_factor'", "did you mean peak_factor"),
    ("market: us", "max_power_kw: 4", "unknown key 'max_power_kw' in hardware", "hardware.limits"),
    ("name: Everything", "title: Everything", "unknown key 'title'", "keys here"),
    ("    quality: {", "    qualities: {", "unknown key 'qualities'", "quality"),
    ("market: us", "number: 5", "unknown key 'number' in hardware", None),
    # length classes
    ("share: 0.75", "share: 0.5", "add up to 0.75, not to 1", "part of the requests"),
    ("share: 0.75", "share: 75", "at most 1", "75 % is 0.75"),
    ("share: 0.75", "share: 0", "above 0", None),
    (", share: 0.25", "", "the key 'share' is missing in workloads.2.tokens.classes.1", "share"),
    ("input: 210, output: 150, ", "input: 210, ", "the key 'output' is missing", "output: 300"),
    ("input: 210", "inptu: 210", "unknown key 'inptu'", "did you mean input"),
    ("context_max: 2048", "context_max: 300", "input + output are 360 on average", "longest input + output"),
    ("context_max: 2048", "context_max: 20000", "20,000 tokens is beyond the workload's 16,384", "leave it out"),
    (
        "share: 0.25}",
        "share: 0.25, context_max: 12000}",
        "no class accepts the longest request",
        "raise that of a class",
    ),
    ("- {input: {mean: 6000", "- {name: short, input: {mean: 6000", "the name 'short' is taken", "own name"),
    ("mean: 6000, p95: 9000", "mean: 6000, p95: 5000", "not above the mean", "constant"),
    ("split_classes: no", "input: 5", "input stands beside classes", "leave input out"),
    ("split_classes: no", "split_classes: maybe", "expected yes or no", None),
    ("slo: {ttft_ms: 400}", "slo: {ttft_ms: 0.4}", "0.4 milliseconds, which nothing can meet", "milliseconds"),
    ("slo: {ttft_ms: 400}", "slo: {ttft_mss: 400}", "unknown key 'ttft_mss'", "ttft_ms"),
    # numbers
    ("concurrency: 100", "concurrency: -100", "-100 requests in flight: it has to be above 0", "sign"),
    ("concurrency: 100", "concurrency: 0", "has to be above 0", "leave the key out"),
    ("concurrency: 100", "concurrency: many", "needs a number of requests in flight, not the text 'many'", "number"),
    ("concurrency: 100", 'concurrency: "100"', "not the text '100'", "delete the quotes"),
    ("concurrency: 100", "concurrency: yes", "not the text 'yes'", None),
    ("concurrency: 100", "concurrency: true", "not true", None),
    ("concurrency: 100", "concurrency: [100]", "not a list", None),
    ("concurrency: 100", "concurrency: {a: 1}", "not a mapping", None),
    ("concurrency: 100", "concurrency: .inf", ".inf is not a finite number", "null"),
    ("concurrency: 100", "concurrency: .NaN", "not a finite number", None),
    ("concurrency: 100", "concurrency: 1e999", "no sensible number", None),
    ("concurrency: 100", "concurrency: 1" + "0" * 60, "no sensible number", None),
    ("concurrency: 100", "concurrency: 1e15", "at most 1e+12", None),
    ("concurrency: 100", "concurrency: 1_000", "not the text '1_000'", "without unit or separators"),
    ("tpot_ms: 50", "tpot_ms: 50ms", "needs a number of milliseconds, not the text '50ms'", "in milliseconds"),
    ("context_max: 8192", "context_max: 8192.5", "needs a whole number of tokens, not 8192.5", "round it"),
    ("context_max: 8192", "context_max:", "not nothing", None),
    ("max_num_seqs: 128", "max_num_seqs: 0", "at least 1", None),
    ("gpu_memory_utilization: 0.85", "gpu_memory_utilization: 85", "below 1", "85 % is 0.85"),
    ("shared_prefix: 0.25", "shared_prefix: 25", "at most 1", "25 % is 0.25"),
    ("quality: {min_recovery: 0.95}", "quality: {min_recovery: 95}", "at most 1", "95 % is 0.95"),
    ("percentile: 90", "percentile: 100", "at most 99.9", None),
    ("percentile: 90", "percentile: 0.5", "at least 1", None),
    ("margins: {confidence: 0.8", "margins: {confidence: 0.3", "at least 0.5", None),
    ("peak_factor: 1.5", "peak_factor: 0.5", "at least 1", None),
    ("hours_per_month: 720", "hours_per_month: 800", "at most 744", "hours"),
    ("pue: 1.4", "pue: 0.9", "at least 1", None),
    ("residual: 0.2", "residual: 1", "below 1", None),
    ("percent: 12, until", "percent: 100, until", "below 100", None),
    # words and lists
    ("kv_sizing: worst_case", "kv_sizing: worst", "expected one of typical, worst_case", "worst_case"),
    ("nvlink: required", "nvlink: requierd", "expected one of any, required, forbidden", "required"),
    ("market: us", "market: eu", "expected one of cn, us", None),
    ("datacenter_licensed_only: no", "datacenter_licensed_only: maybe", "expected yes or no", None),
    ("datacenter_licensed_only: no", "datacenter_licensed_only: 1", "expected yes or no", None),
    ("only_owned: false", "only_owned: off", "expected yes or no", None),
    ("weight_quant: [fp16, fp8]", "weight_quant: [fp16, fp9]", "expected one of native, bf16", "fp8"),
    ("kv_cache: fp8", "kv_cache: fp4", "expected one of auto, fp8, int8", "fp8"),
    ("tensor_parallel: [2, 4]", "tensor_parallel: [2, 3]", "expected one of 1, 2, 4, 8", None),
    ("tensor_parallel: [2, 4]", "tensor_parallel: [2, 4.5]", "whole number", None),
    ("tensor_parallel: [2, 4]", "tensor_parallel: []", "empty list", "no restriction"),
    ("regions: [us-east-1, eu-north1]", "regions: []", "empty list", None),
    ("tiers: [on_demand, reserved_1y, purchase]", "tiers: [on_demnd]", "expected one of on_demand", "on_demand"),
    ("tiers: [on_demand, reserved_1y, purchase]", "tiers: [owned]", "expected one of on_demand", None),
    ("objective: minimize_gpus", "objective: minimise_gpus", "expected one of minimize_cost", "minimize_gpus"),
    ("distinct_by: [configuration,", "distinct_by: [config,", "expected one of configuration", "configuration"),
    ("classes: [hyperscaler, neocloud]", "classes: [hyperscalers]", "expected one of hyperscaler", "hyperscaler"),
    ("currency: CNY\n    price", "currency: yuan\n    price", "three capital letters", None),
    ("valid_until: 2026-12-31\n", "valid_until: 31.12.2026\n", "year-month-day", None),
    ("as_of: 2026-08-15", "as_of: 2026-02-30", "year-month-day", None),
    ("fx: {CNY: 7.1", "fx: {cny: 7.1", "three capital letters", None),
    ("fx: {CNY: 7.1", "fx: {CNY: 0", "above 0", None),
    ('version: "0.5.2"', "version: 0.5", "needs text, not 0.5", 'put it in quotes: "0.5"'),
    ("name: Everything", "name: 2026", "needs text, not 2026", "quotes"),
    ("  - name: chat", "  - name: a.b", "may not contain", None),
    ("  - name: chat", "  - name: 7seven.", "may not contain", None),
    ("  limits: {max_gpus: 64,", "  limits: {max_gpus: 0,", "at least 1", None),
    (
        "limits: {max_gpus: 64, max_nodes: 9, max_power_kw: 80.5, max_gpu_kinds: 2}",
        "limits: 64",
        "needs keys",
        "max_gpus",
    ),
    ("price_per_hour: 60", "price_per_hour: 0", "above 0", None),
    ("price_per_hour: 60", "price_per_hour: free", "not the text 'free'", None),
    # full-width punctuation
    ("tpot_ms: 50", "tpot_ms: 5０", "needs a number", "full-width characters '０'"),
    ("tpot_ms: 50", "tpot_ms：50", "full-width '：'", "tpot_ms: 50"),
    ("{p50: 500, p90: 800", "{p50: 500， p90: 800", "full-width '，'", "p50: 500, p90: 800"),
    ("nvlink: required", "nvlink: “required”", "expected one of any", "full-width"),
    ("peak_factor: 1.5", "peak_factor（x）: 1.5", "unknown key", "full-width"),
    # YAML
    ("concurrency: 100", "concurrency: !!int 100", "tag", "delete the tag"),
    ("concurrency: 100", "concurrency: *nowhere", "refers to nothing", "quotes"),
    ("concurrency: 100", "concurrency: &a [*a]", "contains itself", None),
    ("concurrency: 100", "<<: {concurrency: 100}", "merge keys", None),
    ("concurrency: 100", "100: concurrency", "the key '100' is not text", None),
    ("concurrency: 100", "yes: 4\n      true: 3", "the key 'true' is not text", None),
    ("concurrency: 100", "concurrency: 'open", "not valid YAML", "quote"),
    ("max_num_seqs: 128", "name: vllm", "a second time", "first in line"),
    # across keys
    ("input: {mean: 1024, p95: 3000}", "input: {mean: 1024, p95: 1000}", "not above the mean", "constant"),
    ("input: {mean: 1024, p95: 3000}", "input: {mean: 1024, p95: 4000}", "3.87 times the mean", "two workloads"),
    ("input: {mean: 1024, p95: 3000}", "input: {mean: 8000, p95: 9000}", "beyond context_max", "raise"),
    ("context_max: 8192", "context_max: 1200", "input + output are 1,324", "longest input + output"),
    ("p95: 1000, p99", "p95: 700, p99", "the p90 limit of 800 is above the p95 limit of 700", "swapped"),
    ("{p50: 500, p90: 800, p95: 1000, p99: 2000}", "0.5", "0.5 milliseconds", "milliseconds"),
    ("{p50: 500, p90: 800, p95: 1000, p99: 2000}", "{}", "states no limit", None),
    ("tpot_ms: 50", "tpot_ms: 0.05", "nothing can meet", "milliseconds"),
    (
        "{active: 500, requests",
        "{active: 500, think_time_s: 9, requests",
        "both a request rate and a think",
        "keep one",
    ),
    ("{active: 500, requests_per_user_per_hour: 30}", "{active: 500}", "need requests_per_user_per_hour", "30"),
    ("within_hours: 10, runs_per_month: 20}", "within_hours: 40, runs_per_month: 20}", "800 hours", "lower"),
    ("batch: {requests", "peak_factor: 2\n      batch: {requests", "beside peak_factor", "two workloads"),
    ("  - name: nightly", "  - name: chat", "the name 'chat' is taken", None),
    ("max_gpus: 64", "max_gpus: 1", "smallest replica allowed under engine takes 2 GPUs", "raise max_gpus"),
    (
        "{provider: aws, gpu: h100_sxm_80, max",
        "{provider: aws, gpu: h100_sxm_80, max_gpus: 2}\n    - {provider: aws, gpu: h100_sxm_80, max",
        "a second quota",
        None,
    ),
    ("id: quote-2", "id: quote-1", "the offer id 'quote-1' is taken", None),
    ("purchase_price: 450000", "purchase_price: 450000, price_per_hour: 4", "both a price per hour", "two quotes"),
    (", purchase_price: 450000", "", "quote-2 has no price", "price_per_hour"),
    ("tier: reserved_1y\n", "tier: purchase\n", "the tier purchase needs a purchase_price", None),
    ("max_commitment_months: 12\n", "max_commitment_months: 6\n", None, None),
    ("monthly: 1000000", "monthly: 200", "used up by payment.extras_monthly", None),
]


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"), MUTATIONS, ids=[f"{m[0][:24]}->{m[1][:30]}" for m in MUTATIONS]
)
def test_one_defect_is_named_in_its_line(refuse, load, full, old, new, message, hint) -> None:
    assert full.count(old) == 1, "the mutation has to be unique"
    text = full.replace(old, new)
    if message is None:
        assert load(text).warnings
        return
    findings = refuse(text)
    line = full[: full.index(old)].count("\n") + 1
    hits = [finding for finding in findings if message in finding.message]
    assert hits, f"{message!r} not in {[str(finding) for finding in findings]}"
    new_lines = range(line, line + max(old.count("\n"), new.count("\n")) + 1)
    assert hits[0].line in new_lines
    assert hits[0].column is not None and hits[0].column >= 1
    assert hint is None or hint in (hits[0].hint or "")


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


def test_all_errors_of_a_file_at_once(refuse, full) -> None:
    text = full
    for old, new, message, _ in MUTATIONS:
        unique = message is not None and full.count(old) == 1 and text.count(old) == 1
        if unique and old in ("concurrency: 100", "nvlink: required", "tpot_ms: 50", "pue: 1.4", "market: us"):
            text = text.replace(old, new)
    text = text.replace("monthly: 1000000", "monthly: 200").replace("max_gpus: 64", "max_gpus: 1")
    messages = " | ".join(finding.message for finding in refuse(text))
    for words in (
        "concurrency",
        "requierd",
        "milliseconds",
        "pue",
        "max_power_kw",
        "extras_monthly",
        "smallest replica",
    ):
        assert words in messages


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
    ("regions: [us-east-1", "regions: [us-east-2", "unknown region", "us-east-1"),
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
            "offers: [{id: q, provider: x, gpu: a, gpus_per_node: 8, price_per_hour: 9, valid_until: 2026-08-01}]",
            "before 2026-08-20",
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
