"""The server's command of a group: every setting that the prediction assumed, in the words of its engine and version.

Options as in the engines' argument parsers (catalogs/engine_options.csv): ``vllm serve``; ``sglang serve``, before it
``sglang.launch_server``; ``trtllm-serve``.
"""

from __future__ import annotations

import json

from optimizer.plan.types import Group
from optimizer.report.words import quant_name
from optimizer.vocabulary import Role, split_version

_CALIBRATED = frozenset({"int8", "int4", "nvfp4", "mxfp4"})
"""Formats that need a checkpoint of their own where they are not the model's; fp8 can be made while loading."""

_ONLY_CHECKPOINTS = frozenset({"trtllm"})
"""Engines that make no format while loading: without a checkpoint in it they would load the published 16 bit."""

_SGLANG_SERVE = (0, 5, 12)
_SGLANG_DECODE_GRAPHS = (0, 5, 23)
"""Releases whose options were read: the first with ``sglang serve``, and one that bounds decode graphs by themselves;
between the two the name of that option changed, so that there neither is safe."""


def engine_family(engine: str) -> str:
    """``vllm`` for vllm-ascend too: the same command line."""
    return engine.partition("-")[0]


def serve_words(group: Group, checkpoint: str | None = None) -> list[str] | None:
    """The server's command as words; None where the engine's command is not known, or ``why_not_served``.

    ``checkpoint`` names weights that are in the plan's format already. Without it those that the plan names are loaded,
    else the catalog's model, and fp8 is made while loading.
    """
    serve = {"vllm": _serve_vllm, "sglang": _serve_sglang, "trtllm": _serve_trtllm}.get(engine_family(group.engine))
    if serve is None or why_not_served(group, checkpoint):
        return None
    return [*serve(group, checkpoint or group.published_as or None), *_pool_words(group), *_draft_words(group)]


def _draft_words(group: Group) -> list[str]:
    """How an engine is told to draft: one chain of tokens. SGLang runs MTP under the name EAGLE, by the layers of the
    checkpoint where no draft is named (SGLang documentation, "Speculative decoding"), and counts the last token of the
    step before as one of those it verifies."""
    drafts, family = group.drafts, engine_family(group.engine)
    if drafts is None:
        return []
    own = drafts.method == "mtp"
    if family == "vllm":
        head = {} if own else {"model": drafts.head}
        stated = {"method": drafts.method, **head, "num_speculative_tokens": drafts.tokens}
        return ["--speculative-config", json.dumps(stated)]
    words = ["--speculative-algorithm", "EAGLE" if own else "EAGLE3", "--speculative-num-steps", str(drafts.tokens)]
    words += ["--speculative-eagle-topk", "1", "--speculative-num-draft-tokens", str(drafts.tokens + 1)]
    return words if own else [*words, "--speculative-draft-model-path", drafts.head]


def _pool_words(group: Group) -> list[str]:
    """What makes a server a worker of a pool; TensorRT-LLM is told in its file of options."""
    family = engine_family(group.engine)
    if group.role is Role.SERVE or family == "trtllm":
        return []
    if family == "vllm":
        return ["--kv-transfer-config", '{"kv_connector":"NixlConnector","kv_role":"kv_both"}']
    return ["--disaggregation-mode", str(group.role), "--disaggregation-transfer-backend", "nixl"]


def why_not_served(group: Group, checkpoint: str | None = None) -> str:
    """Why an engine that is known cannot start this plan; empty where it can."""
    named = checkpoint or group.published_as
    if engine_family(group.engine) in _ONLY_CHECKPOINTS and group.weight_quant == "fp8" and not named:
        return (
            f"TensorRT-LLM makes no FP8 weights while loading, and no published FP8 checkpoint of {group.model} that "
            "it loads is known: quantize one with NVIDIA ModelOpt and serve that"
        )
    return ""


def model_to_load(group: Group, checkpoint: str | None = None) -> str:
    """The checkpoint to load: the one named, the catalog's model, or the user's own in a format that needs one."""
    named = checkpoint or group.published_as
    if named:
        return named
    if group.weight_quant in _CALIBRATED:
        return f"PATH_OF_{quant_name(group.weight_quant)}_CHECKPOINT_OF_{group.model.rpartition('/')[2]}"
    return group.model


def has_to_be_made(group: Group) -> bool:
    """Whether a group's weights are in a format that needs a checkpoint of its own and none is known."""
    return not group.published_as and group.checkpoint != "published" and group.weight_quant in _CALIBRATED


