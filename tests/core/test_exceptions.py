"""Declared exceptions: what travels of them, and what comes back."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from celers_worker.core.exceptions import fields_of, read_fields, rebuilt, type_name
from celers_worker.core.payload import SIZE_LIMIT


class OutOfStock(Exception):
    """With an ``__init__`` of its own, attributes, and words made of them."""

    item: UUID
    until: dt.date

    def __init__(self, item: UUID, *, until: dt.date, tries: int = 1) -> None:
        super().__init__(f"{item} is out of stock")
        self.item = item
        self.until = until
        self.tries = tries
        self.connection = object()

    def __str__(self) -> str:
        return f"none left of {self.item}, {self.tries} tries"


class Discontinued(OutOfStock):
    """A subclass is as good."""


@dataclass
class Refused(Exception):
    """As a dataclass."""

    code: int
    amount: Decimal


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Awkward(Exception):
    """Nobody can set anything on it."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError(name)


ITEM = UUID(int=7)
UNTIL = dt.date(2031, 5, 17)


def sent(error: Exception, *declared: type[Exception]) -> Exception | None:
    """What who waits is given when a handler raised *error*."""
    fields = read_fields(fields_of(error, declared))
    if fields is None:
        return None
    return rebuilt(type_name(type(error)), str(error), fields, declared)


def test_an_exception_comes_back_with_its_fields_in_their_types():
    found = sent(OutOfStock(ITEM, until=UNTIL, tries=3), OutOfStock)
    assert type(found) is OutOfStock
    assert (found.item, found.until, found.tries) == (ITEM, UNTIL, 3)
    assert found.args == (f"{ITEM} is out of stock",)
    assert str(found) == f"none left of {ITEM}, 3 tries"
    assert not hasattr(found, "connection")


def test_dataclasses_slots_and_plain_arguments_come_back_too():
    assert sent(Refused(402, Decimal("1.50")), Refused) == Refused(402, Decimal("1.50"))
    slotted = sent(Slotted(7), Slotted)
    assert isinstance(slotted, Slotted)
    assert slotted.code == 7
    value = sent(ValueError("no such user", 7), ValueError)
    assert (type(value), value and value.args) == (ValueError, ("no such user", 7))


def test_a_subclass_comes_back_as_itself_if_it_is_loaded_and_else_as_what_was_declared():
    found = sent(Discontinued(ITEM, until=UNTIL), OutOfStock)
    assert type(found) is Discontinued
    fields = read_fields(fields_of(Discontinued(ITEM, until=UNTIL), [OutOfStock]))
    assert fields is not None
    other = rebuilt("shop.NobodyKnows", "gone", fields, [OutOfStock])
    assert type(other) is OutOfStock


def test_a_class_of_the_program_itself_is_found_where_others_import_it():
    fields = read_fields(fields_of(Slotted(7), [Slotted]))
    assert fields is not None
    assert type(rebuilt("__main__.Slotted", "7", fields, [Slotted])) is Slotted


def test_what_is_not_declared_does_not_travel():
    assert fields_of(KeyError("a"), [ValueError]) is None
    fields = read_fields(fields_of(Slotted(7), [Slotted]))
    assert fields is not None
    assert rebuilt("shop.Slotted", "7", fields, []) is None


def test_nothing_is_imported_by_a_name_from_a_row():
    fields = read_fields(b'{"declared":"antigravity.X","args":[],"attributes":{}}')
    assert fields is not None
    assert rebuilt("antigravity.X", "", fields, [ValueError]) is None
    assert "antigravity" not in sys.modules


def test_arguments_that_are_not_json_leave_the_message():
    error = ValueError("no", 1j)
    found = sent(error, ValueError)
    assert found is not None
    assert found.args == (str(error),)


def test_fields_that_are_too_large_leave_the_message():
    class Large(Exception):
        def __init__(self, words: str) -> None:
            super().__init__("large")
            self.first = self.second = words

    found = sent(Large("x" * (SIZE_LIMIT - 100)), Large)
    assert found is not None
    assert (found.args, vars(found)) == (("large",), {})


def test_attributes_that_fail_are_no_failure_of_the_worker():
    class Treacherous(Exception):
        __slots__ = ("trap",)

        def __getattribute__(self, name: str) -> Any:
            if name == "trap":
                raise RuntimeError("caught")
            return super().__getattribute__(name)

    assert fields_of(Treacherous("x"), [Treacherous]) is None


def test_a_class_that_cannot_be_made_again_is_told_as_any_other_error():
    assert sent(Awkward("x"), Awkward) is None


@pytest.mark.parametrize("data", [None, b"{", b"[]", b'{"declared":1}'])
def test_what_is_no_fields_is_none(data):
    assert read_fields(data) is None
