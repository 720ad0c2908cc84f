"""Every emitted option exists in the engine's release; what is published is named; what cannot run is refused."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from optimizer.calibrate.benchmark_results import parse_row
from optimizer.calibrate.rows import case_of, degree_defects
from optimizer.catalog.checkpoints import checkpoint_for
from optimizer.demand import Lengths
from optimizer.handover.launch import launch_files
from optimizer.handover.launch.facts import load_facts
from optimizer.handover.launch.server import doubts_of, measurement_csv, servers_of
from optimizer.plan.experiment import Stated
from optimizer.plan.types import Outcome
from optimizer.planning.inputs import Inputs
from optimizer.report.serve_commands import serve_words

READ = {
    "vllm": ("0.11.0", "0.12.0", "0.19.0", "0.25.1", "0.33.0", ""),
    "sglang": ("0.5.12", "0.5.16", "0.5.23", ""),
    "trtllm": ("",),
}
PLAIN = Lengths(1024, 300, 8192)
SPREAD = Lengths(1024, 300, 8192, 3000, 700, shared_prefix=0.2, requests_per_prefix=4)


def _changed(outcome: Outcome, lengths: Lengths = PLAIN, held: bool = True, **changes: Any) -> Outcome:
    first, asked = outcome.plans[0], outcome.asked[0]
    plan = replace(first, groups=(replace(first.groups[0], **changes),))
    stated = Stated(lengths, arrives=True, held=100.0 if held else 0.0)
    return replace(outcome, plans=(plan,), asked=(replace(asked, stated=stated),))


@pytest.mark.parametrize(("engine", "version"), [(engine, one) for engine, all_ in READ.items() for one in all_])
def test_every_option_exists_in_the_release(engine: str, version: str, outcome: Outcome, inputs: Inputs) -> None:
    facts = load_facts()
    kinds = itertools.product(("fp8", "bf16", "int4"), ("auto", "fp8"), (1, 2), (True, False), (PLAIN, SPREAD))
    for quant, kv, stages, held, lengths in kinds:
        changed = _changed(
            outcome, lengths, held, engine=engine, weight_quant=quant, kv_cache=kv, pipeline_parallel=stages
        )
        for server in servers_of(changed, changed.plans[0], inputs.catalog, facts, version or None):
            assert server.serve is not None
            doubts = [one for one in doubts_of(server, facts) if "or newer" not in one]
            assert not doubts, doubts


@pytest.mark.parametrize(("engine", "version"), [("vllm", "0.19.0"), ("vllm", "0.33.0"), ("sglang", "0.5.12"),
                                                  ("sglang", "0.5.23"), ("vllm", ""), ("sglang", "")])  # fmt: skip
def test_kv_cache_in_host_memory_in_the_words_of_each_engine(
    engine: str, version: str, outcome: Outcome, inputs: Inputs
) -> None:
    """vLLM: GiB of all ranks; SGLang: GB of each; both options are in the release."""
    changed = _changed(outcome, engine=engine, weight_quant="bf16", tensor_parallel=2, host_kv_gib=300.0)
    (server,) = servers_of(changed, changed.plans[0], inputs.catalog, load_facts(), version or None)
    words = list(server.serve or ())
    if engine == "vllm":
        assert words[words.index("--kv-offloading-backend") + 1] == "native"
        assert words[words.index("--kv-offloading-size") + 1] == "300"
    else:
        assert "--enable-hierarchical-cache" in words
        assert words[words.index("--hicache-size") + 1] == "161"  # 150 GiB
    assert not [one for one in doubts_of(server, load_facts()) if "or newer" not in one]


SHAPES = {
    "tensor parallel": ((8, 1, 1), {"--tensor-parallel-size": "8"}, {"--tp-size": "8"}, {"--tp_size": "8"}),
    "experts dealt": (
        (8, 1, 8),
        {"--tensor-parallel-size": "8", "--enable-expert-parallel": ""},
        {"--tp-size": "8", "--ep-size": "8"},
        {"--tp_size": "8", "--ep_size": "8"},
    ),
    "attention ranks": (
        (1, 8, 8),
        {"--tensor-parallel-size": "1", "--data-parallel-size": "8", "--enable-expert-parallel": ""},
        {
            "--tp-size": "8",
            "--dp-size": "8",
            "--enable-dp-attention": "",
            "--ep-size": "8",
            "--moe-a2a-backend": "deepep",
        },
        {"--tp_size": "8", "--ep_size": "8"},
    ),
}
OF_SHARED_EXPERTS = {
    "--data-parallel-size", "--enable-expert-parallel", "--dp-size", "--enable-dp-attention", "--ep-size", "--ep_size",
    "--moe-a2a-backend",
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_degrees_of_a_mixture_in_the_words_of_each_engine(shape: str, outcome: Outcome) -> None:
    """vLLM: t x d GPUs; SGLang and TensorRT-LLM: all of them under tensor parallel. Other options of experts: none."""
    (tensor, ranks, experts), *expected = SHAPES[shape]
    for engine, options in zip(("vllm", "sglang", "trtllm"), expected, strict=True):
        group = replace(
            outcome.plans[0].groups[0], engine=engine, tensor_parallel=tensor, attention_dp=ranks,
            expert_parallel=experts, published_as="x/y", max_num_seqs=100, max_num_batched_tokens=4096,
        )  # fmt: skip
        words = serve_words(group) or []
        for option, value in options.items():
            assert option in words
            assert not value or words[words.index(option) + 1] == value
        assert {word for word in words if word in OF_SHARED_EXPERTS} <= set(options)
        limit = {"vllm": "--max-num-seqs", "sglang": "--max-running-requests", "trtllm": "--max_batch_size"}[engine]
        of_all = ranks if engine == "sglang" else 1  # SGLang divides what is stated by its ranks
        assert words[words.index(limit) + 1] == str(100 * of_all)
        if engine == "sglang":
            assert words[words.index("--chunked-prefill-size") + 1] == str(4096 * ranks)


@pytest.mark.parametrize(("engine", "version"), [(engine, one) for engine, all_ in READ.items() for one in all_])
def test_options_of_shared_experts_exist_in_the_release(
    engine: str, version: str, outcome: Outcome, inputs: Inputs
) -> None:
    facts = load_facts()
    for tensor, ranks, experts in (degrees for degrees, *_ in SHAPES.values()):
        changed = _changed(
            outcome, engine=engine, weight_quant="bf16", tensor_parallel=tensor, attention_dp=ranks,
            expert_parallel=experts,
        )  # fmt: skip
        for server in servers_of(changed, changed.plans[0], inputs.catalog, facts, version or None):
            assert server.gpus == 8
            assert not [one for one in doubts_of(server, facts) if "or newer" not in one]


@pytest.mark.parametrize("ranks", [1, 8])
def test_a_measured_row_of_attention_ranks_is_read_as_the_plan_means_it(
    ranks: int, outcome: Outcome, inputs: Inputs
) -> None:
    """The row to complete after a benchmark says the degrees, and predict reads the same replica from it."""
    model = "deepseek-ai/DeepSeek-V3"
    changed = _changed(
        outcome, held=False, model=model, tensor_parallel=8 // ranks, attention_dp=ranks, expert_parallel=8,
        gpus_per_node=8,
    )  # fmt: skip
    (server,) = servers_of(changed, changed.plans[0], inputs.catalog, load_facts(), None)
    (cells,) = csv.DictReader(io.StringIO(measurement_csv(server)))
    case = case_of(parse_row(cells), inputs.catalog)
    assert (case.spec.tensor_parallel, case.spec.attention_dp, case.spec.expert_parallel) == (8 // ranks, ranks, 8)
    assert case.replicas == ranks * server.experiment.test.replicas
    assert not list(degree_defects(case.row, inputs.catalog.models[model], gpu_count_stated=True))


@pytest.mark.parametrize(
    ("kv", "told"), [("auto", "'enable_attention_dp: true"), ("fp8", r"  dtype: fp8\nenable_attention_dp: true")]
)
def test_tensorrt_reads_attention_ranks_from_its_file(kv: str, told: str, outcome: Outcome, inputs: Inputs) -> None:
    changed = _changed(
        outcome, engine="trtllm", weight_quant="bf16", kv_cache=kv, tensor_parallel=1, attention_dp=8,
        expert_parallel=8,
    )  # fmt: skip
    (server,) = servers_of(changed, changed.plans[0], inputs.catalog, load_facts(), None)
    assert told in server.command(None)[2]


def test_an_option_of_one_neighbour_only_is_found() -> None:
    options = load_facts().options
    words = ["sglang", "serve", "--cuda-graph-max-bs", "8"]
    assert not list(options.doubts(words, "0.5.12"))
    assert list(options.doubts(words, "0.5.16")) == ["sglang serve 0.5.23 does not know --cuda-graph-max-bs"]
    assert list(options.doubts(["vllm", "serve", "--made-up"], "0.19.0"))
    assert not list(options.doubts(["vllm", "serve", "--max-num-seqs", "8"], "0.11"))  # short for 0.11.0


@pytest.mark.parametrize(("engine", "version"), [("vllm", "0.10.2"), ("vllm", "0.40.0"), ("trtllm", "1.2.0")])
def test_a_release_outside_what_was_read_is_warned_about(
    engine: str, version: str, outcome: Outcome, inputs: Inputs
) -> None:
    changed = _changed(outcome, engine=engine)
    files = launch_files(changed, changed.plans[0], inputs.catalog, load_facts(), version)
    assert f"{version} was not read" in files[0].text.replace("\\", "")


def test_tensorrt_loads_fp8_or_refuses(outcome: Outcome, inputs: Inputs) -> None:
    group = replace(outcome.plans[0].groups[0], engine="trtllm")
    words = serve_words(group, "nvidia/Llama-3.1-70B-Instruct-FP8")
    assert words is not None
    assert words[1] == "nvidia/Llama-3.1-70B-Instruct-FP8"
    assert "--enable_chunked_prefill" in words
    changed = _changed(outcome, engine="trtllm", model="Qwen/Qwen2.5-72B-Instruct")
    files = launch_files(changed, changed.plans[0], inputs.catalog, load_facts(), None)
    assert "makes no FP8 weights while loading" in files[0].text
    assert not [file for file in files if file.name.endswith(("serve.sh", "kubernetes.yaml", "compose.yaml"))]


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_what_is_published_is_named(engine: str, outcome: Outcome, inputs: Inputs) -> None:
    catalog, facts = inputs.catalog, load_facts()
    for (model, quant), rows in catalog.checkpoints.items():
        found = checkpoint_for(catalog, model, quant, engine)
        assert found in rows or (engine == "trtllm" and found is None)
        changed = _changed(outcome, model=model, weight_quant=quant, engine=engine)
        for server in servers_of(changed, changed.plans[0], catalog, facts, None) if found else ():
            assert "PATH_OF" not in " ".join([*(server.serve or ()), *server.bench])
            assert "--quantization" not in (server.serve or ())


def test_a_checkpoint_newer_than_the_engine_is_warned_about(outcome: Outcome, inputs: Inputs) -> None:
    changed = _changed(outcome, published_as="x/y", needs_engine="vllm 0.19.1")
    old, new = (
        launch_files(changed, changed.plans[0], inputs.catalog, load_facts(), version)[0].text.replace("\\", "")
        for version in ("0.11.0", "0.25.0")
    )
    assert "x/y needs vllm 0.19.1 or newer; 0.11.0 is stated" in old
    assert "is stated" not in new.split("Worth knowing")[1]


def test_graphs_reach_as_far_as_the_batch_and_the_name_follows_the_release(outcome: Outcome) -> None:
    group = replace(outcome.plans[0].groups[0], engine="sglang", max_num_seqs=96)
    names = {
        version: [word for word in serve_words(replace(group, engine_version=version)) or () if "graph" in word]
        for version in ("0.5.12", "0.5.16", "0.5.23", "")
    }
    decode = ["--cuda-graph-max-bs-decode"]
    assert names == {"0.5.12": ["--cuda-graph-max-bs"], "0.5.16": [], "0.5.23": decode, "": decode}


def _documents(outcome: Outcome, inputs: Inputs, ending: str) -> list[Any]:
    files = launch_files(outcome, outcome.plans[0], inputs.catalog, load_facts(), None)
    (text,) = [file.text for file in files if file.name.endswith(ending)]
    return list(YAML(typ="safe", pure=True).load_all(text))


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_operations(engine: str, outcome: Outcome, inputs: Inputs) -> None:
    changed = _changed(outcome, engine=engine)
    budget, *rules = _documents(changed, inputs, "operations.yaml")
    kubernetes_validate.validate(budget, "1.30", strict=True)
    deployment, _ = _documents(changed, inputs, "kubernetes.yaml")
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]
    pod = deployment["spec"]["template"]["spec"]
    (spread,) = pod["topologySpreadConstraints"]
    assert spread["labelSelector"] == deployment["spec"]["selector"]
    keys = [one["valueFrom"]["secretKeyRef"] for one in pod["containers"][0]["env"] if one["name"].endswith("_API_KEY")]
    assert keys == ([] if engine == "trtllm" else [{"name": "llm-api-key", "key": "key"}])
    assert (pod["containers"][0]["command"][-2:] == ["--api-key", "$(LLM_API_KEY)"]) == (engine == "sglang")
    assert not pod["containers"][0]["image"].endswith(":latest") or engine == "trtllm"
    if engine == "trtllm":
        assert not rules
        return
    alerts = {one["alert"]: one["expr"] for one in rules[0]["spec"]["groups"][0]["rules"]}
    assert set(alerts) == {"MoreInFlightThanProven", "RequestsWait", "KvCacheFull", "PromiseTtftP95", "PromiseTpotP95"}
    assert alerts["MoreInFlightThanProven"].endswith("> 69")  # 138.2 in flight are carried, by two servers
    assert alerts["PromiseTtftP95"].startswith("histogram_quantile(0.95,")
    assert alerts["PromiseTpotP95"].endswith("> 0.05")
