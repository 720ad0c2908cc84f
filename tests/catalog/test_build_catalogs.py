"""The script that builds the catalogs: its rules on small rows in memory, and that the repository alone suffices."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def build() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("tools.build_catalogs")


@pytest.fixture(scope="module")
def gpu_rows() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("tools.gpu_rows")


GPU = {
    "id": "x_sxm_80",
    "vendor": "nvidia",
    "arch": "hopper",
    "memory_gb": "80",
    "memory_mib_reported": "81920.0",
    "memory_gb_convention": "",
    "form_factor": "SXM5",
    "tdp_w": "700",
    "nvlink_topology": "nvswitch",
    "nvlink_bandwidth_gb_s_total_bidirectional_per_gpu": "900.0",
    "max_nvlink_domain_gpus": "8",
    "confidence": "high",
    "notes": "",
}
OFFER = {
    "offer_id": "a",
    "provider": "vast-ai",
    "kind": "cloud",
    "instance_type": "8x",
    "gpu_id": "x_sxm_80",
    "gpus_per_node": "8",
    "nvlink": "yes",
    "region": "global",
    "currency": "USD",
    "price_per_hour_on_demand": "20.0",
    "price_per_hour_spot": "",
    "price_reserved_1y": "",
    "price_reserved_3y": "",
    "purchase_price": "",
    "network_gbps": "",
    "date": "2026-07-20",
    "source": "list",
    "notes": "",
}


def _prices(build: ModuleType, *offers: dict[str, str]) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = build.price_rows([OFFER | offer for offer in offers], {GPU["id"]: GPU})
    return rows


def test_a_dated_instance_price_is_ranked(build: ModuleType) -> None:
    (row,) = _prices(build, {})
    assert (row["evidence"], row["reason"], row["link"], row["amount"]) == ("list", "", "nvswitch", "20")
    assert (row["provider"], row["region"]) == ("vast", "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"date": "2026-H2"}, "undated"),
        ({"date": "2026 (undated)"}, "undated"),
        ({"date": ">=2025-06"}, "undated"),
        ({"instance_type": "per-gpu-median"}, "median of a tracker"),
        ({"instance_type": "per-gpu"}, "per-GPU row of a tracker"),
        ({"instance_type": "BM.GPU (per GPU)"}, "per-GPU row of a tracker"),
        ({"provider": "campus-hpc"}, "illustrative or internal price"),
        ({"notes": "approx"}, "approximate"),
        ({"kind": "purchase", "gpus_per_node": "1"}, "bare card, not a server"),
        ({"kind": "purchase", "provider": "street"}, "estimate, not a quote"),
    ],
)
def test_doubtful_prices_are_reference(change: dict[str, str], reason: str, build: ModuleType) -> None:
    (row,) = _prices(build, change)
    assert (row["evidence"], row["reason"]) == ("reference", reason)


def test_low_confidence_cards_are_reference(build: ModuleType) -> None:
    (row,) = build.price_rows([OFFER], {GPU["id"]: GPU | {"confidence": "low"}})
    assert row["reason"] == "card of low confidence"


def test_only_the_newest_of_several_prices_counts(build: ModuleType) -> None:
    rows = _prices(
        build, {}, {"offer_id": "b", "date": "2026-08", "provider": "vast"}, {"offer_id": "c", "region": "x"}
    )
    assert [row["reason"] for row in rows] == ["superseded by a newer price", "", ""]
    assert rows[1]["price_date"] == "2026-08-01"


def test_prices_of_a_provider_retire_where_the_dated_collection_covers_it(build: ModuleType) -> None:
    newer = [{"provider": "vast", "currency": "USD", "price_date": "2026-08-22"}]
    rows = build.price_rows([OFFER, OFFER | {"offer_id": "b", "currency": "CNY"}], {GPU["id"]: GPU}, newer)
    assert [(row["evidence"], row["reason"]) for row in rows] == [
        ("reference", "retired: the provider's prices were collected anew, up to 2026-08-22"),
        ("list", ""),
    ]


def test_spot_and_reserved_prices_take_their_own_date(build: ModuleType) -> None:
    source = "list (2026-07-20); spot: other (not before 2025-06, day not recorded); reserved: third 2026-06-15"
    change = {"source": source, "price_per_hour_spot": "9", "price_reserved_1y": "15"}
    found = {row["tier"]: (row["price_date"], row["price_source"], row["evidence"]) for row in _prices(build, change)}
    assert found == {
        "on_demand": ("2026-07-20", "list (2026-07-20)", "list"),
        "spot": ("", "other (not before 2025-06, day not recorded)", "reference"),
        "reserved_1y": ("2026-06-15", "third 2026-06-15", "list"),
    }


@pytest.mark.parametrize(
    ("said", "count", "link"),
    [("yes", "1", "pcie"), ("", "8", "unverified"), ("unverified(pair)", "4", "unverified"), ("no", "8", "pcie"),
     ("pair", "2", "nvlink_pair"), ("yes(rack)", "4", "nvswitch")],
)  # fmt: skip
def test_links_of_nodes(said: str, count: str, link: str, build: ModuleType) -> None:
    (row,) = _prices(build, {"nvlink": said, "gpus_per_node": count})
    assert row["link"] == link


def test_fallback_memory_takes_the_lowest_ratio_of_its_kind(gpu_rows: ModuleType) -> None:
    unknown = GPU | {"id": "u", "memory_mib_reported": "", "memory_gb": "100"}
    others = [
        GPU,
        GPU | {"memory_mib_reported": str(0.95 * 80 * 1024)},
        GPU | {"form_factor": "PCIe", "memory_gb": "160"},
    ]
    assert gpu_rows.memory_of(unknown, others) == (str(int(0.95 * 100 * 1024)), "fallback")
    assert gpu_rows.memory_of(unknown | {"vendor": "amd", "form_factor": "PCIe"}, others) == (
        str(50 * 1024),
        "fallback",
    )


def test_numbers_lose_trailing_zeros_only(build: ModuleType) -> None:
    assert [build.number(text) for text in ("80.0", "0", "", "0.4803", "3350")] == ["80", "0", "", "0.4803", "3350"]


def test_catalogs_are_what_the_repository_builds(build: ModuleType, tmp_path: Path) -> None:
    """Byte for byte, from ``data/`` alone; every file but those that describe themselves or are set by hand."""
    for folder in ("measurements", "launch"):
        (tmp_path / folder).mkdir()
    build.build(ROOT / "data", tmp_path)
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.csv")}
    by_hand = {path.name for path in (ROOT / "catalogs").glob("*.csv")} - made
    assert by_hand == {"aliases.csv"}
    differing = [
        name for name in sorted(made) if (tmp_path / name).read_bytes() != (ROOT / "catalogs" / name).read_bytes()
    ]
    assert differing == [], "run: python -m tools.build_catalogs"


def test_every_raw_file_is_described() -> None:
    """``data/README.md`` names each file and folder, and no other."""
    named = set(re.findall(r"^\| (.*?) \|", (ROOT / "data" / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    described = {name.rstrip("/") for cell in named for name in re.findall(r"`([^`]+)`", cell)}
    assert described == {path.name for path in (ROOT / "data").iterdir()} - {"README.md"}


def test_written_files_are_the_same_bytes_each_time(build: ModuleType, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        build.write(tmp_path / name, _prices(build, {}, {"offer_id": "b"}))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert b"\r" not in (tmp_path / "a.csv").read_bytes()
