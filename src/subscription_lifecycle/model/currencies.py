"""Currencies and how many decimals each one has, as data.

Source: ISO 4217, List One (active codes) and List Three (withdrawn codes), published by SIX Financial Information AG,
the standard's maintenance agency; List One as of 1 January 2026. Codes without a minor unit (gold, special drawing
rights, tests) are left out: no price can be written in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation

__all__ = ["EXPONENTS", "WITHDRAWN", "exponent"]

_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"

_TWO = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY
    COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS
    INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR
    MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP
    STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
"""

_THREE = "BHD IQD JOD KWD LYD OMR TND"

_FOUR = "CLF UYW"

WITHDRAWN: Final = frozenset({"ANG", "BGN", "CUC", "HRK", "MRO", "SLL", "STD", "VEF", "ZWL"})
"""Codes withdrawn since 2018, all with two decimals. They stay valid: what was once charged must stay readable."""

EXPONENTS: Final[Mapping[str, int]] = MappingProxyType(
    dict.fromkeys(_NONE.split(), 0)
    | dict.fromkeys(_TWO.split(), 2)
    | dict.fromkeys(_THREE.split(), 3)
    | dict.fromkeys(_FOUR.split(), 4)
    | dict.fromkeys(WITHDRAWN, 2)
)
"""Code to number of decimals: 100 euro cents are 1 euro, so EUR has 2; yen have 0, Kuwaiti dinars 3."""


def exponent(currency: object) -> int:
    """How many decimals the currency has. Raises InvalidValue (`currency`) for what is no code of ISO 4217."""
    found = EXPONENTS.get(currency) if isinstance(currency, str) else None
    if found is None:
        raise InvalidValue(
            "currency",
            f"{validation.brief(currency)} is not a currency of ISO 4217",
            'Pass three capital letters, as in "EUR".',
        )
    return found
