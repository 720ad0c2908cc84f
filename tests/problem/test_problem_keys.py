"""Every key's happy path: the full file, defaults, forms of writing."""

from __future__ import annotations

import ast
import hashlib
import inspect
from itertools import pairwise
from pathlib import Path

import pytest

from optimizer.files.nodes import MappingNode, plain
from optimizer.files.yaml_file import parse_yaml
from optimizer.problem import KnownIds, Problem, load_problem
from optimizer.problem.findings import all_sections, keys_of, section_at
from optimizer.problem.schema import ProblemFile

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]


def value(problem: Problem, path: str) -> object:
    """The value at a dotted path, list items by index."""
    node: object = problem
    for key in path.split("."):
        node = node[int(key)] if isinstance(node, tuple) else getattr(node, key)
    return node


FULL = {
    "name": "Everything",
    "workloads.0.name": "chat",
    "workloads.0.model": "meta-llama/Llama-3.1-70B-Instruct",
    "workloads.0.task": "chat",
    "workloads.0.traffic.concurrency": 100,
    "workloads.0.traffic.requests_per_second": 4.5,
    "workloads.0.traffic.output_tokens_per_second": 2000,
    "workloads.0.traffic.trace": None,
    "workloads.0.traffic.profile.0.name": "day",
    "workloads.0.traffic.profile.0.hours_per_month": 240,
    "workloads.0.traffic.profile.0.factor": 1.25,
    "workloads.0.traffic.profile.1.starts_per_month": 22,
    "workloads.0.traffic.min_replicas": 1,
    "payment.startup_minutes": 15,
    "payment.spot_uplift_percent": 20,
    "workloads.0.traffic.users.active": 500,
    "workloads.0.traffic.users.requests_per_user_per_hour": 30,
    "workloads.0.traffic.users.think_time_s": None,
    "workloads.0.traffic.peak_factor": 1.5,
    "workloads.1.traffic.batch.requests": 100000,
    "workloads.1.traffic.batch.within_hours": 10,
    "workloads.1.traffic.batch.runs_per_month": 20,
    "workloads.0.tokens.input.mean": 1024,
    "workloads.0.tokens.input.p95": 3000,
    "workloads.0.tokens.output": 300,
    "workloads.0.tokens.context_max": 8192,
    "workloads.1.tokens.context_max": 2200,  # constant lengths: input + output
    "workloads.0.tokens.shared_prefix": 0.25,
    "workloads.0.tokens.requests_per_prefix": 8,
    "workloads.3.tokens.prefix_gap_s.p50": 9,
    "workloads.3.tokens.prefix_gap_s.p90": 71,
    "workloads.4.sessions.turns.mean": 24,
    "workloads.4.sessions.turns.p90": 50,
    "workloads.4.sessions.shared_prefix.tokens": 9000,
    "workloads.4.sessions.shared_prefix.groups": 2,
    "workloads.4.sessions.first_input.mean": 4000,
    "workloads.4.sessions.first_input.p90": 8000,
    "workloads.4.sessions.new_input.p50": 350,
    "workloads.4.sessions.output.p95": 900,
    "workloads.4.sessions.output_kept": False,
    "workloads.4.sessions.carry": 0.97,
    "workloads.4.sessions.gap.0.share": 0.86,
    "workloads.4.sessions.gap.0.p50_s": 9,
    "workloads.4.sessions.gap.1.p90_s": 1930,
    "workloads.4.traffic.concurrent_sessions": 40,
    "workloads.4.traffic.sessions_per_second": None,
    "workloads.6.documents.per_request": 6,
    "workloads.6.documents.tokens": 240,
    "workloads.6.documents.distinct": 3200,
    "workloads.6.documents.top10_share": 0.59,
    "workloads.6.documents.position": "after_system",
    "workloads.5.tokens.histogram.0.input": 400,
    "workloads.5.tokens.histogram.1.output": 9000,
    "workloads.5.tokens.histogram.1.share": 0.1,
    "workloads.5.tokens.input": 450,  # mean over the rows
    "workloads.5.tokens.context_max": 9900,  # the longest row
    "workloads.0.tokens.kv_sizing": "worst_case",
    "workloads.2.tokens.classes.0.name": "short",
    "workloads.2.tokens.classes.1.name": "class_2",  # by its place
    "workloads.2.tokens.classes.0.input": 210,
    "workloads.2.tokens.classes.1.input.p95": 9000,
    "workloads.2.tokens.classes.0.output": 150,
    "workloads.2.tokens.classes.0.share": 0.75,
    "workloads.2.tokens.classes.0.context_max": 2048,
    "workloads.2.tokens.classes.1.context_max": 16384,  # that of tokens
    "workloads.2.tokens.classes.0.slo.ttft_ms": 400,
    "workloads.2.tokens.input": 0.75 * 210 + 0.25 * 6000,  # mean over the classes
    "workloads.2.tokens.output": 0.75 * 150 + 0.25 * 310,
    "workloads.2.tokens.split_classes": False,
    "workloads.0.slo.ttft_ms.p50": 500,
    "workloads.0.slo.ttft_ms.p90": 800,
    "workloads.0.slo.ttft_ms.p95": 1000,
    "workloads.0.slo.ttft_ms.p99": 2000,
    "workloads.0.slo.tpot_ms": 50,
    "workloads.0.slo.e2e_s.p99": 60,
    "workloads.0.slo.tokens_per_second_per_user": 25,
    "workloads.0.slo.percentile": 90,
    "workloads.0.quality.min_recovery": 0.95,
    "hardware.gpus.exclude": ("t4_16", "v100_sxm_16"),
    "hardware.nvlink": "required",
    "hardware.providers.classes": ("hyperscaler", "neocloud"),
    "hardware.providers.exclude": ("azure",),
    "hardware.regions": ("us-east-1", "eu-north1"),
    "hardware.market": "us",
    "hardware.datacenter_licensed_only": False,
    "hardware.owned.0.gpu": "a800_sxm_80",
    "hardware.owned.0.gpus_per_node": 8,
    "hardware.owned.0.nodes": 2,
    "hardware.owned.0.nvlink": True,
    "hardware.owned.0.monthly_cost": 900,
    "hardware.owned.0.host_memory_gib": 1024,
    "hardware.only_owned": False,
    "hardware.quota.0.provider": "aws",
    "hardware.quota.0.gpu": "h100_sxm_80",
    "hardware.quota.0.max_gpus": 32,
    "hardware.limits.max_gpus": 64,
    "hardware.limits.max_nodes": 9,
    "hardware.limits.max_power_kw": 80.5,
    "hardware.limits.max_gpu_kinds": 2,
    "hardware.limits.max_share_per_provider": 0.6,
    "hardware.custom.0.vendor": "nvidia",
    "hardware.custom.0.architecture": "hopper",
    "hardware.custom.0.compute_capability": 9.0,
    "hardware.custom.0.memory_marketed_gb": 120,
    "hardware.custom.0.memory_mib": 122000,
    "hardware.custom.0.memory_bandwidth_gb_s": 4000,
    "hardware.custom.0.bf16_dense_tflops": 500,
    "hardware.custom.0.fp8_dense_tflops": 1000,
    "hardware.custom.0.int8_dense_tops": 1000,
    "hardware.custom.0.fp4_dense_tflops": 2000,
    "hardware.custom.0.supports_bf16": True,
    "hardware.custom.0.supports_fp8": True,
    "hardware.custom.0.supports_fp4": False,
    "hardware.custom.0.link": "nvswitch",
    "hardware.custom.0.link_gb_s_both_directions": 900,
    "hardware.custom.0.link_domain_gpus": 8,
    "hardware.custom.0.pcie_generation": 5,
    "hardware.custom.0.pcie_lanes": 16,
    "hardware.custom.0.tdp_w": 600,
    "hardware.custom.0.node_overhead_w_per_gpu": 400,
    "hardware.custom.0.form_factor": "SXM5",
    "hardware.custom.0.release_year": 2026,
    "hardware.custom.0.datacenter_licensed": True,
    "hardware.custom.0.export_note": "none known",
    "hardware.custom.0.source": "the maker's data sheet of 2026-10",
    "hardware.custom.0.notes": "an example",
    "hardware.custom.0.id": "h30_sxm_120",
    "hardware.custom.0.sibling": "h100_sxm_80",
    "hardware.require.countries": ("US", "FI"),
    "hardware.require.headquarters": ("US",),
    "hardware.require.certificates": ("ISO 27001", "SOC 2 Type II"),
    "offers.0.region": "us-east-1",
    "offers.0.country": "US",
    "offers.0.headquarters": "CN",
    "offers.0.certificates": ("ISO 27001",),
    "offers.0.provider_class": "reseller",
    "offers.0.commitment_months": 12,
    "offers.0.min_nodes": 2,
    "offers.0.price_breaks.0.from_nodes": 4,
    "offers.0.price_breaks.0.price_per_hour": 55,
    "offers.0.upfront_percent": 20,
    "offers.0.early_exit_percent": 50,
    "offers.0.host_memory_gib": 2048,
    "offers.0.network_gbps": 400,
    "offers.1.min_nodes": 1,
    "offers.0.id": "quote-1",
    "offers.0.provider": "cn-channel",
    "offers.0.gpu": "h20_96",
    "offers.0.gpus_per_node": 8,
    "offers.0.nvlink": True,
    "offers.0.currency": "CNY",
    "offers.1.currency": "CNY",  # payment.currency
    "offers.0.price_per_hour": 60,
    "offers.1.purchase_price": 450000,
    "offers.0.tier": "reserved_1y",
    "offers.1.tier": "purchase",  # follows the kind of price
    "offers.0.tax_percent": 13,
    "offers.0.stock": 4,
    "offers.0.lead_time_weeks": 6,
    "offers.0.quote_ref": "Q-2026-17",
    "offers.0.valid_until": "2026-12-31",
    "engine.name": "sglang",
    "engine.version": "0.5.2",
    "engine.calibration": "calibration.csv",
    "engine.weight_quant": ("bf16", "fp8"),  # fp16 is bf16
    "engine.kv_cache": ("fp8",),  # one value is a list of one
    "engine.tensor_parallel": (2, 4),
    "engine.pipeline_parallel": (1,),
    "engine.attention_dp": (1, 8),
    "engine.expert_parallel": "off",
    "engine.disaggregation": "any",
    "engine.speculative": "any",
    "engine.kv_tiers": "any",
    "engine.gpu_memory_utilization": 0.85,
    "engine.router": "least_outstanding",
    "engine.max_num_seqs": 128,
    "engine.max_num_batched_tokens": 4096,
    "payment.tiers": ("on_demand", "reserved_1y", "purchase"),
    "payment.max_commitment_months": 12,
    "payment.price_evidence": ("quote", "list"),
    "payment.hours_per_month": 720,
    "payment.discounts.0.provider": "aws",
    "payment.discounts.0.tier": "on_demand",
    "payment.discounts.0.gpu": "h100_sxm_80",
    "payment.discounts.0.percent": 12,
    "payment.discounts.0.until": "2026-12-31",
    "payment.currency": "CNY",
    "payment.fx.rates": {"CNY": 7.1, "EUR": 0.9},
    "payment.fx.date": "2026-08-03",
    "payment.tax_percent": 6,
    "payment.tax_recoverable": True,
    "payment.extras_monthly": 250,
    "payment.mean_load": 0.4,
    "payment.api_price.input_per_million": 0.3,
    "payment.api_price.output_per_million": 0.6,
    "payment.api_price.cached_input_per_million": 0.1,
    "payment.as_of": "2026-08-15",
    "ownership.term_months": 36,
    "ownership.residual": 0.2,
    "ownership.cost_of_capital": 0.05,
    "ownership.electricity_per_kwh": 0.7,
    "ownership.pue": 1.4,
    "ownership.colo_per_kw_month": 900,
    "ownership.support_percent": 4,
    "ownership.staff_monthly": 5000,
    "margins.confidence": 0.8,
    "margins.load_headroom": 0.2,
    "margins.spare_nodes": 1,
    "margins.survive": "node",
    "objective": "minimize_gpus",
    "budget.monthly": 1000000,
    "ranking.top": 5,
    "ranking.distinct_by": ("configuration", "provider", "node"),
    "ranking.min_grade": "B",
    "ranking.max_configurations_per_workload": 1,
}

