"""The official cases for a central system, as data: what there is, and why some have no test yet.

Ids are those of the OCPP 1.6 certification (TC_..._CSMS), of OCPP 2.0.1 edition 3 part 5 section 4
with its errata, and what OCPP 2.1 adds to the Core that every central system claims; they stand
without prefix and suffix (`TC_E_03_CSMS` is `E_03`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """Cases that belong together. `missing`: why those without a test have none."""

    version: str
    name: str
    ids: tuple[str, ...]
    missing: str


def _ids(text: str, letter: str = "") -> tuple[str, ...]:
    return tuple(f"{letter}_{number}" if letter else number for number in text.split())


BLOCKS: tuple[Block, ...] = (
    Block(
        "1.6",
        "Core",
        _ids(
            "001 003 004_1 004_2 005_1 007 010 011_1 011_2 012 013 014 017_1 017_2 018_1 019_1 "
            "019_2 021 023_1 023_2 023_3 024 026 028 030 031 032_1 037_1 037_3 039 040_1 040_2 "
            "061 064"
        ),
        "",
    ),
    Block(
        "1.6",
        "Local Auth List Management",
        _ids("042_1 042_2 043_1 043_3 043_4 043_5"),
        "local lists of tokens on stations are not built yet",
    ),
    Block(
        "1.6",
        "Firmware Management",
        _ids("044_1 044_2 044_3 045_1 045_2"),
        "updates and diagnostics as jobs are not built yet (their reports are answered and kept)",
    ),
    Block(
        "1.6",
        "Reservation",
        _ids("046 047 048_1 048_2 048_3 048_4 049 051 052 053"),
        "reservations are not built yet",
    ),
    Block(
        "1.6",
        "Remote Trigger",
        _ids("054 055"),
        "not written yet",
    ),
    Block(
        "1.6",
        "Smart Charging",
        _ids("056 057 059 066 067"),
        "charging profiles are not built yet (raw calls carry them)",
    ),
    Block(
        "1.6",
        "Security",
        _ids("073 074 075_1 075_2 076 077 078 079 080 081 083 085 086 087 088"),
        "certificates of stations (profile 3), signed firmware and security logs are not built yet",
    ),
    Block(
        "2.0.1",
        "A Security",
        _ids("01 02 03 04 06 07 08 09 10 11 12 14 19", "A"),
        "certificates of stations (profile 3) and their renewal are not built yet",
    ),
    Block(
        "2.0.1",
        "B Provisioning",
        _ids("01 02 06 07 09 10 12 13 14 18 20 21 22 25 26 27 30 31 42 44 58", "B"),
        "the summary has no test yet, custom reports (GetReport) are raw calls",
    ),
    Block(
        "2.0.1",
        "C Authorization",
        _ids("02 06 07 08 20 37 38 39 40 43 47 48 49 50 51 52", "C"),
        "local lists and contract certificates (ISO 15118) are not built yet",
    ),
    Block(
        "2.0.1",
        "D Local Authorization List",
        _ids("01 02 03 04 08 09", "D"),
        "local lists of tokens on stations are not built yet",
    ),
    Block(
        "2.0.1",
        "E Transactions",
        _ids(
            "01 02 03 04 07 08 09 10 11 12 14 15 16 17 19 20 21 22 26 29 30 31 33 34 38 39 53",
            "E",
        ),
        "",
    ),
    Block(
        "2.0.1",
        "F Remote Control",
        _ids("01 02 03 04 06 11 12 13 14 15 18 20 23 24 27", "F"),
        "",
    ),
    Block("2.0.1", "G Availability", _ids("03 04 05 06 07 08 11 14 17 20", "G"), ""),
    Block(
        "2.0.1",
        "H Reservation",
        _ids("01 07 08 14 15 17 19 20 22", "H"),
        "reservations are not built yet",
    ),
    Block(
        "2.0.1",
        "I Tariff and Cost",
        _ids("01 02", "I"),
        "telling stations the cost of a charge is not built yet",
    ),
    Block("2.0.1", "J Metering", _ids("01 02 03 04 07 08 09 10 11", "J"), ""),
    Block(
        "2.0.1",
        "K Smart Charging",
        _ids(
            "01 03 04 05 06 08 10 15 19 29 30 31 32 33 34 35 36 37 43 44 53 55 57 58 59 60 70",
            "K",
        ),
        "charging profiles are not built yet (raw calls carry them)",
    ),
    Block(
        "2.0.1",
        "L Firmware",
        _ids("01 02 03 04 05 06 07 08 09 10 11 13", "L"),
        "updates as jobs are not built yet (their reports are answered and kept)",
    ),
    Block(
        "2.0.1",
        "M Certificates",
        _ids("01 02 03 04 05 13 14 15 16 18 19 20 21 24 26 28", "M"),
        "certificates on stations are not built yet (raw calls carry them)",
    ),
    Block(
        "2.0.1",
        "N Diagnostics",
        _ids(
            "01 02 03 05 08 16 17 18 21 24 25 27 28 29 30 31 32 34 35 36 44 46 47 49 50 60 62 63",
            "N",
        ),
        "logs, monitoring and customer information are not built yet (raw calls carry them)",
    ),
    Block(
        "2.0.1",
        "O Display Messages",
        _ids("01 02 03 04 05 06 07 08 09 10 12 13 14 17 18 19 26 27 28", "O"),
        "messages on screens are not built yet (raw calls carry them)",
    ),
    Block("2.0.1", "P Data Transfer", _ids("02 03", "P"), ""),
    Block(
        "2.1",
        "Core, in addition",
        (
            *_ids("100 103 104 105", "B"),
            *_ids("106 107 108 113", "E"),
            *_ids("102 103 105", "N"),
        ),
        "uploads of logs with credentials of their own are not built yet (raw calls carry them)",
    ),
)

OFFICIAL = frozenset(case for block in BLOCKS for case in block.ids)


def of_test(function: str) -> tuple[str, ...]:
    """The cases that a test is about, by its name: `test_TC_E_03_cable_first`, or several of a
    block, `test_TC_B_103_104_reset`; none for a test that names none. Raises `KeyError` for a case
    that is in no list."""
    prefix = "test_TC_"
    if not function.startswith(prefix):
        return ()
    first, *words = function.removeprefix(prefix).split("_")
    if first.isdigit():
        # The longer id first: 004_1 is a case, and so would be 004.
        found = [case for case in (f"{first}_{words[0]}", first) if case in OFFICIAL][:1]
    else:
        numbers = list(itertools.takewhile(str.isdigit, words))
        found = [f"{first}_{number}" for number in numbers]
    if not found or not OFFICIAL.issuperset(found):
        raise KeyError(function)
    return tuple(found)
