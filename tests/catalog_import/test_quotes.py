"""``optimize quotes``: lists as people have them; what cannot be told is refused, never guessed."""

from __future__ import annotations

import datetime
import json
import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.importers.days import DateOrder, day_of, last_day
from optimizer.catalog.importers.names import Mapped, Unmapped, read_names
from optimizer.catalog.importers.phrases import amount_of
from optimizer.catalog.importers.quote_rows import Options
from optimizer.catalog.importers.quote_types import Unit
from optimizer.catalog.importers.quote_yaml import offers_of
from optimizer.catalog.importers.quotes import read_quotes
from optimizer.commands import cli
from optimizer.commands.quotes import command
from optimizer.errors import CatalogError, InputError, UsageError
from tests.catalog_import import quote_fuzz

ROOT = Path(__file__).resolve().parents[2]
KEYS = [
    "file",
    "line",
    "provider",
    "gpu",
    "gpus_per_node",
    "amount",
    "currency",
    "unit",
    "tier",
    "tax_percent",
    "valid_until",
    "status",
    "reason",
    "ignored_columns",
]


@pytest.fixture(scope="module")
def catalog():
    return load_catalog(models=())


@pytest.fixture(scope="module")
def names(catalog):
    return read_names(catalog.gpus, [default_root()])


@pytest.fixture
def read(tmp_path, catalog, names):
    def lines(text: str, name: str = "list.csv", **options: Any) -> list[dict[str, Any]]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return [line.json() for line in read_quotes([path], catalog, names, Options(**options)).lines]

    return lines


def run(*arguments: str):
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_providers_stay_as_written_and_nothing_is_merged(read):
    """Quotes of Huawei, 华为, AMD and huawei-cn were filed under nvidia, two of them merged as duplicates."""
    found = read(
        "provider,gpu,gpus_per_node,price,currency,unit,tax_percent,tax_included,price_date\n"
        "华为,8x910B3,,1500000,CNY,once,13,yes,2026-09-10\n"
        "Huawei,8x910B3,,1600000,CNY,once,13,yes,2026-09-11\n"
        "AMD,mi300x_192,8,200000,USD,once,0,no,2026-09-10\n"
        "huawei-cn,L20,8,395500,CNY,once,13,yes,2026-09-12\n"
    )
    assert [(one["provider"], one["gpu"], one["amount"]) for one in found] == [
        ("华为", "ascend_910b3_64", 1_500_000),
        ("Huawei", "ascend_910b3_64", 1_600_000),
        ("AMD", "mi300x_192", 200_000),
        ("huawei-cn", "l20_48", 395_500),
    ]
    assert all(one["status"] == "read" and list(one) == KEYS for one in found)
    assert "910B3 is ascend_910b3_64" in found[0]["reason"]


def test_no_provider_is_an_alias_of_a_card_maker(catalog, names):
    """The normaliser of card names took the maker off a name; of "Huawei" nothing was left."""
    known = {word.lower() for item in catalog.providers.values() for word in (item.id, *item.aliases, item.name)}
    for word in ("Huawei", "华为", "AMD", "Intel", "英伟达", "昇腾", "huawei-cn", "Ascend"):
        if word.lower() not in known:
            assert names.one("provider", word) is None


def test_a_chinese_list_with_its_units_in_the_header(read):
    found = read(
        "供应商,显卡型号,数量,含税单价（万元/月/台）,税率,报价日期,备注\n"
        "某云A,H20 96G,8卡,6.8,6%,2026/10/15,裸金属整机\n"
        "某云B,A800 80G SXM,8卡,￥49,800,13%,2026年10月20日,含IB网络\n"
        "某IDC,RTX 4090 48G,8卡,1.35,6%,2026-10-18,月付\n"
    )
    assert [(one["gpu"], one["amount"], one["currency"], one["unit"], one["tax_percent"]) for one in found] == [
        ("h20_96", 68_000, "CNY", "node_month", 6),
        ("a800_sxm_80", 49_800, "CNY", "node_month", 13),
        ("rtx_4090_48mod", 13_500, "CNY", "node_month", 6),
    ]
    assert "cut at its comma" in found[1]["reason"]
    assert "64,150.94 before tax" in found[0]["reason"]