DEFAULTS = {
    "name": "p",
    "workloads.0.traffic.peak_factor": 1.0,
    "workloads.0.tokens.shared_prefix": 0.0,
    "workloads.0.tokens.requests_per_prefix": None,
    "workloads.0.tokens.prefix_gap_s": None,
    "workloads.0.tokens.kv_sizing": "typical",
    "workloads.0.tokens.classes": (),
    "workloads.0.tokens.split_classes": True,
    "workloads.0.task": None,
    "workloads.0.sessions": None,
    "workloads.0.slo.tpot_ms": None,
    "workloads.0.slo.percentile": 95,
    "workloads.0.quality.min_recovery": 0.97,
    "hardware.gpus": None,
    "hardware.nvlink": "any",
    "hardware.providers": None,
    "hardware.regions": None,
    "hardware.market": None,
    "hardware.datacenter_licensed_only": True,
    "hardware.owned": (),
    "hardware.only_owned": False,
    "hardware.quota": (),
    "hardware.limits.max_gpus": None,
    "offers": (),
    "engine.name": "vllm",
    "engine.calibration": None,
    "engine.weight_quant": None,
    "engine.kv_cache": ("auto", "fp8"),
    "engine.tensor_parallel": (1, 2, 4, 8),
    "engine.pipeline_parallel": (1, 2, 4),
    "engine.attention_dp": None,
    "engine.expert_parallel": "any",
    "engine.disaggregation": "off",
    "engine.speculative": "off",
    "engine.kv_tiers": "none",
    "engine.gpu_memory_utilization": None,
    "payment.tiers": ("on_demand",),
    "payment.max_commitment_months": None,
    "payment.price_evidence": ("quote", "list", "indicative"),
    "payment.hours_per_month": 730,
    "payment.mean_load": 1.0,
    "payment.api_price": None,
    "payment.currency": "USD",
    "payment.fx": None,
    "payment.tax_percent": 0,
    "payment.tax_recoverable": False,
    "payment.as_of": None,
    "ownership.term_months": 48,
    "ownership.residual": 0.1,
    "ownership.cost_of_capital": 0.08,
    "ownership.electricity_per_kwh": 0.10,
    "ownership.pue": 1.3,
    "ownership.colo_per_kw_month": 165,
    "ownership.support_percent": 5,
    "ownership.staff_monthly": 0,
    "margins.confidence": 0.9,
    "margins.load_headroom": 0,
    "margins.spare_nodes": 0,
    "margins.survive": "none",
    "objective": "minimize_cost",
    "budget.monthly": None,
    "ranking.top": 10,
    "ranking.distinct_by": ("gpu", "weight_quant"),
    "ranking.min_grade": None,
    "ranking.max_configurations_per_workload": 1,
}


