"""Checks that turn bad input into `InvalidValue`, before anything is computed or written."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import attrs

from subscription_lifecycle.errors import InvalidValue

LONGEST_NAME = 255
"""Ids, keys and codes fit a database index and every gateway's own limits."""

LONGEST_TEXT = 10_000
LARGEST_JSON = 100_000

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def a(*types: type) -> Validator:
    """The value is an instance of one of these; a bool is not an int and a datetime is not a date."""
    names = " or ".join(kind.__name__ for kind in types)

    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not is_a(value, *types):
            raise InvalidValue(attribute.name, f"{brief(value)} is not a {names}", f"Pass a {names}.")

    return check


def is_a(value: object, *types: type) -> bool:
    if type(value) in types:
        return True
    if isinstance(value, bool) and bool not in types:
        return False
    if isinstance(value, datetime) and datetime not in types:
        return False
    return isinstance(value, types)


def optional(validator: Validator) -> Validator:
    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None:
            validator(instance, attribute, value)

    return check


def tuple_of(*types: type) -> Validator:
    names = " or ".join(kind.__name__ for kind in types)

    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, tuple) or (value and not all(is_a(item, *types) for item in value)):
            raise InvalidValue(attribute.name, f"{brief(value)} is not a tuple of {names}", f"Pass a tuple of {names}.")

    return check


def one_of(*allowed: object) -> Validator:
    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not any(value is choice or (type(value) is type(choice) and value == choice) for choice in allowed):
            choices = ", ".join(repr(choice) for choice in allowed)
            raise InvalidValue(attribute.name, f"{brief(value)} is not one of {choices}", "Choose one of them.")

    return check


def between(least: int, most: int) -> Validator:
    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not is_a(value, int) or not least <= value <= most:
            raise InvalidValue(
                attribute.name,
                f"{brief(value)} is not a whole number from {least} to {most}",
                "Pass one in that range.",
            )

    return check


def whole(field: str, value: object, least: int, most: int) -> int:
    """An int in that range, ends included."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidValue(
            field, f"{brief(value)} is not a whole number from {least} to {most}", "Pass one in that range."
        )
    return value


def name(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Text of 1 to 255 characters, printable, without blanks at its ends."""
    named(attribute.name, value)


def named(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidValue(field, f"{brief(value)} is not text", "Pass a str.")
    if not value or len(value) > LONGEST_NAME:
        raise InvalidValue(field, f"it has {len(value)} characters", f"Use 1 to {LONGEST_NAME}.")
    if value != value.strip() or not value.isprintable():
        raise InvalidValue(field, f"{brief(value)} has blanks at its ends or unprintable characters", "Remove them.")
    return value


def country(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not re.fullmatch("[A-Z]{2}", value):
        raise InvalidValue(
            attribute.name, f"{brief(value)} is not an ISO 3166 country code", 'Pass two capital letters, as in "NL".'
        )


def time_zone(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not _zone_exists(value):
        raise InvalidValue(
            attribute.name,
            f"{brief(value)} is not a time zone known here",
            'Pass an IANA name, as in "Europe/Amsterdam".',
        )


def zone(field: str, value: object) -> ZoneInfo:
    """The time zone of that IANA name."""
    found = _OPENED.get(value) if isinstance(value, str) else None
    if found is not None:
        return found
    if not isinstance(value, str) or not _zone_exists(value):
        raise InvalidValue(
            field, f"{brief(value)} is not a time zone known here", 'Pass an IANA name, as in "Europe/Amsterdam".'
        )
    return _OPENED.setdefault(value, ZoneInfo(value))


_OPENED: dict[str, ZoneInfo] = {}
_ZONES: set[str] = set()


def _zone_exists(key: str) -> bool:
    if not _ZONES:
        _ZONES.update(available_timezones() | {"UTC"})
    return key in _ZONES


def instant(field: str, value: object) -> datetime:
    """An aware datetime, in UTC."""
    if type(value) is datetime and value.tzinfo is UTC:
        return value
    if not isinstance(value, datetime):
        raise InvalidValue(field, f"{brief(value)} is not a datetime", "Pass an aware datetime.")
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidValue(
            field, f"{value.isoformat()} has no time zone", "Pass an aware datetime, as in datetime.now(UTC)."
        )
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidValue(
            field, f"{value.isoformat()} lies outside the years 1 to 9999 in UTC", "Pass an earlier or later one."
        ) from None


def span(field: str, value: object) -> timedelta:
    """A stretch of time, zero or longer."""
    if not isinstance(value, timedelta):
        raise InvalidValue(field, f"{brief(value)} is not a timedelta", "Pass one, as in timedelta(days=2).")
    if value < timedelta():
        raise InvalidValue(field, f"{value} is less than nothing", "Pass a timedelta of zero or more.")
    return value


def an_instant(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    instant(attribute.name, value)


def an_optional_day(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        day(attribute.name, value)


def day(field: str, value: object) -> date:
    if type(value) is date:
        return value
    if not is_a(value, date):
        raise InvalidValue(field, f"{brief(value)} is not a date", "Pass a datetime.date, without a time.")
    assert isinstance(value, date)
    return value


def a_day(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    day(attribute.name, value)


def brief(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        # An int of thousands of digits has no repr; a stranger's class may have a broken one.
        text = f"a {type(value).__name__}"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 60 else text[:57] + "..."


def text(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Text of at most 10,000 characters, for people to read."""
    if not isinstance(value, str):
        raise InvalidValue(attribute.name, f"{brief(value)} is not text", "Pass a str.")
    if len(value) > LONGEST_TEXT or not _is_unicode(value):
        raise InvalidValue(
            attribute.name, "it is too long or has lone surrogates", f"Use at most {LONGEST_TEXT} characters."
        )


def _is_unicode(value: str) -> bool:
    """Halves of a surrogate pair are no characters: JSON and databases change or refuse them."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def json_value(field: str, value: object) -> Any:
    """Only what JSON carries unchanged: no floats, 64 bits, text keys; at most eight levels and 100,000 characters."""
    left = [LARGEST_JSON]
    return _json(field, value, 8, left)


def _json(field: str, value: object, depth: int, left: list[int]) -> Any:
    left[0] -= len(value) if isinstance(value, str) else 1
    if left[0] < 0:
        raise InvalidValue(field, "it is too large", f"Keep it under {LARGEST_JSON} characters.")
    if value is None or isinstance(value, bool) or (isinstance(value, str) and _is_unicode(value)):
        return value
    if is_a(value, int) and -(2**63) <= value < 2**63:  # type: ignore[operator]
        return value
    if depth and isinstance(value, (list, tuple)):
        return [_json(field, item, depth - 1, left) for item in value]
    if depth and isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {_json(field, key, depth, left): _json(field, item, depth - 1, left) for key, item in value.items()}
    raise InvalidValue(
        field, f"{brief(value)} does not survive JSON", "Use text, whole numbers, booleans, lists and mappings of them."
    )