HEAD = "provider,gpu,gpus_per_node,price,currency,unit"


@pytest.mark.parametrize(
    ("row", "amount", "currency", "unit"),
    [
        ("x,H100 SXM,8,$49.24,,hour", 49.24, "USD", "node_hour"),
        ("x,H100 SXM,8,2.99,USD,per GPU hour", 2.99, "USD", "gpu_hour"),
        ("x,H100 SXM,8,$2.99/GPU/hr,,", 2.99, "USD", "gpu_hour"),
        ("x,H100 SXM,8,USD 2.99 per GPU hour,,", 2.99, "USD", "gpu_hour"),
        ('x,H20,8,"72,000元/台/月",,', 72_000, "CNY", "node_month"),
        ("x,H20,8,12元/卡/时,,", 12, "CNY", "gpu_hour"),
        ("x,H20,8,6.8万,元,元/台/月", 68_000, "CNY", "node_month"),
        ("x,A100 80GB SXM,8,￥28000,,元/台/月", 28_000, "CNY", "node_month"),
        ("x,H20,8,1 243 000,CNY,once", 1_243_000, "CNY", "node_purchase"),
        ('x,H100 SXM,8,"23,80",EUR,hour', 23.8, "EUR", "node_hour"),
        ("x,H100 SXM,8,1.800,USD,gpu_hour", 1.8, "USD", "gpu_hour"),
        ("x,H20,8,4500元/卡/月,,", 4_500, "CNY", "gpu_month"),
        ("x,H100 SXM,8,17.5k,USD,node month", 17_500, "USD", "node_month"),
        ("x,8x H100 SXM,,23.92,USD,/hr", 23.92, "USD", "node_hour"),
        ("x,H100 SXM x8,,23.92,USD,/hr", 23.92, "USD", "node_hour"),
        ("x,H20,8卡,82万,元,元/台 采购", 820_000, "CNY", "node_purchase"),
        ("x,L40S,1,0.9,USD,hour", 0.9, "USD", "node_hour"),
    ],
)
def test_amounts_and_units(read, row, amount, currency, unit):
    (one,) = read(f"{HEAD}\n{row}\n")
    assert (one["status"], one["amount"], one["currency"], one["unit"]) == ("read", amount, currency, unit), one


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",H20,8,60000,CNY,month", "whose quote"),
        ("x,,8,60000,CNY,month", "which card"),
        ("x,H20,,60000,CNY,month", "how many cards"),
        ("x,8xH20,4,60000,CNY,month", "cards per node: 8 and 4"),
        ("x,H100 80GB,8,23,USD,hour", "may be h100_pcie_80, h100_sxm_80"),
        ("x,A800,8,50000,CNY,month", "may be a800"),
        ("x,910B 64GB,8,42000,CNY,month", "ascend_910b3_64"),
        ("x,RTX PRO 6000,8,15,USD,hour", "rtx_pro_6000_server_96"),
        ("x,H100 SXM 40GB,8,23,USD,hour", "no such card"),
        ("x,AMD H100 SXM,8,23,USD,hour", "no such card is amd"),
        ("x,L40S SXM,8,9,USD,hour", "no such card"),
        ("x,H2OO,8,23,USD,hour", "no card of the catalog"),
        ("x,H100X,8,23,USD,hour", "no card of the catalog"),
        ("x,H20 0,8,23,USD,hour", "no card of the catalog"),
        ("x,H20 or H200,8,23,USD,hour", "no card of the catalog"),
        ("x,H20,8,60000,,month", "currency is not stated"),
        ("x,H20,8,60000,CNY,", "per hour, per month or once is not stated"),
        ("x,H20,8,60000,CNY,fortnight", "unit 'fortnight' is not understood"),
        ("x,H20,8,60000,CNY,月/小时", "not understood"),
        ("x,H20,8,$60000,CNY,month", "currency is $ in one place and CNY in another"),
        ("x,H20,8,60000,HKD,month", "no rate in fx.csv"),
        ("x,H20,8,面议,CNY,month", "not understood"),
        ("x,H20,8,from 60000,CNY,month", "not understood"),
        ("x,H20,8,2.1-2.5,USD,gpu_hour", "not one amount"),
        ("x,H20,8,0,CNY,month", "not above 0"),
        ("x,H20,8,-5,CNY,month", "not an amount"),
        ("x,H20,8,,CNY,month", "there is no price"),
        ("x,H20,8,nan,CNY,month", "not understood"),
        ("x,H100 SXM,8,2.10,USD,hour", "per card or per node"),
        ("x,H100 SXM,8,23000,USD,gpu_hour", "usual price"),
        ("8xH20,x,8,60000,CNY,month", "a card"),
        ("60000,H20,8,60000,CNY,month", "no letter"),
        ("2026-10-01,H20,8,60000,CNY,month", "no letter"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_reason(read, row, reason):
    (one,) = read(f"{HEAD}\n{row}\n")
    assert one["status"] == "refused"
    assert reason in one["reason"], one["reason"]


@pytest.mark.parametrize(
    ("name", "gpu"),
    [
        ("H100-80G-SXM5", "h100_sxm_80"),
        ("NVIDIA HGX H100 80GB", "h100_sxm_80"),
        ("H100 NVL 94GB", "h100_nvl_94"),
        ("H200 SXM", "h200_sxm_141"),
        ("H 20 141GB", "h20_141"),
        ("RTX PRO 6000 Blackwell Server Edition", "rtx_pro_6000_server_96"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "rtx_pro_6000_maxq_96"),
        ("华为昇腾 910C", "ascend_910c_128"),
        ("英伟达 L20 48G 显卡", "l20_48"),
        ("MI-300X", "mi300x_192"),
        ("Ｈ２０", "h20_96"),
    ],
)
def test_cards_by_whole_words(names, name, gpu):
    found = names.gpu(name)
    assert isinstance(found, Mapped), found
    assert found.gpu == gpu


def test_every_name_of_a_card_leads_to_it_and_no_typo_of_it_to_another(names, catalog):
    """One character left out, doubled or swapped: the same card, none, or one that really bears that name."""
    spelled: dict[str, set[str]] = {}
    for key, rows in names.by_name.items():
        if key[0] == "gpu":
            for row in rows:
                spelled.setdefault(re.sub(r"[\W_]", "", row.name.lower()), set()).add(row.id)
    for card in catalog.gpus:
        assert names.gpu(card) == Mapped(card, "")
    for word in list(spelled):
        for at in range(len(word)):
            for typo in (word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]):
                found = names.gpu(typo)
                if isinstance(found, Mapped):
                    assert found.gpu in spelled.get(typo, ()), (word, typo, found)
                else:
                    assert isinstance(found, Unmapped)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026年10月15日", "2026-10-15"),
        ("10/15/2026", "2026-10-15"),
        ("15/10/2026", "2026-10-15"),
        ("2026/10/15", "2026-10-15"),
        ("2026.10.15", "2026-10-15"),
        ("20261015", "2026-10-15"),
        ("15 Oct 2026", "2026-10-15"),
        ("October 15, 2026", "2026-10-15"),
        ("2026-10-15 00:00:00", "2026-10-15"),
        ("06/06/2026", "2026-06-06"),
    ],
)
def test_days(text, day):
    assert str(day_of(text)) == day


