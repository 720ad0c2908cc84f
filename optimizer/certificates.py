"""Certificates of providers: the names they go by, and whether one that is held answers one that is asked for.

People write ``SOC2``, ``SOC 2 Type 2`` or ``ISO/IEC 27001:2022`` for the same papers. A name is read as what it is a
certificate of, and a detail (a report's type, a standard's edition, a level). A detail that is not asked for does not
count: a SOC 2 report of Type II answers ``SOC 2``, a SOC 2 report of no stated type does not answer ``SOC 2 Type II``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple


class Certificate(NamedTuple):
    """A name as it was read; ``detail`` is empty where none is stated."""

    name: str
    detail: str = ""


_STANDARDS = ("9001", "14001", "20000", "22301", "27001", "27017", "27018", "27701", "42001", "50001")
_ISO = re.compile(rf"(?:iso)?(?:iec)?({'|'.join(_STANDARDS)})((?:19|20)\d\d)?")
_SOC = re.compile(r"(?:aicpa|ssae1[68])?soc([123])(?:type([12]|i{1,2}))?")
_PCI = re.compile(r"pci(?:dss)?v?[\d]{0,3}(?:level1)?")
_TYPES = {"1": "Type I", "i": "Type I", "2": "Type II", "ii": "Type II"}
_LEVELS = {"2": "Level 2", "3": "Level 3", "二": "Level 2", "三": "Level 3"}
_MLPS = re.compile(r"(?:mlps|djcp|等保|等级保护|网络安全等级保护)(?:20)?(?:level)?([23二三])?级?")
_FEDRAMP = re.compile(r"fedramp(low|moderate|high)?")
_PLAIN = {
    "c5": "C5",
    "bsic5": "C5",
    "csastar": "CSA STAR",
    "cyberessentials": "Cyber Essentials",
    "cyberessentialsplus": "Cyber Essentials Plus",
    "ens": "ENS",
    "hds": "HDS",
    "hipaa": "HIPAA",
    "hitrust": "HITRUST",
    "hitrustcsf": "HITRUST",
    "irap": "IRAP",
    "secnumcloud": "SecNumCloud",
    "tisax": "TISAX",
}

KNOWN_CERTIFICATES = (
    *(f"ISO {number}" for number in _STANDARDS),
    *("SOC 1", "SOC 2", "SOC 2 Type II", "SOC 3", "PCI DSS", "FedRAMP", "MLPS Level 3", "等保三级"),
    *sorted(set(_PLAIN.values())),
)
"""Names to offer where one is not known."""


def certificate_of(text: str) -> Certificate | None:
    """What a name stands for, whatever its case and signs; None: no certificate that is known here."""
    plain = _letters(text).replace("200001", "20000")  # ISO/IEC 20000-1, the part that is certified
    if found := _ISO.fullmatch(plain):
        return Certificate(f"ISO {found[1]}", found[2] or "")
    if found := _SOC.fullmatch(plain):
        return Certificate(f"SOC {found[1]}", _TYPES.get(found[2] or "", ""))
    if _PCI.fullmatch(plain):
        return Certificate("PCI DSS")
    if found := _MLPS.fullmatch(plain):
        return Certificate("MLPS", _LEVELS.get(found[1] or "", ""))
    if found := _FEDRAMP.fullmatch(plain):
        return Certificate("FedRAMP", (found[1] or "").title())
    return Certificate(_PLAIN[plain]) if plain in _PLAIN else None


def answers(held: str, asked: str) -> bool:
    """Whether a certificate that is held is one that is asked for; names not known here need the same letters."""
    have, want = certificate_of(held), certificate_of(asked)
    if have is None or want is None:
        return _letters(held) == _letters(asked)
    return have.name == want.name and want.detail in ("", have.detail)


def certified(asked: Collection[str], held: Collection[str]) -> bool:
    """Whether every certificate asked for is held, whatever the spelling."""
    return all(any(answers(one, name) for one in held) for name in asked)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))
