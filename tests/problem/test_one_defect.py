"""Full problem files with one defect each: the message, the hint and the line of the defect."""

from __future__ import annotations

import pytest

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
    ("input: 210,", "inptu: 210,", "unknown key 'inptu'", "did you mean input"),
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
    # sessions
    ("turns: {mean: 24, p90: 50}", "turns: {mean: 24, p90: 20}", "p90 of 20 turns is below the mean", "geometric"),
    ("turns: {mean: 24, p90: 50}", "turns: {mean: 24, p90: 200}", "too far above the mean of 24", "70.56"),
    ("turns: {mean: 24, p90: 50}", "turns: 0.5", "0.5 turns: it has to be at least 1", None),
    ("first_input: {mean: 4000, p90: 8000}", "first_input: {mean: 4000, p90: 3000}", "not above the mean", "alone"),
    ("first_input: {mean: 4000, p90: 8000}", "first_input: {mean: 4000, p90: 13000}", "3.02 times", "two workloads"),
    ("new_input: {mean: 700, p50: 350}", "new_input: {mean: 700, p50: 700}", "not below the mean", "number alone"),
    ("new_input: {mean: 700, p50: 350}", "new_input: {mean: 700, p50: 350, p90: 900}", "beside each other", "one"),
    ("new_input: {mean: 700, p50: 350}", "new_inputs: {mean: 700}", "unknown key 'new_inputs'", "new_input"),
    ("carry: 0.97", "carry: 97", "at most 1", "97 % is 0.97"),
    ("{share: 0.14,", "{share: 0.24,", "add up to 1.1, not to 1", "all waits"),
    ("p50_s: 9, p90_s: 71", "p50_s: 71, p90_s: 9", "above the p90 of 9 s", "swapped"),
    ("tokens: {context_max: 65536}", "tokens: {context_max: 12000}", "first turn of a mean session holds 13,240", None),
    ("context_max: 65536}", "context_max: 65536, input: 5}", "input stands beside sessions", "leave input out"),
    ("context_max: 65536}", "context_max: 65536, shared_prefix: 0.5}", "shared_prefix stands beside sessions", "out"),
    ("context_max: 65536}", "context_max: 65536, prefix_gap_s: 5}", "prefix_gap_s stands beside sessions", "out"),
    ("{concurrent_sessions: 40}", "{concurrency: 40}", "of which session the next request is", "users"),
    ("{concurrent_sessions: 40}", "{users: {active: 4, think_time_s: 9}}", "whose gap says when", "think_time_s out"),
    ("{concurrent_sessions: 40}", "{concurrent_sessions: 40, requests_per_second: 2}", "beside each other", "keep one"),
    ("{concurrent_sessions: 40}", "{peak_factor: 2}", "does not say how many sessions there are", "state one of"),
    ("carry: 0.97", "compaction: yes", "not modelled; a session ends at tokens.context_max", None),
    ("    slo: {ttft_ms: {p95: 8000}, tpot_ms: {p95: 80}}", "    compaction: {}", "are not modelled", None),
    ("traffic: {requests_per_second: 1.5}", "traffic: {sessions_per_second: 1.5}", "without sessions", "gap"),
    # documents
    ("tokens: 240, distinct: 3200", "distinct: 3200", "the key 'tokens' is missing", None),
    ("position: after_system", "position: middle", "expected one of after_system, first", None),
    ("position: after_system", "position: first", "6 documents stand first, of which any order", "after_sys"),
    ("distinct: 3200, ", "", "top10_share stands without distinct", "how many different"),
    ("top10_share: 0.59", "top10_share: 0.05", "the most asked tenth gets 0.1 where all are", "leave it out"),
    ("tokens: {context_max: 16384}", "tokens: {context_max: 1700}", "first turn of a mean session holds 1,883", None),
    ("gap: {p50: 40, p90: 300}}", "gap: {p50: 40, p90: 300}, carry: 0.9}", "nothing behind them is found", "carry"),
    (
        "per_request: 6, tokens: 240, distinct: 3200, top10_share: 0.59, position: after_system",
        "tokens: 240, position: first",
        "distinct is missing",
        "how many different documents",
    ),
    # numbers
    ("concurrency: 100", "concurrency: -100", "-100 requests in flight: it has to be above 0", "sign"),
    ("concurrency: 100", "concurrency: 0", "has to be above 0", "leave the key out"),
    ("concurrency: 100", "concurrency: many", "needs a number of requests in flight, not the text 'many'", "number"),
    ("concurrency: 100", 'concurrency: "100"', "not the text '100'", "delete the quotes"),
    ("concurrency: 100", 'concurrency: "1,5"', "not the text '1,5'", "without unit or separators"),
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
    ("kv_cache: fp8", "kv_cache: fp4", "expected one of auto, fp8", "fp8"),
    ("kv_cache: fp8", "kv_cache: int4_per_token_head", "costs in quality; ask for fp8 or auto", None),
    ("kv_cache: fp8", "kv_cache: [auto, nvfp4]", "costs in quality; ask for fp8 or auto", None),
    ("kv_cache: fp8", "kv_cache: fp8_e4m3", "the format that fp8 means here; write fp8", None),
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
        "limits: {max_gpus: 64, max_nodes: 9, max_power_kw: 80.5, max_gpu_kinds: 2, max_share_per_provider: 0.6}",
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
    ("input: {mean: 1024, p95: 3000}", "input: {mean: 1024, p95: 4000}", "3.87 times the mean", "histogram: "),
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