def test_a_day_that_may_be_two_is_refused_unless_the_order_is_stated(read):
    text = f"{HEAD},valid_until\nx,H20,8,60000,CNY,month,05/06/2026\n"
    (one,) = read(text)
    assert one["status"] == "refused"
    assert "5 June or 6 May: state --date-order" in one["reason"]
    assert read(text, date_order=DateOrder.DAY_FIRST)[0]["valid_until"] == "2026-06-05"
    assert read(text, date_order=DateOrder.MONTH_FIRST)[0]["valid_until"] == "2026-05-06"


def test_a_span_counts_from_the_day_of_the_quote():
    quoted = day_of("2026-10-31")
    assert isinstance(quoted, datetime.date)
    assert str(last_day("30天", quoted)) == "2026-11-30"
    assert str(last_day("1 month", quoted)) == "2026-11-30"
    assert isinstance(last_day("30 days", None), str)


@pytest.mark.parametrize(
    ("text", "value"),
    [("72,000", 72000), ("1,243,000.50", 1243000.5), ("1.243.000,50", 1243000.5), ("23,80", 23.8), ("1,2,3", None)],
)
def test_separators(text, value):
    assert amount_of(text) == value


def test_lists_of_other_programs(read):
    gpuhunt = (
        "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,gpu_vendor,flags\n"
        "p5.48xlarge,us-east-1,55.04,192,2048.0,8,H100,80.0,False,,nvidia,\n"
        "m5.large,us-east-1,0.09,2,8.0,0,,,False,,,\n"
        "gpu_8x_h100_sxm5,us-west-3,23.92,208,1800.0,8,H100,80.0,True,,nvidia,\n"
    )
    found = read(gpuhunt)
    assert [(one["provider"], one["gpu"], one["amount"], one["tier"]) for one in found] == [
        ("aws", "h100_sxm_80", 55.04, "on_demand"),
        ("lambda", "h100_sxm_80", 23.92, "spot"),
    ]
    assert "gpu_vendor" in found[0]["ignored_columns"]
    skypilot = (
        "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Region,SpotPrice,Price,GpuInfo\n"
        "1x_RTXPRO6000_SECURE,RTXPRO6000,1.0,16.0,188.0,US,1.2,1.79,\n"
        "8x_H100-SXM_SECURE,H100-SXM,8.0,160.0,1000.0,US,,21.52,\n"
    )
    found = read(skypilot, "runpod/vms.csv")
    assert [(one["line"], one["gpu"], one["amount"], one["tier"]) for one in found] == [
        (2, "rtx_pro_6000_server_96", 1.79, "on_demand"),
        (2, "rtx_pro_6000_server_96", 1.2, "spot"),
        (3, "h100_sxm_80", 21.52, "on_demand"),
    ]
    vantage = (
        "Name,API Name,Instance Memory,vCPUs,GPUs,GPU model,GPU memory,Linux On Demand cost,Linux Spot Minimum cost\n"
        "P5,p5.48xlarge,2048 GiB,192,8,NVIDIA H100,640 GiB,$55.0400 hourly,$21.1000 hourly\n"
        "G6,g6.xlarge,16 GiB,4,1,NVIDIA L4,24 GiB,$0.8048 hourly,unavailable\n"
        "M5,m5.large,8 GiB,2,0,,0 GiB,$0.0960 hourly,$0.0300 hourly\n"
    )
    found = read(vantage)
    assert [(one["provider"], one["gpu"], one["tier"], one["amount"]) for one in found] == [
        ("aws", "h100_sxm_80", "on_demand", 55.04),
        ("aws", "h100_sxm_80", "spot", 21.1),
        ("aws", "l4_24", "on_demand", 0.8048),
    ]


