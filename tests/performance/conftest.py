"""Real catalogs, and short ways to name a replica."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.types import Catalog
from optimizer.performance.parameter_files import load_parameters
from optimizer.performance.parameters import Parameters
from optimizer.performance.types import ReplicaSpec
from optimizer.vocabulary import Link

SpecMaker = Callable[..., ReplicaSpec]


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="session")
def params() -> Parameters:
    return load_parameters(default_root())


@pytest.fixture(scope="session")
def make(catalog: Catalog) -> SpecMaker:
    def build(
        gpu: str,
        model: str,
        quant: str = "bf16",
        *,
        tp: int = 1,
        pp: int = 1,
        kv: str = "auto",
        engine: str = "vllm",
        link: Link | None = None,
        utilization: float | None = None,
        seqs: int | None = None,
        tokens: int | None = None,
    ) -> ReplicaSpec:
        card, server = catalog.gpus[gpu], catalog.engines[engine]
        return ReplicaSpec(
            gpu=card,
            model=catalog.models[model],
            engine=server,
            weight_quant=quant,
            kv_cache=kv,
            tensor_parallel=tp,
            pipeline_parallel=pp,
            link=link or card.link,
            gpu_memory_utilization=utilization or server.gpu_memory_utilization,
            max_num_seqs=seqs or server.max_num_seqs_on(card),
            max_num_batched_tokens=tokens or server.max_num_batched_tokens_on(card),
            max_model_len=8192,
        )

    return build
