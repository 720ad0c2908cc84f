"""Reading the catalogs: packaged files, a directory that overrides or extends them, and the joins between files.

Models that a problem names by the path of a Hugging Face ``config.json`` instead of a catalog id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from optimizer.catalog import rows
from optimizer.catalog.offers import read_offers
from optimizer.catalog.types import (
    ENCODER,
    EVERY_ENGINE,
    Catalog,
    Checkpoint,
    FormatRule,
    Model,
    StoredPart,
    TokenPrice,
)
from optimizer.errors import CatalogError, Finding
from optimizer.files.csv_file import CsvRow, CsvTable, read_table
from optimizer.files.text_file import beside, did_you_mean, is_file, is_folder, is_there, resolved

T = TypeVar("T")
K = TypeVar(
    "K",
    str,
    tuple[str, float],
    tuple[str, str],
    tuple[str, str, str],
    tuple[str, str, str, str],
    tuple[str, str, str, str, str, float],
    tuple[str, str, float, int, int, str, str],
)

FILES = (
    "gpus.csv",
    "models.csv",
    "offers.csv",
    "engines.csv",
    "formats.csv",
    "quantization.csv",
    "fx.csv",
    "providers.csv",
    "regions.csv",
    "checkpoints.csv",
    "markets.csv",
    "aliases.csv",
    "api_prices.csv",
    "engine_defaults.csv",
    "engine_options.csv",
    "stored_parts.csv",
    "speculation.csv",
)
_OTHER_PREFIXES = ("performance", "kernels", "measurements")


def default_root() -> Path:
    """The packaged catalogs: ``optimizer/_catalogs`` in an installed wheel, ``catalogs`` beside the package else."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_catalogs"
    return installed if installed.is_dir() else package.parent / "catalogs"


def load_catalog(root: Path | str | None = None, *, models: Collection[str] | None = None) -> Catalog:
    """Read all catalogs.

    Parameters
    ----------
    root : Path, str or None
        Overrides and extends the packaged catalogs: a row with the same id replaces the packaged one, a file that is
        not there is the packaged one. None: the packaged ones.
    models : collection of str or None
        Ids of the models that are parsed; None: all.

    Returns
    -------
    Catalog
        Cards, models, engines, offers and providers by id; units as the fields say.

    Raises
    ------
    CatalogError
        With every defect found: file, line, what is wrong.

    Source
    ------
    Each row says its own: publisher, document, date.
    """
    return _Reader(catalog_directories(None if root is None else Path(root))).catalog(models)


def catalog_directories(root: Path | None) -> tuple[Path, ...]:
    """The packaged catalogs and the directory that overrides them. Raises CatalogError where that is none."""
    packaged = default_root()
    if root is None or resolved(root) == packaged.resolve():
        return (packaged,)
    if not is_folder(root):
        raise CatalogError([Finding("no such directory", str(root))])
    strangers = sorted(
        path.name for path in root.glob("*.csv") if path.name not in FILES and not path.name.startswith(_OTHER_PREFIXES)
    )
    findings = [Finding("not a catalog file", str(root / name), hint=did_you_mean(name, FILES)) for name in strangers]
    if not findings and not any(is_there(root / name) for name in (*FILES, *_OTHER_PREFIXES)):
        findings = [Finding(f"holds no catalog file; known: {', '.join(FILES)}", str(root))]
    if findings:
        raise CatalogError(findings)
    return (packaged, root)


def _by_format(items: Iterable[Checkpoint]) -> dict[tuple[str, str], tuple[Checkpoint, ...]]:
    found: dict[tuple[str, str], tuple[Checkpoint, ...]] = {}
    for item in items:
        key = (item.model, item.weight_quant)
        found[key] = (*found.get(key, ()), item)
    return found


def _by_model(items: Iterable[TokenPrice]) -> dict[str, tuple[TokenPrice, ...]]:
    found: dict[str, list[TokenPrice]] = {}
    for item in items:
        found.setdefault(item.model, []).append(item)
    return {model: tuple(prices) for model, prices in found.items()}