def test_gcp_hosts_and_accelerators_are_added(read):
    found = read(
        "InstanceType,AcceleratorName,AcceleratorCount,Region,AvailabilityZone,SpotPrice,Price\n"
        "a3-highgpu-8g,,,r1,z1,2.0,10.0\n,H100,8.0,r1,z1,20.0,78.0\n,H100,4,r1,z1,10.0,39.0\n",
        "gcp/vms.csv",
    )
    assert [(one["line"], one["amount"], one["status"]) for one in found] == [
        (2, 88.0, "read"),
        (2, 22.0, "read"),
        (4, None, "refused"),
    ]


def test_a_list_of_instances_whose_cloud_nobody_names_is_refused(read):
    text = "InstanceType,AcceleratorName,AcceleratorCount,Region,Price\nx1,L4,1,r,0.8\n"
    assert "--provider" in read(text)[0]["reason"]
    assert read(text, provider="my cloud")[0]["provider"] == "my cloud"


def test_a_workbook_with_title_merged_cells_formats_and_dates(tmp_path, catalog, names):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "封面"
    book.active["A1"] = "报价单"
    sheet = book.create_sheet("报价")
    sheet.append(["2026年10月报价"])
    sheet.append([])
    sheet.append(["供应商", "型号", "卡数", "单价(元/台/月)", "税率", "有效期至"])
    sheet.append(["某云A", "H20 96G", 8, 68000, 0.06, datetime.datetime(2026, 12, 31)])
    sheet.append([None, "L20", 8, 24000, 0.06, datetime.datetime(2026, 12, 31)])
    sheet.merge_cells("A4:A5")
    for row in (4, 5):
        sheet.cell(row, 5).number_format = "0%"
    path = tmp_path / "q.xlsx"
    book.save(path)
    found = [line.json() for line in read_quotes([path], catalog, names).lines]
    assert [(one["line"], one["provider"], one["gpu"], one["tax_percent"], one["valid_until"]) for one in found] == [
        (4, "某云A", "h20_96", 6, "2026-12-31"),
        (5, "某云A", "l20_48", 6, "2026-12-31"),
    ]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(CatalogError, match="workbook"):
        read_quotes([path], catalog, names)


