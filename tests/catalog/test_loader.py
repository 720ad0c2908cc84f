"""Loading: overriding, joins, every finding at once, order and speed."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.types import Catalog
from optimizer.errors import CatalogError
from optimizer.vocabulary import Link, Tier

PACKAGED = load_catalog()
OFFER_HEADER = "offer_id,provider,gpu,gpus_per_node,link,tier,amount,currency,price_date,price_source\n"
OFFER = "mine,aws,h100_sxm_80,8,nvswitch,on_demand,20,USD,2026-09-01,quote 7\n"
Loader = Callable[[str, str], Catalog]


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Loads the packaged catalogs with one file of the user's own."""

    def _load(name: str, content: str) -> Catalog:
        (tmp_path / name).write_text(content, encoding="utf-8")
        return load_catalog(tmp_path)

    return _load


def _refusal(load: Loader, name: str, content: str) -> str:
    with pytest.raises(CatalogError) as error:
        load(name, content)
    return str(error.value)


def test_default_root_is_the_checkout() -> None:
    assert default_root() == Path(__file__).resolve().parents[2] / "catalogs"
    assert PACKAGED.root == str(default_root())


def test_a_wheel_carries_its_catalogs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "optimizer" / "catalog").mkdir(parents=True)
    (tmp_path / "optimizer" / "_catalogs").mkdir()
    monkeypatch.setattr("optimizer.catalog.loader.__file__", str(tmp_path / "optimizer" / "catalog" / "loader.py"))
    assert default_root() == tmp_path / "optimizer" / "_catalogs"


def test_own_offers_extend(load: Loader) -> None:
    catalog = load("offers.csv", OFFER_HEADER + OFFER)
    assert len(catalog.offers) == len(PACKAGED.offers) + 1
    mine = catalog.offers["mine"]
    assert (mine.link, mine.prices[0].tier, mine.prices[0].rankable) == (Link.NVSWITCH, Tier.ON_DEMAND, True)
    assert catalog.models == PACKAGED.models


def test_own_offer_replaces_all_prices_of_the_packaged_one(load: Loader) -> None:
    name = "aws-p5-48xlarge-h100-sxm-80-8x-us-east-1-2026-07-20"
    assert len(PACKAGED.offers[name].prices) == 3
    catalog = load("offers.csv", OFFER_HEADER + OFFER.replace("mine", name))
    assert [price.amount for price in catalog.offers[name].prices] == [20.0]
    assert len(catalog.offers) == len(PACKAGED.offers)


def test_own_rate_and_provider(load: Loader) -> None:
    assert load("fx.csv", "currency,per_usd,date,source\nCNY,7,2026-09-01,bank\n").fx["CNY"].per_usd == 7.0
    catalog = load("providers.csv", "id,aliases,class,country,name\nacme,,neocloud,DE,Acme\n")
    assert catalog.providers["acme"].country == "DE"


def test_certificates_keep_their_blanks(load: Loader) -> None:
    """They are separated by ``;``: ``ISO 27001`` is one, not two words."""
    header = "id,aliases,class,country,headquarters,certificates,name\n"
    catalog = load("providers.csv", f"{header}acme,,neocloud,,DE,ISO 27001; SOC 2 Type II;,Acme\n")
    assert catalog.providers["acme"].certificates == ("ISO 27001", "SOC 2 Type II")
    assert catalog.providers["acme"].headquarters == "DE"


def test_an_alias_names_the_provider(load: Loader) -> None:
    assert load("offers.csv", OFFER_HEADER + OFFER.replace(",aws,", ",vast-ai,")).offers["mine"].provider == "vast"


def test_undated_or_low_confidence_is_never_ranked(load: Loader) -> None:
    undated = load("offers.csv", OFFER_HEADER + OFFER.replace("2026-09-01", "")).offers["mine"].prices[0]
    assert (undated.rankable, undated.reason) == (False, "undated")
    low = load("offers.csv", OFFER_HEADER + OFFER.replace("h100_sxm_80", "b100_192")).offers["mine"].prices[0]
    assert (low.rankable, low.reason) == (False, "card of low confidence")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (",20,", ",0,", "offers.csv:2:43: amount is 0; it must be above 0"),
        (",20,", ",-1,", "amount: '-1' is outside 0 and above"),
        (",20,", ",,", "amount is blank; a number is needed"),
        (",20,", ",nan,", "amount: 'nan' is not a number"),
        (",20,", ",inf,", "amount: 'inf' is not a number"),
        (",20,", ",２0,", "full-width or foreign digits"),
        (",20,", ',"1,000",', "without thousands separators"),
        ("h100_sxm_80", "h100_sxm", "unknown GPU 'h100_sxm'"),
        ("h100_sxm_80", "h100_sxm", "did you mean h100_sxm_80"),
        (",aws,", ",amazon,", "provider 'amazon' is not in providers.csv"),
        ("USD", "JPY", "currency 'JPY' has no rate in fx.csv"),
        ("nvswitch", "nvlink", "link: unknown 'nvlink'; known: nvswitch, nvlink_pair, xgmi, hccs, pcie, unverified"),
        ("on_demand", "hourly", "tier: unknown 'hourly'"),
        ("2026-09-01", "September", "price_date: 'September' is not a day"),
        (",8,", ",0,", "gpus_per_node: '0' is outside 1 to 1024"),
        (",8,", ",1,", "link nvswitch on a node of one GPU"),
        ("mine", "", "offer_id is blank"),
        ("quote 7", "", "price_source is blank"),
    ],
)
def test_bad_offers_are_refused_with_their_line(old: str, new: str, says: str, load: Loader) -> None:
    assert says in _refusal(load, "offers.csv", OFFER_HEADER + OFFER.replace(old, new))


