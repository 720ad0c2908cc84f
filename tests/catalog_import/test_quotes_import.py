"""Plain price lists: templates, units, tax, errors with their lines, what the command writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.importers.names import read_names
from optimizer.catalog.importers.quotes import import_quotes
from optimizer.commands.catalog import command
from optimizer.errors import CatalogError, UsageError
from optimizer.vocabulary import Link, Tier

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def catalog():
    return load_catalog(models=())


@pytest.fixture
def quoted(tmp_path, catalog):
    names = read_names(catalog.gpus, [default_root()])

    def imported(text: str, **options: str):
        path = tmp_path / "quotes.csv"
        path.write_text(text, encoding="utf-8")
        return import_quotes([path], names, catalog.providers, catalog.fx, **options)

    return imported


def run(*arguments: str):
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_the_chinese_template_imports_whole(tmp_path):
    listed = tmp_path / "cn.csv"
    assert run("template", "--cn", "-o", str(listed)).exit_code == 0
    result = run("import", "csv", str(listed), "-o", str(tmp_path / "out"))
    assert "imported 4 prices of 4 offers (3 purchase, 1 reserved_1y)" in result.output
    assert "910B3) is taken" in result.output
    offers = load_catalog(tmp_path / "out", models=()).offers
    mine = {offer.gpu: offer for offer in offers.values() if offer.provider.startswith(("渠道商", "算力"))}
    assert set(mine) == {"h20_96", "l20_48", "a800_sxm_80", "ascend_910b3_64"}
    h20, used, rented = mine["h20_96"], mine["a800_sxm_80"], mine["ascend_910b3_64"]
    assert h20.prices[0].amount == pytest.approx(1_150_000 / 1.13)
    assert (h20.tax_percent, h20.link, h20.stock) == (13, Link.NVSWITCH, 6)
    assert used.notes.startswith("used")
    assert rented.prices[0].tier is Tier.RESERVED_1Y
    assert rented.prices[0].amount == pytest.approx(42_000 / 1.06 / 730)
    assert all(price.rankable for offer in mine.values() for price in offer.prices)


def test_the_plain_template_imports_whole(tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text(run("template").output, encoding="utf-8")
    result = run("import", "csv", str(listed), "-o", str(tmp_path / "out"))
    assert "imported 3 prices of 3 offers" in result.output


@pytest.mark.parametrize(
    ("unit", "price", "amount"), [("hour", 20, 20), ("month", 7300, 10), ("gpu_hour", 2, 16), ("gpu_month", 730, 8)]
)
def test_units_become_node_hours(quoted, unit, price, amount):
    read = quoted(f"provider,gpu,gpus_per_node,price,unit\naws,L40S,8,{price},{unit}\n")
    assert read.prices[0].amount == pytest.approx(amount)


def test_every_wrong_cell_is_a_finding_with_its_line(quoted):
    text = """provider,gpu,gpus_per_node,price,unit,currency,price_date,tax_included,tier
aws,L40S,8,0,hour,USD,2026-09-01,,
aws,L40S,8,"1,000",hour,USD,2026-09-01,,
aws,L40S,8,10,week,USD,2026-09-01,,
aws,L40S,8,10,hour,XYZ,01.09.2026,,
aws,L40S,8,10,hour,USD,,yes,
aws,L40S,8,10,once,USD,,,on_demand
aws,8xL40S,4,10,hour,USD,,,
aws,L40S,,10,hour,USD,,,
"""
    with pytest.raises(CatalogError) as caught:
        quoted(text)
    found = [(finding.line, finding.message) for finding in caught.value.findings]
    assert [line for line, _ in found] == [2, 3, 4, 5, 5, 6, 7, 8, 9]
    assert "price 0 is not above 0" in found[0][1]
    assert "no rate in fx.csv" in " ".join(message for _, message in found)


def test_unknown_columns_and_missing_ones_are_named(quoted):
    with pytest.raises(CatalogError) as caught:
        quoted("provider,gpus,price\naws,L4,1\n")
    text = str(caught.value)
    assert "unknown column 'gpus'" in text
    assert "column gpu is missing" in text
    assert "column unit is missing" in text


def test_a_card_nobody_knows_is_left_out_and_the_rest_taken(quoted):
    read = quoted("provider,gpu,price,unit\naws,1xL4,1,hour\naws,1xK80,1,hour\n")
    assert len(read.prices) == 1
    assert read.left_out[0].line == 3
    assert "'K80' is no card of the catalog" in read.left_out[0].reason


def test_of_two_prices_the_newest_counts(quoted):
    head = "provider,gpu,price,unit,price_date\n"
    read = quoted(f"{head}aws,1xL4,1,hour,2026-09-01\naws,1xL4,2,hour,2026-09-02\naws,1xL4,3,hour,2026-09-02\n")
    assert [(price.amount, price.date) for price in read.prices] == [(2.0, "2026-09-02")]


def test_imports_add_up_and_replace_by_id(tmp_path):
    for name, price in (("a", 1), ("b", 2), ("a", 3)):
        listed = tmp_path / "list.csv"
        listed.write_text(f"id,provider,gpu,price,unit\n{name},aws,1xL4,{price},hour\n", encoding="utf-8")
        run("import", "csv", str(listed), "-o", str(tmp_path / "out"), "--date", "2026-09-01")
    offers = load_catalog(tmp_path / "out", models=()).offers
    assert {name: offers[name].prices[0].amount for name in ("a", "b")} == {"a": 3.0, "b": 2.0}


def test_nothing_is_written_where_a_list_is_wrong(tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("provider,gpu,price,unit\naws,1xL4,0,hour\n", encoding="utf-8")
    with pytest.raises(CatalogError):
        run("import", "csv", str(listed), "-o", str(tmp_path / "out"))
    listed.write_text("provider,gpu,price,unit\naws,1xK80,1,hour\n", encoding="utf-8")
    with pytest.raises(CatalogError, match="nothing could be imported"):
        run("import", "csv", str(listed), "-o", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_users_aliases_come_first(tmp_path):
    (tmp_path / "own").mkdir()
    alias = "kind,name,provider,instance,id,default,basis\ngpu,Wunderkarte,,,l4_24,,ours\n"
    (tmp_path / "own" / "aliases.csv").write_text(alias, encoding="utf-8")
    listed = tmp_path / "list.csv"
    listed.write_text("provider,gpu,price,unit\naws,1xWunderkarte,1,hour\n", encoding="utf-8")
    arguments = ("import", "csv", str(listed), "-o", str(tmp_path / "out"), "--catalogs", str(tmp_path / "own"))
    assert "imported 1 prices" in run(*arguments).output


def test_a_day_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--date"):
        run("import", "csv", "x.csv", "-o", str(tmp_path), "--date", "yesterday")


def test_the_commands_of_the_page_run(tmp_path, monkeypatch):
    """Every `optimize catalog ...` line of docs/price_lists.md, in order, in one directory."""
    page = (ROOT / "docs" / "price_lists.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aws").mkdir()
    block = re.search(r"```csv\n(.*?)```", page, re.DOTALL)
    assert block is not None
    (tmp_path / "aws" / "vms.csv").write_text(block[1], encoding="utf-8")
    commands = re.findall(r"^optimize catalog (.+)$", page, re.MULTILINE)
    assert len(commands) >= 5
    for line in commands:
        words, _, target = line.partition(" > ")
        result = run(*words.split())
        assert result.exit_code == 0, result.output
        if target:
            (tmp_path / target).write_text(result.output, encoding="utf-8")