def test_a_workbook_without_openpyxl_says_what_to_install(tmp_path, catalog, names, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    path = tmp_path / "q.xlsx"
    path.write_bytes(b"PK\x03\x04rest")
    with pytest.raises(CatalogError, match=r"needs the package openpyxl[\s\S]*\[quotes\]"):
        read_quotes([path], catalog, names)


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-8-sig"])
def test_encodings_of_spreadsheets(tmp_path, catalog, names, encoding):
    path = tmp_path / "q.csv"
    path.write_bytes("供应商;型号;卡数;单价(元/台/月)\n某云A;H20 96G;8;68000\n".encode(encoding))
    (line,) = read_quotes([path], catalog, names).lines
    assert (line.provider, line.gpu) == ("某云A", "h20_96")


def test_two_prices_of_a_row_agree_or_are_refused(read):
    head = "provider,gpu,gpus_per_node,Price (USD per GPU hour),Price (USD per node hour)\n"
    (one,) = read(f"{head}x,H100 SXM,8,2.99,23.92\n")
    assert (one["status"], one["unit"]) == ("read", "gpu_hour")
    (one,) = read(f"{head}x,H100 SXM,8,2.99,25.92\n")
    assert "which one counts" in one["reason"]
    both = read("provider,gpu,gpus_per_node,On-demand USD/hr,1-year reserved USD/hr\nx,H100 SXM,8,23.92,19\n")
    assert [(one["tier"], one["amount"]) for one in both] == [("on_demand", 23.92), ("reserved_1y", 19)]


def test_a_quantity_is_cards_or_nodes_only_where_it_says_so(read):
    head = "供应商,型号,数量,单价(元/卡/月)\n"
    assert "of what" in read(f"{head}x,H20 96G,8,6800\n")[0]["reason"]
    assert read(f"{head}x,H20 96G,8卡,6800\n")[0]["gpus_per_node"] == 8
    assert read(f"{head}x,8xH20 96G,2台,6800\n")[0]["gpus_per_node"] == 8


def test_units_per_node():
    assert Unit.GPU_HOUR.per_node(2, 8) == 16
    assert Unit.NODE_MONTH.per_node(7300, 8) == 10
    assert Unit.GPU_YEAR.per_node(8760, 2) == 2
    assert Unit.GPU_PURCHASE.per_node(100, 4) == 400


def test_a_thousand_mangled_lists_name_no_wrong_provider_or_card(tmp_path, catalog, names):
    """A cheap part of them; seeds 0 to 999 were run when this was written."""
    path, read_lines = tmp_path / "m.csv", 0
    for seed in range(120):
        case = quote_fuzz.mangled(seed)
        path.write_text(case.text, encoding="utf-8")
        try:
            lines = read_quotes([path], catalog, names).lines
        except InputError:
            continue
        rows = case.text.split("\n")
        for line in lines:
            if line.status == "read":
                read_lines += 1
                row = rows[line.line - 1]
                assert line.provider and line.provider in row, (seed, line)
                assert line.gpu and quote_fuzz.bears(row, line.gpu), (seed, line)
            else:
                assert line.reason
    assert read_lines > 60


def test_torn_bytes_are_refused_never_a_traceback(tmp_path, catalog, names):
    """Bytes left out, put in and swapped, in the lists of every layout."""
    draw, path, bodies = random.Random(7), tmp_path / "torn.csv", list[bytes]()
    rows = "某云A,H20 96G,8卡,6.8,6%\n某云B,L20,8卡,￥24,800,13%\n"
    bodies.append(f"供应商,显卡型号,数量,含税单价（万元/月/台）,税率\n{rows}".encode())
    head = "InstanceType,AcceleratorName,AcceleratorCount,Region,SpotPrice,Price,GpuInfo\n"
    bodies.append(f"{head}1x_L4,L4,1.0,US,0.2,0.4,\"{{'Gpus': []}}\"\na3,,,r1,1,2,\n,H100,8.0,r1,20,78,\n".encode())
    bodies.append(f"{HEAD},valid_until\nx,H100 SXM,8,23.92,USD,hour,2026-12-31\n".encode())
    for number in range(150):
        raw = bytearray(bodies[number % len(bodies)])
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(raw))
            if draw.random() < 0.4:
                del raw[at : at + draw.randint(1, 9)]
            else:
                raw[at:at] = draw.choice([b",", b"\n", b'"', b";", b"\t", b"8", b"\xef\xbc\x8c", b"\x00", b"\xff"])
            raw = raw or bytearray(b",")
        path.write_bytes(bytes(raw))
        try:
            lines = read_quotes([path], catalog, names).lines
        except InputError:
            continue
        assert all(line.reason for line in lines if line.status == "refused")