def _sizes(items: Iterable[Checkpoint]) -> dict[str, tuple[tuple[str, float], ...]]:
    """Bytes of the largest published checkpoint of each format, by model."""
    found: dict[str, dict[str, float]] = {}
    for item in items:
        if item.size_gb is not None:
            formats = found.setdefault(item.model, {})
            formats[item.weight_quant] = max(formats.get(item.weight_quant, 0.0), item.size_gb * 1e9)
    return {model: tuple(sorted(formats.items())) for model, formats in found.items()}


def _rules(engine: str, formats: Iterable[FormatRule]) -> tuple[FormatRule, ...]:
    """The rows of formats.csv that speak of an engine."""
    return tuple(rule for rule in formats if rule.engine in (engine, EVERY_ENGINE))


def _stored(items: Iterable[tuple[str, str, StoredPart]]) -> dict[str, dict[str, tuple[StoredPart, ...]]]:
    """Parts of published checkpoints by model and format."""
    found: dict[str, dict[str, tuple[StoredPart, ...]]] = {}
    for model, quant, part in items:
        formats = found.setdefault(model, {})
        formats[quant] = (*formats.get(quant, ()), part)
    return found


def _of_model(
    model: Model, stored: Mapping[str, tuple[StoredPart, ...]]
) -> tuple[tuple[str, tuple[StoredPart, ...]], ...]:
    """The checkpoints that hold the parameters of a model; a row of the user's own may say otherwise."""
    return tuple(
        (quant, parts)
        for quant, parts in sorted(stored.items())
        if abs(sum(p.params for p in parts if p.name != ENCODER) / model.total_params - 1.0) < SAME_PARAMETERS
    )


SAME_PARAMETERS = 0.02
"""How near the parameters of a checkpoint and of a catalog row are where they are the same model."""


def _shown(key: object) -> str:
    return " / ".join(map(str, key)) if isinstance(key, tuple) else repr(key)


