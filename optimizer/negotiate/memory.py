"""What a model needs on a card, and whether its engine starts: the memory bill of one replica."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optimizer.catalog.types import Catalog, Gpu, Model
    from optimizer.performance.memory_statement import Statement
    from optimizer.performance.starting import Starting
    from optimizer.performance.types import ReplicaSpec


@dataclass(frozen=True, slots=True)
class ReplicaOptions:
    """What describes a replica beside its model; None and "" are the defaults of model, engine and card.

    ``share`` is gpu_memory_utilization (0 to 1), ``sequences`` max_num_seqs, ``batched`` max_num_batched_tokens,
    ``context`` max_model_len in tokens; ``speculative`` "mtp" loads the layers for speculation too.
    """

    engine: str = "vllm"
    version: str = ""
    quant: str | None = None
    kv_cache: str | None = None
    tp: int = 1
    pp: int = 1
    attention_dp: int = 1
    expert_parallel: int | None = None
    speculative: str = "none"
    share: float | None = None
    sequences: int | None = None
    batched: int | None = None
    context: int | None = None

    def experts(self, model: Model) -> int:
        """Groups that the experts are dealt to; not stated: every GPU behind attention ranks, else none."""
        every = self.tp * self.attention_dp if model.is_moe and self.attention_dp > 1 else 1
        return self.expert_parallel or every


@dataclass(frozen=True, slots=True)
class ReplicaMemory:
    """The bill of a replica for ``users`` requests of ``spec.max_model_len`` tokens, and its start."""

    spec: ReplicaSpec
    users: int
    statement: Statement
    starting: Starting


@dataclass(frozen=True, slots=True)
class MemoryAnswer:
    """Everything that ``optimize memory`` says; ``replica`` is None where only the model was asked about."""

    model: Model
    quant: str  # weight format that the size as loaded is told in
    bytes_as_loaded: float  # without layers for speculative decoding
    native_quant: str
    replica: ReplicaMemory | None


def memory(
    model: str,
    gpu: str | None = None,
    catalog: Catalog | Path | str | None = None,
    *,
    users: int = 1,
    options: ReplicaOptions | None = None,
) -> MemoryAnswer:
    """Tell what a model needs on a card, layer by layer, and whether its engine starts.

    Parameters
    ----------
    model : str
        A catalog id, a Hugging Face config.json or its folder.
    gpu : str or None
        A catalog id; None: the model alone.
    catalog : Catalog, Path, str or None
        Of ``load_catalog``, or a directory that overrides and extends the packaged catalogs; None: the packaged ones.
    users : int
        Requests held at once, each of the context length of ``options``.
    options : ReplicaOptions or None
        Engine, formats, parallel sizes and limits of the replica; None: the defaults of model, engine and card.

    Returns
    -------
    MemoryAnswer
        Weights as loaded in bytes; ``replica``: the bill of one GPU in bytes, and whether the engine starts, with the
        least change that makes it start. None without a card.

    Raises
    ------
    InputError
        For what is unknown, impossible or not supported.

    Source
    ------
    Dimensions: the publisher's config.json (``source`` in ``catalogs/models.csv``). What engines take at start:
    ``data/startup_memory.csv``, logs of published starts, each row with its source.
    """
    from optimizer.performance.compatibility import native_quant
    from optimizer.performance.formats import BITS
    from optimizer.performance.memory import weight_bytes
    from optimizer.performance.memory_statement import statement
    from optimizer.performance.starting import starting
    from optimizer.planning.inputs import catalog_of

    asked = options or ReplicaOptions()
    known, _ = catalog_of(catalog)
    if asked.kv_cache:
        asked = replace(asked, kv_cache=_cache_asked(asked.kv_cache))
    found = _model(known, model)
    if asked.speculative == "mtp":
        found = _with_draft(found, asked.quant)
    native = native_quant(found)
    chosen = asked.quant or native
    if chosen not in BITS:
        raise UsageError(f"unknown weight format {chosen!r}; known: {', '.join(BITS)}")
    replica = None
    if gpu is not None:
        spec = _spec(known, found, gpu, asked)
        replica = ReplicaMemory(spec, users, statement(spec, spec.max_model_len, users), starting(spec))
    return MemoryAnswer(found, chosen, weight_bytes(found, chosen), native, replica)


def _model(catalog: Catalog, name: str) -> Model:
    from optimizer.catalog import model_from_config
    from optimizer.files.text_file import is_file, is_folder, whole_id

    if name not in catalog.models and (is_file(Path(name)) or is_folder(Path(name))):
        return model_from_config(Path(name))
    whole = whole_id(name, catalog.models) or name
    _known(whole, catalog.models, "model")
    return catalog.models[whole]


def _with_draft(model: Model, quant: str | None) -> Model:
    """The model with its multi-token-prediction layers, which only configuration files tell of."""
    from optimizer.catalog.draft_layers import with_draft
    from optimizer.performance.compatibility import native_quant

    chosen = quant or native_quant(model)
    if not model.draft or chosen not in dict(model.stored):
        raise UsageError(
            f"no layers for speculation are known of {model.id} in {chosen}: name its config.json, in its own format"
        )
    return with_draft(model, chosen)


def _known(name: str, among: object, kind: str) -> None:
    from collections.abc import Mapping
    from difflib import get_close_matches

    assert isinstance(among, Mapping)
    if name not in among:
        close = get_close_matches(name, among, n=1, cutoff=0.4)
        raise UsageError(f"unknown {kind} {name!r}" + (f"; did you mean {close[0]}?" if close else ""))


def _cache_asked(word: str) -> str:
    """A KV cache as the user writes it; formats that engines know and this tool does not hold are refused by name."""
    from optimizer.vocabulary import KV_CACHE_ALIASES, KV_CACHES, KV_CACHES_REFUSED

    found = dict(KV_CACHE_ALIASES).get(word, word)
    if found not in KV_CACHES:
        reason = dict(KV_CACHES_REFUSED).get(word, f"not a KV cache; there are {', '.join(KV_CACHES)}")
        raise UsageError(f"--kv {word}: {reason}")
    return found


def _cache_of_checkpoint(model: Model, reasons: Mapping[str, str]) -> str:
    """The KV cache that the checkpoint asks for; one that cannot be had here is refused, never replaced in silence."""
    from optimizer.vocabulary import KV_CACHES_REFUSED

    asked = model.kv_in_checkpoint
    if not asked:
        return "auto"
    reason = reasons.get(asked, dict(KV_CACHES_REFUSED).get(asked, "not known"))
    if reason:
        raise UsageError(f"{model.id} asks for a KV cache of {asked}: {reason}; state --kv auto (16 bit) to count that")
    return asked


def _limits(catalog: Catalog, card: Gpu, asked: ReplicaOptions) -> tuple[int, int]:
    """max_num_seqs and max_num_batched_tokens. vLLM lowers its default of the first to a stated second
    (``vllm/engine/arg_utils.py``)."""
    from optimizer.performance.startup import VLLM_LIKE

    server = catalog.engines[asked.engine]
    batched = asked.batched or server.max_num_batched_tokens_on(card, asked.version)
    default = server.max_num_seqs_on(card, asked.version)
    return asked.sequences or (min(default, batched) if server.profile in VLLM_LIKE else default), batched


def _spec(catalog: Catalog, model: Model, gpu: str, asked: ReplicaOptions) -> ReplicaSpec:
    """The replica asked about; what its card, engine or model cannot do is refused with the reason."""
    from optimizer.catalog.remarks import longer_context
    from optimizer.catalog.types import version_key
    from optimizer.performance.compatibility import (
        kv_cache_gates,
        native_quant,
        pp_refusal,
        tp_refusal,
        weight_quant_gates,
    )
    from optimizer.performance.degrees import degree_refusals
    from optimizer.performance.startup import default_share
    from optimizer.performance.types import ReplicaSpec

    context = asked.context or model.context_limit
    if asked.version and not version_key(asked.version):
        raise UsageError(f"engine version {asked.version!r} is none: state a release, as in 0.11.0")
    _known(gpu, catalog.gpus, "GPU")
    _known(asked.engine, catalog.engines, "engine")
    card, server, chosen = catalog.gpus[gpu], catalog.engines[asked.engine], asked.quant or native_quant(model)
    gates = weight_quant_gates(card, model, server)
    if chosen not in (gate.value for gate in gates):
        raise UsageError(f"unknown weight format {chosen!r}; known: {', '.join(gate.value for gate in gates)}")
    if context > model.context_limit:
        raised = longer_context(model)
        message = f"{model.id} stops at {model.context_limit:,} tokens of context; {context:,} were asked for"
        raise UsageError(f"{message}; {raised}" if raised else message)
    caches = {gate.value: gate.reason for gate in kv_cache_gates(card, server)}
    cache = asked.kv_cache or _cache_of_checkpoint(model, caches)
    reasons = [gate.reason for gate in gates if gate.value == chosen]
    reasons += [caches.get(cache, "")]
    reasons += [tp_refusal(model, chosen, asked.tp), pp_refusal(model, asked.pp)]
    if any(reasons):
        raise UsageError("\n".join(dict.fromkeys(reason for reason in reasons if reason)))
    sequences, batched = _limits(catalog, card, asked)
    spec = ReplicaSpec(
        gpu=card,
        model=model,
        engine=server,
        weight_quant=chosen,
        kv_cache=cache,
        tensor_parallel=asked.tp,
        pipeline_parallel=asked.pp,
        link=card.link,
        gpu_memory_utilization=asked.share
        or default_share(server, card, asked.version, asked.tp * asked.attention_dp, asked.pp),
        max_num_seqs=sequences,
        max_num_batched_tokens=batched,
        max_model_len=context,
        attention_dp=asked.attention_dp,
        expert_parallel=asked.experts(model),
        engine_version=asked.version,
    )
    if refusals := list(degree_refusals(spec)):
        raise UsageError("\n".join(reason for _, reason in refusals))
    return spec
