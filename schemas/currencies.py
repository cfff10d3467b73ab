"""Currencies by ISO 4217: which codes there are, and how many digits of each come after the point.

What the pipeline calls cents are minor units: a hundredth of a rupee, a whole yen, a thousandth of a dinar.
Source: ISO 4217, list one, as the package iso4217 carries it.
"""

from typing import Final

from iso4217 import Currency

# Metals, bond units, test codes and "no currency" have no minor unit: nothing can be booked in them.
EXPONENTS: Final[dict[str, int]] = {
    currency.code: currency.exponent for currency in Currency if currency.exponent is not None
}


def exponent(currency: str) -> int | None:
    """Digits after the point: 2 for INR, 0 for JPY, 3 for KWD; None for what is no currency of ISO 4217."""
    return EXPONENTS.get(currency)


def in_major_units(cents: int, currency: str) -> str | None:
    """Minor units as people write them: -12345 is -123.45 in INR, -12345 in JPY, -12.345 in KWD.

    None where the number of digits is not known, so that nobody takes a guess for an amount.
    """
    digits = exponent(currency)
    if digits is None:
        return None
    if digits == 0:
        return str(cents)
    whole, fraction = divmod(abs(cents), int(10**digits))
    return f"{'-' if cents < 0 else ''}{whole}.{fraction:0{digits}d}"
