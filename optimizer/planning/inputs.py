"""What a decision starts from: the problem, the catalogs and the performance parameters, read and joined once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.demand import Load
    from optimizer.performance import Parameters
    from optimizer.plan.experiment import Stated
    from optimizer.planning.known import Known
    from optimizer.problem import KnownIds, Part, Problem


def _nothing_known() -> Known:
    from optimizer.planning.known import Known

    return Known()


@dataclass(frozen=True)
class Inputs:
    """One problem with everything needed to answer it."""

    problem: Problem
    catalog: Catalog
    params: Parameters
    sets: tuple[str, ...] = ()
    catalogs: Path | None = None
    known: Known = field(default_factory=_nothing_known, compare=False, repr=False)  # the same for all edits
    files: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    """What was read, by path: the problem file, what it names, catalogs that are not the packaged ones."""

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Every part of the problem that replicas may serve, worked out once."""
        from optimizer.problem import parts_of

        return parts_of(self.problem)

    def with_sets(self, sets: Sequence[str]) -> Inputs:
        """The same problem file with further ``PATH=VALUE`` edits. Raises ``ProblemError`` where they do not fit."""
        from optimizer.catalog import with_configs, with_custom
        from optimizer.files.carried import recorded
        from optimizer.problem import problem_with

        with recorded() as files:
            problem = problem_with(self.problem, sets, known_ids(self.catalog))
            models = [workload.model for workload in problem.workloads]
            catalog = with_custom(self.catalog, problem.hardware.custom)
            catalog = with_configs(catalog, models, Path(problem.path).parent)
            calibrated = problem.engine.calibration != self.problem.engine.calibration
            params = _parameters(problem, self.catalogs) if calibrated else self.params
        own, all_sets = {**self.files, **_own(files)}, (*self.sets, *sets)
        edited = replace(self, problem=problem, catalog=catalog, sets=all_sets, files=own)
        return edited.with_params(params) if calibrated else edited

    def with_params(self, params: Parameters) -> Inputs:
        """The same problem under other performance parameters, of which nothing is known yet."""
        return replace(self, params=params, known=_nothing_known())


def read_inputs(
    source: Path | str | Problem, *, sets: Sequence[str] = (), catalogs: Catalog | Path | str | None = None
) -> Inputs:
    """Read a problem file, or take a problem that was read, with the catalogs it refers to.

    ``catalogs``: those of ``load_catalog``, or a directory that overrides or extends the packaged ones. Raises
    ``ProblemError`` or ``CatalogError`` with every finding.
    """
    from optimizer.files.carried import recorded

    with recorded() as files:
        problem, joined, root = read_problem(source, sets=sets, catalogs=catalogs)
        params = _parameters(problem, root)
    own = {**_own(files), problem.path: problem.source}
    inputs = Inputs(problem, joined, params, problem.sets, root, files=own)
    return _with_known(inputs, catalogs if not isinstance(catalogs, str | Path) else None)


def _with_known(inputs: Inputs, stated: Catalog | None) -> Inputs:
    """The inputs with what is known of their problem file; ``stated``: catalogs that no file holds."""
    from optimizer.planning.known import ReadBefore, kept

    problems = kept()
    if problems is None:
        return inputs
    files = tuple(sorted((name, hashlib.sha256(data).digest()) for name, data in inputs.files.items()))
    problem = inputs.problem
    models = tuple(workload.model for workload in problem.workloads)
    read = (files, id(stated), problem.hardware.custom, models, str(inputs.catalogs), inputs.params.version)
    before = problems.of(read, ReadBefore(inputs.catalog, inputs.params, stated))
    return replace(inputs, catalog=before.catalog, params=before.params, known=before.known)