@pytest.mark.parametrize(("path", "expected"), FULL.items())
def test_every_key_is_read(path: str, expected: object) -> None:
    assert value(load_problem(HERE / "full.yaml"), path) == expected


@pytest.mark.parametrize(("path", "expected"), DEFAULTS.items())
def test_defaults_are_those_of_the_design(load, minimal: str, path: str, expected: object) -> None:
    assert value(load(minimal), path) == expected


def test_every_field_has_a_docstring_and_is_tested() -> None:
    tested = set()
    for path in FULL:
        keys = tuple(int(key) if key.isdigit() else key for key in path.split("."))
        tested |= {(section_at(keys[:at]), key) for at, key in enumerate(keys) if isinstance(key, str)}
    for _, section in all_sections():
        documented = attribute_docstrings(section)
        for key in section.model_fields:
            assert documented.get(key, "").endswith("."), f"{section.__name__}.{key} has no docstring"
            assert (section, key) in tested, f"{section.__name__}.{key} appears in no test"


def attribute_docstrings(section: type) -> dict[str, str]:
    """The text under each field, as written."""
    (cls,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(cls, ast.ClassDef)
    found: dict[str, str] = {}
    for field, text in pairwise(cls.body):
        if not (isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)):
            continue
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            found[field.target.id] = str(text.value.value)
    return found