def _serve_vllm(group: Group, checkpoint: str | None) -> list[str]:
    command = ["vllm", "serve", model_to_load(group, checkpoint), "--tensor-parallel-size", str(group.tensor_parallel)]
    if group.pipeline_parallel > 1:
        command += ["--pipeline-parallel-size", str(group.pipeline_parallel)]
    if group.attention_dp > 1:
        command += ["--data-parallel-size", str(group.attention_dp)]
    if group.expert_parallel > 1:
        command += ["--enable-expert-parallel"]
    if group.ranks_over_nodes:  # a kernel that serves prompts and decoding, as predicted
        command += ["--data-parallel-size-local", str(group.gpus_per_node // group.tensor_parallel)]
        command += ["--all2all-backend", "deepep_v2"]
    if group.weight_quant == "fp8" and checkpoint is None:
        command += ["--quantization", "fp8"]
    if group.kv_cache != "auto":
        command += ["--kv-cache-dtype", group.kv_cache]
    if group.host_kv_gib:  # GiB of all ranks together (vLLM, CacheConfig); blocks are written through
        command += ["--kv-offloading-backend", "native", "--kv-offloading-size", f"{group.host_kv_gib:g}"]
    command += ["--gpu-memory-utilization", f"{group.gpu_memory_utilization:g}"]
    command += ["--max-model-len", str(group.max_model_len), "--max-num-seqs", str(group.max_num_seqs)]
    return [*command, "--max-num-batched-tokens", str(group.max_num_batched_tokens), "--enable-chunked-prefill"]


def _serve_sglang(group: Group, checkpoint: str | None) -> list[str]:
    """``--tp-size`` counts the GPUs of all attention ranks, which share the requests and the chunk that are stated
    (``server_args.py``: both are divided by ``--dp-size``)."""
    ranks = group.attention_dp
    version = split_version(group.engine_version)
    new = not version or version >= _SGLANG_SERVE
    command = ["sglang", "serve"] if new else ["python", "-m", "sglang.launch_server"]
    command += ["--model-path", model_to_load(group, checkpoint), "--tp-size", str(group.tensor_parallel * ranks)]
    if group.pipeline_parallel > 1:
        command += ["--pp-size", str(group.pipeline_parallel)]
    if ranks > 1:
        command += ["--dp-size", str(ranks), "--enable-dp-attention"]
    if group.expert_parallel > 1:
        command += ["--ep-size", str(group.expert_parallel)]
    if (new or group.ranks_over_nodes) and ranks > 1 and group.expert_parallel == group.tensor_parallel * ranks:
        command += ["--moe-a2a-backend", "deepep"]  # as predicted; without it every rank gets every token
    if group.weight_quant == "fp8" and checkpoint is None:
        command += ["--quantization", "fp8"]
    if group.kv_cache != "auto":
        command += ["--kv-cache-dtype", "fp8_e4m3"]
    if group.host_kv_gib:  # GB of 10^9 bytes of each rank (SGLang, HiCache System Design); blocks are written through
        each = int(group.host_kv_gib * 2**30 / 1e9 / group.gpus)
        command += ["--enable-hierarchical-cache", "--hicache-size", str(each)]
        command += ["--hicache-write-policy", "write_through"]
    command += ["--mem-fraction-static", f"{group.gpu_memory_utilization:g}"]
    command += ["--context-length", str(group.max_model_len)]
    command += ["--max-running-requests", str(group.max_num_seqs * ranks)]
    command += ["--chunked-prefill-size", str(group.max_num_batched_tokens * ranks)]
    if not version or version >= _SGLANG_DECODE_GRAPHS:
        command += ["--cuda-graph-max-bs-decode", str(group.max_num_seqs)]
    elif version <= _SGLANG_SERVE:
        command += ["--cuda-graph-max-bs", str(group.max_num_seqs)]
    return [*command, "--enable-metrics"]


def _serve_trtllm(group: Group, checkpoint: str | None) -> list[str]:
    gpus = group.tensor_parallel * group.attention_dp
    command = ["trtllm-serve", model_to_load(group, checkpoint), "--tp_size", str(gpus)]
    if group.pipeline_parallel > 1:
        command += ["--pp_size", str(group.pipeline_parallel)]
    if group.expert_parallel > 1:
        command += ["--ep_size", str(group.expert_parallel)]
    command += ["--kv_cache_free_gpu_memory_fraction", f"{group.gpu_memory_utilization:g}"]
    command += ["--max_seq_len", str(group.max_model_len), "--max_batch_size", str(group.max_num_seqs)]
    return [*command, "--max_num_tokens", str(group.max_num_batched_tokens), "--enable_chunked_prefill"]
