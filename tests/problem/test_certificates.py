"""Names of certificates: spellings, details, and those that nobody knows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.certificates import KNOWN_CERTIFICATES, Certificate, answers, certificate_of
from optimizer.problem.references import KnownIds


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        (Certificate("SOC 2"), ("SOC2", "soc-2", "AICPA SOC 2")),
        (Certificate("SOC 2", "Type II"), ("SOC 2 Type II", "soc2 type 2", "SSAE18 SOC 2 (Type 2)")),
        (Certificate("SOC 2", "Type I"), ("SOC 2 Type 1",)),
        (Certificate("ISO 27001"), ("ISO27001", "iso/iec 27001", "ISO-27001")),
        (Certificate("ISO 27001", "2022"), ("ISO/IEC 27001:2022", "iso_27001_2022")),
        (Certificate("ISO 20000", "2018"), ("ISO/IEC 20000-1:2018",)),
        (Certificate("PCI DSS"), ("PCI-DSS", "pci", "PCI DSS v4.0")),
        (Certificate("C5"), ("c5", "BSI C5")),
        (Certificate("MLPS", "Level 3"), ("等保三级", "MLPS level 3", "等保2.0三级", "等级保护 3级")),
        (Certificate("FedRAMP", "High"), ("FedRAMP High",)),
    ],
)
def test_spellings_of_one_name_are_one(name: Certificate, spellings: tuple[str, ...]) -> None:
    assert {certificate_of(one) for one in spellings} == {name}


def test_a_detail_counts_where_it_is_asked_for() -> None:
    assert answers("SOC 2 Type II", "SOC2") and not answers("SOC 2", "SOC 2 Type II")
    assert not answers("SOC 2 Type I", "SOC 2 Type II") and not answers("SOC 3", "SOC 2")
    assert answers("ISO 27001:2022", "ISO 27001") and not answers("ISO 27001", "ISO 27017")
    assert answers("Our-Own 1", "our own 1") and not answers("Our-Own 1", "our own 2")


def test_every_name_that_is_offered_is_known() -> None:
    assert None not in [certificate_of(name) for name in KNOWN_CERTIFICATES]


def test_an_unknown_name_lists_the_known_ones_unless_somebody_states_it(minimal, load, refuse, known: KnownIds) -> None:
    text = f"{minimal}hardware: {{require: {{certificates: [iso27001, SOC 22]}}}}\n"
    (found,) = refuse(text, known=known)
    assert found.line is not None and "unknown certificate 'SOC 22'" in found.message
    assert found.hint is not None and "SOC 2" in found.hint and "ISO 27001" in found.hint and "等保三级" in found.hint
    assert load(text, known=replace(known, certificates=frozenset({"soc-22"}))).hardware.require.certificates
    quote = "{id: q, provider: aws, gpu: h20_96, gpus_per_node: 8, price_per_hour: 9, certificates: [soc 22]}"
    assert load(f"{text}offers: [{quote}]\n", known=known).offers