def test_the_command_writes_offers_that_a_problem_file_takes(tmp_path):
    from optimizer.planning.inputs import known_ids
    from optimizer.problem import load_problem

    out = tmp_path / "offers.yaml"
    listed = tmp_path / "three.csv"
    listed.write_text(
        f"{HEAD},tax_percent,tax_included,nvlink,quote_ref,valid_until,Sales rep\n"
        "inspur-sh,8xH20,8,1243000,CNY,once,13,yes,yes,Q-2026-0911,2026-12-31,Mr. = Li\n"
        "ovh-eu,h100_sxm_80,8,23.80,EUR,hour,19,yes,yes,OVH-77,2026-12-15,\n"
        "AWS,H100 SXM,8,x,USD,hour,,,,,,\n",
        encoding="utf-8",
    )
    result = run(str(listed), "--format", "json", "-o", str(out))
    assert result.exit_code == 0
    lines = json.loads(result.output)
    assert [one["status"] for one in lines] == ["read", "read", "refused"]
    assert lines[0]["ignored_columns"] == ["Sales rep"]
    text = out.read_text(encoding="utf-8")
    assert "Sales rep: Mr. = Li" in text
    problem = tmp_path / "p.yaml"
    base = (ROOT / "problems" / "chatbot_100users.yaml").read_text(encoding="utf-8")
    problem.write_text(f"{base}\noffers:\n{text}", encoding="utf-8")
    quotes = load_problem(problem, known=known_ids(load_catalog())).offers
    assert [(quote.provider, quote.gpu) for quote in quotes] == [("inspur-sh", "h20_96"), ("ovh-eu", "h100_sxm_80")]
    assert quotes[0].purchase_price == pytest.approx(1_243_000 / 1.13)
    assert (quotes[1].price_per_hour, quotes[1].tax_percent, str(quotes[1].valid_until)) == (20.0, 19, "2026-12-15")


