"""What makes two plans the same for a ranking."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from optimizer.plan.key import plan_key
from optimizer.vocabulary import Role


def group(**changes):
    base = {
        "workload": "chat",
        "gpu": "h100",
        "link": "nvswitch",
        "interconnect": "nvlink",
        "weight_quant": "fp8",
        "kv_cache": "auto",
        "tensor_parallel": 2,
        "pipeline_parallel": 1,
        "attention_dp": 1,
        "expert_parallel": 1,
        "role": Role.SERVE,
        "drafts": None,
        "host_kv_gib": 0.0,
        "replicas": 3,
        "offer_id": "a",
    }
    return SimpleNamespace(**{**base, **changes})


def node(**changes):
    base = {"provider": "aws", "gpu": "h100", "gpus_per_node": 8, "link": "nvswitch", "count": 1, "tier": "spot"}
    return SimpleNamespace(**{**base, **changes})


@pytest.mark.parametrize(
    ("name", "same", "different"),
    [
        ("configuration", {"replicas": 9, "offer_id": "b"}, {"kv_cache": "fp8"}),
        ("configuration", {}, {"tensor_parallel": 4}),
        ("configuration", {}, {"workload": "rag"}),
        ("configuration", {}, {"expert_parallel": 2}),
        ("configuration", {}, {"host_kv_gib": 200.0}),
        ("configuration", {}, {"tensor_parallel": 1, "attention_dp": 2}),
        ("configuration", {}, {"drafts": SimpleNamespace(words="MTP2")}),
        ("weight_quant", {"gpu": "a100", "tensor_parallel": 8}, {"weight_quant": "int4"}),
        ("gpu", {"weight_quant": "int4"}, {"gpu": "a100"}),
    ],
)
def test_keys_of_groups(name, same, different):
    key = plan_key([group()], [node()], [name])
    assert plan_key([group(**same)], [node()], [name]) == key
    assert plan_key([group(), group(**same)], [node()], [name]) == key  # a set
    assert plan_key([group(**different)], [node()], [name]) != key


@pytest.mark.parametrize(
    ("name", "same", "different"),
    [
        ("provider", {"count": 5, "gpus_per_node": 4}, {"provider": "gcp"}),
        ("node", {"provider": "gcp", "tier": "on_demand"}, {"gpus_per_node": 4}),
    ],
)
def test_keys_of_nodes(name, same, different):
    key = plan_key([group()], [node()], [name])
    assert plan_key([group()], [node(**same)], [name]) == key
    assert plan_key([group()], [node(**different)], [name]) != key


def test_several_names_make_one_key_in_any_order():
    both = plan_key([group()], [node()], ["gpu", "weight_quant"])
    assert both == plan_key([group()], [node()], ["weight_quant", "gpu"])
    assert both.parts == (("gpu", "h100"), ("weight_quant", "fp8"))


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="colour"):
        plan_key([group()], [node()], ["colour"])
