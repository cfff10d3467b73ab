"""Minor units by ISO 4217."""

import pytest

from schemas.currencies import EXPONENTS, exponent, in_major_units


@pytest.mark.parametrize(("currency", "digits"), [("JPY", 0), ("INR", 2), ("KWD", 3), ("CLF", 4), ("XAU", None)])
def test_digits_are_those_of_the_standard(currency: str, digits: int | None) -> None:
    assert exponent(currency) == digits


def test_what_is_no_currency_has_no_digits() -> None:
    assert exponent("ABC") is None
    assert "inr" not in EXPONENTS
    assert len(EXPONENTS) > 150


@pytest.mark.parametrize(
    ("cents", "currency", "written"),
    [
        (12345, "INR", "123.45"),
        (-12345, "INR", "-123.45"),
        (5, "INR", "0.05"),
        (-5, "INR", "-0.05"),
        (0, "INR", "0.00"),
        (12345, "JPY", "12345"),
        (-7, "JPY", "-7"),
        (12345, "KWD", "12.345"),
        (-5, "KWD", "-0.005"),
        (10**18 + 1, "INR", "10000000000000000.01"),
        (5, "ABC", None),
    ],
)
def test_minor_units_as_people_write_them(cents: int, currency: str, written: str | None) -> None:
    assert in_major_units(cents, currency) == written