def test_the_example_of_the_design_has_only_known_keys(full: str) -> None:
    root, findings = parse_yaml(full, "full.yaml")
    assert not findings and isinstance(root, MappingNode)
    document = plain(root)
    assert isinstance(document, dict)
    assert set(document) == set(keys_of(ProblemFile))


@pytest.mark.parametrize("word", ["yes", "YES", "true", "True", "tRuE"])
def test_yes_and_true_are_the_same(load, minimal: str, word: str) -> None:
    problem = load(
        f"{minimal}hardware:\n  owned: [{{gpu: x, gpus_per_node: 1, nvlink: {word}}}]\n  only_owned: {word}\n"
    )
    assert problem.hardware.only_owned is True
    assert problem.hardware.owned[0].nvlink is True


@pytest.mark.parametrize("word", ["no", "No", "false", "FALSE"])
def test_no_and_false_are_the_same(load, minimal: str, word: str) -> None:
    problem = load(f"{minimal}hardware: {{datacenter_licensed_only: {word}}}\n")
    assert problem.hardware.datacenter_licensed_only is False


def test_null_and_empty_sections_mean_the_default(load, minimal: str) -> None:
    text = (
        f"{minimal}hardware:\noffers:\nbudget: {{monthly: null}}\npayment: {{hours_per_month: null, tax_percent: ~}}\n"
    )
    problem = load(text)
    assert problem.hardware == load(minimal).hardware
    assert problem.payment.hours_per_month == 730
    assert "hours_per_month" not in problem.payment.model_fields_set


