"""Amounts as integers of a currency's minor unit, computed in decimals, never in floats."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

# ISO 4217, active codes of currencies that are money (no metals, no test codes).
_ACTIVE: Final = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP
BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB
EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD
JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU
MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD
RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY
TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW
ZWG ZWL
"""
_CODES: Final = frozenset(_ACTIVE.split())
_UNUSUAL: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_EXPONENTS: Final = {code: exp for exp, codes in _UNUSUAL.items() for code in codes.split()}
# Digits before the point; more would not fit the 64 bits of the schema.
_MOST_DIGITS: Final = 14
_UNIT: Final = Decimal(1)
_AMOUNT: Final = re.compile(r"[+-]?([0-9]{1,64}(\.[0-9]{0,64})?|\.[0-9]{1,64})")
_EXACT: Final = Context(prec=200, rounding=ROUND_HALF_EVEN)


def currency_code(value: object) -> str | None:
    """The ISO 4217 code that *value* says, in whatever case; None where it says none."""
    code = value.strip().upper() if isinstance(value, str) else ""
    return code if code in _CODES else None


def minor_units(amount: object, currency: str) -> int | None:
    """
    *amount* in minor units of *currency*, halves to even; None where it is no amount.

    Takes integers, decimals and decimal texts; a text with anything else in it is no amount.
    """
    if isinstance(amount, str):
        amount = Decimal(found[0]) if (found := _AMOUNT.fullmatch(amount.strip())) else None
    elif isinstance(amount, int) and not isinstance(amount, bool):
        amount = Decimal(amount)
    if not isinstance(amount, Decimal) or amount.adjusted() >= _MOST_DIGITS:
        return None
    if amount.adjusted() < -_MOST_DIGITS:
        return 0
    return int(_EXACT.quantize(_EXACT.scaleb(amount, _EXPONENTS.get(currency, 2)), _UNIT))


def exponent(currency: str) -> int:
    """Decimal digits of *currency*'s minor unit: 2 for EUR, 0 for JPY."""
    return _EXPONENTS.get(currency, 2)