class _Reader:
    """Collects findings over all files, so that one run names every defect."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = directories
        self._findings: list[Finding] = []
        self._rows: dict[str, dict[object, CsvRow]] = {}  # by file and key, as far as they count

    def catalog(self, models: Collection[str] | None) -> Catalog:
        gpus = self._keyed(rows.GPUS)
        parsed = self._keyed(rows.MODELS, models)
        engines = self._keyed(rows.ENGINES)
        formats = tuple(self._keyed(rows.FORMATS).values())
        facts = self._keyed(rows.RECOVERIES)
        fx = self._keyed(rows.FX)
        providers = self._keyed(rows.PROVIDERS)
        regions = self._keyed(rows.REGIONS)
        checkpoints = self._keyed(rows.CHECKPOINTS)
        sizes = _sizes(checkpoints.values())
        defaults = tuple(self._keyed(rows.DEFAULTS).values())
        stored = _stored(self._keyed(rows.PARTS).values())
        markets = self._keyed(rows.MARKETS)
        drafts = self._keyed(rows.DRAFTS)
        api_prices = self._keyed(rows.API_PRICES)
        tables = self._tables("offers.csv", rows.OFFER_COLUMNS, rows.OFFER_EXTRAS)
        offers = read_offers(tables, gpus, providers, fx, regions) if gpus and providers else {}
        self._take(tables)
        self._check_gpus(rows.GPUS, "sibling", gpus)
        self._check_gpus(rows.MARKETS, "gpu", gpus)
        self._check_engines(engines)
        if self._findings:
            raise CatalogError(self._findings)
        dates = [price.date for offer in offers.values() for price in offer.prices if price.date]
        return Catalog(
            gpus=gpus,
            models={
                key: replace(model, published_bytes=sizes.get(key, ()), stored=_of_model(model, stored.get(key, {})))
                for key, model in parsed.items()
            },
            offers=offers,
            engines={
                key: replace(
                    engine,
                    format_rules=_rules(key, formats),
                    defaults=tuple(item for item in defaults if item.engine == key),
                )
                for key, engine in engines.items()
            },
            quant_facts=tuple(facts.values()),
            fx=fx,
            newest_price_date=max(dates, default=""),
            root=str(self._directories[-1]),
            providers=providers,
            checkpoints=_by_format(checkpoints.values()),
            markets=tuple(markets.values()),
            api_prices=_by_model(api_prices.values()),
            regions=regions,
            drafts=tuple(drafts.values()),
        )

    def _tables(self, name: str, required: Sequence[str], optional: Sequence[str]) -> list[CsvTable]:
        tables = []
        for directory in self._directories:
            path = directory / name
            if directory is not self._directories[0] and not is_there(path):
                continue
            try:
                tables.append(read_table(path, required, optional))
            except CatalogError as error:
                self._findings.extend(error.findings)
        return tables

    def _take(self, tables: Sequence[CsvTable]) -> None:
        for table in tables:
            self._findings.extend(table.findings)

    def _keyed(self, schema: rows.Schema[T, K], only: Collection[str] | None = None) -> dict[K, T]:
        """Rows of a file by key, sorted; a row of a later directory replaces one of an earlier."""
        found: dict[K, T] = {}
        tables = self._tables(schema.file, schema.required, schema.optional)
        for table in tables:
            lines: dict[K, int] = {}
            for row in table:
                if only is not None and row.text("id") not in only:
                    continue
                value = schema.parse(row)
                key = schema.key(value)
                if key in lines:
                    row.error(f"{_shown(key)} stands twice: also in line {lines[key]}")
                lines[key] = row.line
                found[key] = value
                self._rows.setdefault(schema.file, {})[key] = row
        self._take(tables)
        return {key: found[key] for key in sorted(found)}

    def _check_gpus(self, schema: rows.Schema[T, K], column: str, known: Mapping[str, object]) -> None:
        """Every card that a column names is known."""
        for row in self._rows.get(schema.file, {}).values():
            word = row.text(column)
            if word and known and word not in known:
                place = row.table.place(row.line, row.table.index[column])
                message, hint = f"{column}: unknown GPU {word!r}", did_you_mean(word, known)
                self._findings.append(Finding(message, str(row.table.path), *place, hint))

    def _check_engines(self, known: Mapping[str, object]) -> None:
        """Every engine that formats.csv names is known."""
        for row in self._rows.get(rows.FORMATS.file, {}).values():
            word = row.text("engine")
            if known and word != EVERY_ENGINE and word not in known:
                place = row.table.place(row.line, row.table.index["engine"])
                message, hint = f"engine: unknown engine {word!r}", did_you_mean(word, known)
                self._findings.append(Finding(message, str(row.table.path), *place, hint))


def is_config_path(reference: str) -> bool:
    """Whether a model reference names a file instead of a catalog id."""
    return reference.endswith(".json") or reference.startswith(("./", "../", "/", "~"))


def model_from_config(path: Path) -> Model:
    """The model a Hugging Face config.json describes; ``path`` is the file or the directory that holds it.

    Raises CatalogError where it is no config.json, of an unknown family, or inconsistent.
    """
    from optimizer.catalog.huggingface import read_model

    return read_model(path)


def with_model(catalog: Catalog, model: Model) -> Catalog:
    """The catalog with one more model."""
    return replace(catalog, models=dict(sorted({**catalog.models, model.id: model}.items())))


def with_configs(catalog: Catalog, references: Iterable[str], directory: Path) -> Catalog:
    """The catalog plus the models that are given as paths (relative to ``directory``), under the path as written."""
    for reference in references:
        named = is_config_path(reference) or is_file(beside(directory, reference) / "config.json")
        if reference not in catalog.models and named:
            model = model_from_config(beside(directory, reference))
            catalog = with_model(catalog, replace(model, id=reference))
    return catalog