def test_gpus_and_providers_as_lists(load, minimal: str) -> None:
    problem = load(f"{minimal}hardware: {{gpus: [a, b, a], providers: aws}}\n")
    assert problem.hardware.gpus == ("a", "b")
    assert problem.hardware.providers == ("aws",)


def test_simple_anchors_are_fine(load, minimal: str) -> None:
    text = minimal.replace("{p95: 1000}", "&limit {p95: 1000}") + "      tpot_ms: *limit\n"
    slo = load(text).workloads[0].slo
    assert slo.tpot_ms == slo.ttft_ms


def test_windows_line_ends_are_fine(load, minimal: str) -> None:
    assert load(minimal.replace("\n", "\r\n")).workloads == load(minimal).workloads


def test_sha256_is_of_the_bytes_and_the_edits(load, minimal: str) -> None:
    assert load(minimal).sha256 == hashlib.sha256(minimal.encode()).hexdigest()
    edited = load(minimal, "margins.spare_nodes=1")
    assert edited.sha256 not in (load(minimal).sha256, load(minimal, "margins.spare_nodes=2").sha256)
    assert edited.sha256 == load(minimal, "margins.spare_nodes=1").sha256


def test_problems_are_frozen(load, minimal: str) -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        load(minimal).workloads[0].tokens.context_max = 5


def test_references_are_found(load, full: str, known: KnownIds) -> None:
    assert load(full, known=known).engine.name == "sglang"


def test_shipped_problems_are_sound() -> None:
    files = sorted((REPOSITORY / "problems").glob("*.yaml"))
    assert files
    for file in files:
        assert load_problem(file).workloads, file
        assert file.read_text().startswith("# "), f"{file} does not say what it teaches"