def test_two_prices_for_one_tier_and_contradicting_rows_are_refused(load: Loader) -> None:
    message = _refusal(load, "offers.csv", OFFER_HEADER + OFFER + OFFER)
    assert "offers.csv:3:33: offer 'mine' has two prices for on_demand" in message
    other = OFFER.replace("on_demand", "spot").replace(",8,", ",4,")
    assert "differs from line 2 in more than tier and price" in _refusal(
        load, "offers.csv", OFFER_HEADER + OFFER + other
    )


def test_rankable_with_a_reason_against_it_is_refused(load: Loader) -> None:
    header = OFFER_HEADER.strip() + ",rankable,reason\n"
    assert "a reason against it" in _refusal(load, "offers.csv", header + OFFER.strip() + ",yes,median\n")


def test_duplicate_ids_and_dangling_references_are_refused(load: Loader) -> None:
    row = "acme,,neocloud,DE,Acme\n"
    header = "id,aliases,class,country,name\n"
    twice = _refusal(load, "providers.csv", header + row + row)
    assert "providers.csv:3:1: 'acme' stands twice: also in line 2" in twice


def test_a_sibling_must_exist(load: Loader, tmp_path: Path) -> None:
    lines = (default_root() / "gpus.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    row = next(line for line in lines if line.startswith("a800_sxm_80,"))
    message = _refusal(load, "gpus.csv", lines[0] + row.replace(",a100_sxm_80,", ",a100_sxm,"))
    assert "gpus.csv:2:228: sibling: unknown GPU 'a100_sxm'" in message


def test_every_defect_of_every_file_is_named_at_once(load: Loader, tmp_path: Path) -> None:
    (tmp_path / "fx.csv").write_text("currency,per_usd,date,source\nEUR,0,,\n", encoding="utf-8")
    bad = OFFER.replace(",20,", ",0,").replace("aws", "amazn")
    message = _refusal(load, "offers.csv", OFFER_HEADER + bad)
    for part in ("per_usd is 0", "date is blank", "source is blank", "amount is 0", "provider 'amazn'"):
        assert part in message


def test_directories_without_catalogs_or_with_strangers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no such directory"):
        load_catalog(tmp_path / "absent")
    with pytest.raises(CatalogError, match="holds no catalog file"):
        load_catalog(tmp_path)
    (tmp_path / "ofers.csv").write_text(OFFER_HEADER, encoding="utf-8")
    with pytest.raises(CatalogError, match=r"not a catalog file\n +did you mean offers.csv"):
        load_catalog(tmp_path)


def test_only_the_wanted_models_are_parsed() -> None:
    catalog = load_catalog(models=["Qwen/Qwen3-8B", "not/there"])
    assert list(catalog.models) == ["Qwen/Qwen3-8B"]
    assert catalog.offers == PACKAGED.offers


def test_shuffled_rows_give_the_same_catalog(tmp_path: Path) -> None:
    shuffle = random.Random(7).shuffle
    for source in default_root().glob("*.csv"):
        with source.open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        shuffle(rows)
        with (tmp_path / source.name).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])
    shuffled = load_catalog(tmp_path)
    for name in ("gpus", "models", "offers", "engines", "quant_facts", "fx", "providers", "checkpoints", "markets"):
        first, second = getattr(PACKAGED, name), getattr(shuffled, name)
        assert first == second
        assert list(first) == list(second), name


def test_the_time_of_loading_grows_with_the_offers(load: Loader, grows_with) -> None:
    def loaded(number: int) -> None:
        rows = "".join(OFFER.replace("mine", f"offer-{index}") for index in range(number))
        assert len(load("offers.csv", OFFER_HEADER + rows).offers) == len(PACKAGED.offers) + number

    grows_with(lambda: loaded(5_000), lambda: loaded(50_000), 10)