def _own(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files that the package does not bring."""
    from optimizer.catalog import default_root

    root = default_root()
    return {name: data for name, data in files.items() if not Path(name).is_relative_to(root)}


def read_problem(
    source: Path | str | Problem, *, sets: Sequence[str] = (), catalogs: Catalog | Path | str | None = None
) -> tuple[Problem, Catalog, Path | None]:
    """The problem, the catalogs with the cards and models of its own, and where performance parameters are read."""
    from optimizer.catalog import with_configs, with_custom
    from optimizer.problem import Problem, load_problem, problem_with

    catalog, root = catalog_of(catalogs)
    known = known_ids(catalog)
    if isinstance(source, Problem):
        problem = problem_with(source, sets, known)
    else:
        problem = load_problem(source, sets=sets, known=known)
    models = [workload.model for workload in problem.workloads]
    return problem, with_configs(with_custom(catalog, problem.hardware.custom), models, Path(problem.path).parent), root


def catalog_of(stated: Catalog | Path | str | None) -> tuple[Catalog, Path | None]:
    """Catalogs, and the directory that their performance parameters are read from; None: the packaged one."""
    from optimizer.catalog import default_root, load_catalog
    from optimizer.catalog.types import Catalog

    if isinstance(stated, Catalog):
        root = Path(stated.root)
        return stated, None if root == default_root() else root
    root_stated = None if stated is None else Path(stated)
    return load_catalog(root_stated), root_stated


def _parameters(problem: Problem, catalogs: Path | None) -> Parameters:
    """The performance parameters, with the calibration that the problem names on top."""
    from optimizer.catalog import default_root
    from optimizer.performance import load_parameters
    from optimizer.problem import calibration_path

    stated = problem.engine.calibration
    own = None if stated is None else calibration_path(stated, Path(problem.path).parent)
    return load_parameters(catalogs or default_root(), own)


def known_ids(catalog: Catalog) -> KnownIds:
    """What the references of a problem file are checked against."""
    from optimizer.catalog import model_from_config
    from optimizer.performance.compatibility import DEALS_EXPERTS
    from optimizer.problem import KnownIds

    offers = catalog.offers.values()
    return KnownIds(
        gpus=frozenset(key for key, gpu in catalog.gpus.items() if not gpu.custom),
        models={model.id: model.context_limit for model in catalog.models.values()},
        experts={model.id: model.num_experts for model in catalog.models.values() if model.is_moe},
        deals_experts=frozenset(engine.id for engine in catalog.engines.values() if engine.profile in DEALS_EXPERTS),
        engines=frozenset(catalog.engines),
        formats={
            (engine.id, key): formats
            for engine in catalog.engines.values()
            for key, formats in (("weight_quant", engine.weight_quants), ("kv_cache", engine.kv_caches))
        },
        providers=frozenset(catalog.providers) | {offer.provider for offer in offers},
        currencies=frozenset(catalog.fx) | {"USD"},
        regions=frozenset(offer.region for offer in offers if offer.region)
        | {region.name for region in catalog.regions.values()},
        certificates=frozenset(name for provider in catalog.providers.values() for name in provider.certificates),
        newest_price_date=catalog.newest_price_date,
        context_of_config=lambda path: model_from_config(path).context_limit,
        experts_of_config=lambda path: model_from_config(path).num_experts,
        read_calibration=_read_calibration,
    )


def _read_calibration(path: Path) -> None:
    """Raise ``CatalogError`` where a calibration cannot be used."""
    from optimizer.catalog import default_root
    from optimizer.performance import load_parameters

    load_parameters(default_root(), path)


def stated_of(part: Part) -> Stated:
    """What a test has to know of a workload."""
    from optimizer.plan.experiment import Stated

    load = part.load
    return Stated(
        lengths=part.lengths,
        arrives=bool(load.requests_per_second),
        held=load.inflight,
        people=bool(load.users),
        batch=load.is_batch,
        recorded=part.workload.traffic.trace is not None,
    )


def loads_of(problem: Problem) -> tuple[Load, ...]:
    """The load of every part of a problem: of each workload, followed by the length classes it may be split into."""
    from optimizer.problem import parts_of

    return tuple(part.load for part in parts_of(problem))