def test_names_of_the_catalog_are_used_in_offers_and_said(tmp_path, catalog, names):
    path = tmp_path / "q.csv"
    path.write_text(f"{HEAD}\nAWS,L40S,8,12,USD,hour\n", encoding="utf-8")
    (line,) = read_quotes([path], catalog, names).lines
    assert line.provider == "AWS"
    assert "AWS is aws in the catalog" in line.reason
    assert offers_of([line])[0]["provider"] == "aws"


def test_ids_are_one_each_and_never_a_catalog_offers(tmp_path, catalog, names):
    path = tmp_path / "q.csv"
    path.write_text(f"{HEAD}\nx,L40S,8,12,USD,hour\nx,L40S,8,13,USD,hour\n", encoding="utf-8")
    lines = read_quotes([path], catalog, names).lines
    ids = [offer["id"] for offer in offers_of(lines, ["quote-x-8x-l40s-48-on-demand"])]
    assert ids == ["quote-x-8x-l40s-48-on-demand-2", "quote-x-8x-l40s-48-on-demand-3"]


def test_exit_codes_and_files_that_are_none(tmp_path):
    listed = tmp_path / "q.csv"
    listed.write_text("a,b\n1,2\n", encoding="utf-8")
    result = run(str(listed))
    assert result.exit_code == 2
    assert "no header line is known" in result.output
    listed.write_text(f"{HEAD}\nx,L40S,8,12,USD,hour\n", encoding="utf-8")
    before = listed.read_bytes()
    with pytest.raises(UsageError, match="this run reads it"):
        CliRunner().invoke(cli, ["quotes", str(listed), "-o", str(listed)], catch_exceptions=False)
    assert listed.read_bytes() == before
    with pytest.raises(CatalogError, match="no such file"):
        run(str(tmp_path / "absent.csv"))
    listed.write_bytes(b"\xd0\xcf\x11\xe0rest")
    with pytest.raises(CatalogError, match="xls"):
        run(str(listed))


@pytest.mark.parametrize("name", ["price_list.csv", "price_list_cn.csv"])
def test_the_templates_are_read_whole(name):
    result = run(str(default_root() / "templates" / name), "--format", "json")
    assert {one["status"] for one in json.loads(result.output)} == {"read"}


def test_the_commands_of_the_page_run(tmp_path, monkeypatch):
    """Every `optimize quotes` and `optimize catalog` line of docs/price_lists.md, in order, in one directory."""
    from optimizer.commands import cli

    page = (ROOT / "docs" / "price_lists.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```csv\n(.*?)```", page, re.DOTALL)
    assert block is not None
    (tmp_path / "quotes_cn.csv").write_text(block[1], encoding="utf-8")
    (tmp_path / "aws").mkdir()
    head = "InstanceType,AcceleratorName,AcceleratorCount,Region,Price\n"
    (tmp_path / "lists" / "aws").mkdir(parents=True)
    for name in ("vms.csv", "lists/aws/vms.csv"):
        (tmp_path / name).write_text(f"{head}p5.48xlarge,H100,8,us-east-1,55.04\n", encoding="utf-8")
    commands = re.findall(r"^optimize ((?:quotes|catalog) .+)$", page, re.MULTILINE)
    assert len(commands) >= 5
    for line in commands:
        result = CliRunner().invoke(cli, line.split(), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert ": refused\n" not in result.output


def test_country_certificates_and_least_order_go_into_the_offer(tmp_path, catalog, names):
    path = tmp_path / "list.csv"
    path.write_text(
        "Supplier,Card,GPUs per node,Price (USD per GPU hour),Country,Certificates,Min nodes\n"
        "A,H100 SXM,8,1.85,de,ISO 27001; C5,4\n"
        "B,H100 SXM,8,1.85,Germany,,four\n",
        encoding="utf-8",
    )
    one, other = read_quotes([path], catalog, names).lines
    first, second = offers_of([one, other])
    assert (first["country"], first["certificates"], first["min_nodes"]) == ("DE", ["ISO 27001", "C5"], 4)
    assert not {"country", "certificates", "min_nodes"} & second.keys()
    assert "country 'Germany' is no code of two letters" in other.reason
    assert "fewest nodes 'four' is not a number of nodes" in other.reason
