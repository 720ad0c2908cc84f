"""What other tools call things: catalogs/launch, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from optimizer.handover.launch.engine_options import OptionFacts, read_options
from optimizer.handover.launch.fields import DynamoRelease, FieldFacts, read_fields, read_releases


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A card's names; empty where not established."""

    kubernetes_label: str = ""
    skypilot: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """A container image of an engine for a vendor's cards."""

    name: str
    version_prefix: str
    kubernetes_resource: str


@dataclass(frozen=True, slots=True)
class Cloud:
    """A provider as SkyPilot knows it."""

    name: str
    real_instance_types: bool


@dataclass(frozen=True)
class LaunchFacts:
    """The tables, by id."""

    accelerators: Mapping[str, Accelerator]
    images: Mapping[tuple[str, str], Image]  # by (engine, vendor)
    clouds: Mapping[str, Cloud]
    options: OptionFacts
    fields: FieldFacts
    dynamo: Mapping[str, tuple[DynamoRelease, ...]]  # by engine, oldest first


def load_facts(catalogs: Path | None = None) -> LaunchFacts:
    """Read the tables of ``catalogs/launch``, or the packaged ones where there are none."""
    from optimizer.catalog import default_root
    from optimizer.errors import CatalogError
    from optimizer.files.csv_file import read_table

    def folder(name: str) -> Path:
        own = catalogs / "launch" / name if catalogs is not None else None
        return own if own is not None and own.is_file() else default_root() / "launch" / name

    dated = ("source", "source_date")
    accelerators = read_table(
        folder("accelerators.csv"), ("gpu", "kubernetes_product_label", "skypilot_accelerator", *dated)
    )
    images = read_table(
        folder("images.csv"), ("engine", "vendor", "image", "version_prefix", "kubernetes_resource", *dated)
    )
    clouds = read_table(folder("clouds.csv"), ("provider", "skypilot_cloud", "real_instance_types", *dated))
    named = {
        row.required("gpu"): Accelerator(row.text("kubernetes_product_label"), row.text("skypilot_accelerator"))
        for row in accelerators
    }
    pulled = {
        (row.required("engine"), row.required("vendor")): Image(
            row.required("image"), row.text("version_prefix"), row.required("kubernetes_resource")
        )
        for row in images
    }
    known = {
        row.required("provider"): Cloud(row.required("skypilot_cloud"), row.text("real_instance_types") == "yes")
        for row in clouds
    }
    findings = [*accelerators.findings, *images.findings, *clouds.findings]
    if findings:
        raise CatalogError(findings)
    return LaunchFacts(
        MappingProxyType(named),
        MappingProxyType(pulled),
        MappingProxyType(known),
        read_options(catalogs),
        read_fields(folder("fields.csv")),
        read_releases(folder("dynamo.csv")),
    )
