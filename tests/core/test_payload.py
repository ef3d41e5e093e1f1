from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core.errors import PayloadError
from celers_worker.core.payload import (
    DEPTH_LIMIT,
    SIZE_LIMIT,
    check_text,
    decode,
    decode_arguments,
    encode_arguments,
    encode_result,
)


class Color(StrEnum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


class Plain(Enum):
    ONE = object()


class Text(str):
    pass


class Custom:
    pass


def nested(depth, leaf=1):
    """Lists within lists, *depth* of them."""
    value = leaf
    for _ in range(depth):
        value = [value]
    return value


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)
LOOP: dict[str, object] = {}
LOOP["again"] = LOOP


# --- what is refused, and where it stands ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": {1, 2}}, "args.a is a set, which is not JSON"),
        ({"a": frozenset()}, "args.a is a frozenset, which is not JSON"),
        ({"a": b"bytes"}, "args.a is a bytes, which is not JSON"),
        ({"a": datetime(2031, 1, 1, tzinfo=UTC)}, "args.a is a datetime, which is not JSON"),
        ({"a": Decimal("1.5")}, "args.a is a Decimal, which is not JSON"),
        ({"a": UUID(int=7)}, "args.a is a UUID, which is not JSON"),
        ({"a": 1j}, "args.a is a complex, which is not JSON"),
        ({"a": Custom()}, "args.a is a Custom, which is not JSON"),
        ({"a": Custom}, "args.a is a type, which is not JSON"),
        ({"a": len}, "args.a is a builtin_function_or_method, which is not JSON"),
        ({"a": Text("x")}, "args.a is a Text, which is not JSON: convert it first"),
        ({"a": Plain.ONE}, "args.a is a Plain, which is not JSON"),
        ({"a": float("nan")}, "args.a is nan: JSON has no NaN and no Infinity"),
        ({"a": float("inf")}, "args.a is inf: JSON has no NaN and no Infinity"),
        ({"a": float("-inf")}, "args.a is -inf: JSON has no NaN and no Infinity"),
        ({"a": {1: "x"}}, "args.a has the key 1: keys of a JSON object are text"),
        ({"a": {None: "x"}}, "args.a has the key None: keys of a JSON object are text"),
        ({"a": {Text("k"): "x"}}, "keys of a JSON object are text"),
        ({"a": "x\0y"}, "args.a contains NUL at position 1"),
        ({"a": "é\udc80"}, r"args.a contains the lone surrogate U\+DC80 at position 1"),
        ({"a\0": 1}, "a key of args contains NUL at position 1"),
        ({"user": [{}, {"tags": ["x", {"when": {1}}]}]}, r"args.user\[1\].tags\[1\].when is a set"),
        ({"a": (1, (2, b""))}, r"args.a\[1\]\[1\] is a bytes"),
        ({"a": CIRCLE}, "nested deeper than 30 levels, or contains itself"),
        (LOOP, "args.again.*nested deeper than 30 levels, or contains itself"),
        ({"a": nested(DEPTH_LIMIT)}, "nested deeper than 30 levels"),
        ({"a": "x" * SIZE_LIMIT}, "args takes 1,048,584 bytes as JSON, more than the limit of 1,0"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(arguments, message):
    with pytest.raises(PayloadError, match=message):
        encode_arguments(arguments)


def test_a_result_is_called_a_result():
    with pytest.raises(PayloadError, match=r"result\[0\] is a bytes"):
        encode_result([b""])


def test_a_text_is_checked_by_its_name():
    check_text("plain 😀", "unique_key")
    with pytest.raises(PayloadError, match="unique_key contains NUL at position 2"):
        check_text("ab\0", "unique_key")


# --- what is accepted ---


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        2**53 + 1,
        2**63,
        2**64,
        2**70,
        -(2**70),
        0.1,
        1e308,
        "",
        "Zoë 😀 \u2028 \x7f \\ \" ' / \n",
        [],
        {},
        {"": {"a.b": [1, [2]]}},
    ],
)
def test_json_survives_as_it_is(value):
    assert decode(encode_result(value)) == value
    assert decode_arguments(encode_arguments({"a": value})) == ([], {"a": value})


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ((1, (2,)), [1, [2]]),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (Color.RED, "red"),
        (Size.BIG, 3),
    ],
)
def test_what_is_nearly_json_becomes_it(value, stored):
    assert decode(encode_result(value)) == stored


def test_the_limits_themselves_are_allowed():
    assert decode(encode_result(nested(DEPTH_LIMIT))) == nested(DEPTH_LIMIT)
    assert len(encode_result("x" * (SIZE_LIMIT - 2))) == SIZE_LIMIT
    with pytest.raises(PayloadError, match="1,048,577 bytes"):
        encode_result("x" * (SIZE_LIMIT - 1))


def test_the_same_value_twice_is_no_circle():
    shared = {"a": 1}
    assert decode(encode_result([shared, shared])) == [shared, shared]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_every_json_value_comes_back_and_any_reader_can_read_it(value):
    encoded = encode_result(value)
    assert decode(encoded) == value
    assert json.loads(encoded) == value


@given(st.recursive(JSON | st.binary() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_a_value_is_stored_whole_or_refused_with_a_place(value):
    try:
        told = encode_result(value)
    except PayloadError as error:
        told = str(error)
    if isinstance(told, bytes):
        assert b"\0" not in told
        assert json.loads(told) == value
    else:
        assert told.startswith(("result", "a key of result"))


# --- reading ---


@pytest.mark.parametrize(
    ("payload", "args", "kwargs"),
    [
        (b"{}", [], {}),
        (b'{"to":"a@b.c","n":1}', [], {"to": "a@b.c", "n": 1}),
        (b'{"args":[1,2],"kwargs":{"x":true}}', [], {"args": [1, 2], "kwargs": {"x": True}}),
        (b'{"args":[1]}', [], {"args": [1]}),
        (b'{"args":1,"kwargs":{}}', [], {"args": 1, "kwargs": {}}),
        (b'{"args":[1],"kwargs":{},"more":2}', [], {"args": [1], "kwargs": {}, "more": 2}),
        (b"[1,[2]]", [1, [2]], {}),
        (b"[]", [], {}),
        (b"null", [], {}),
        (b" null\n", [], {}),
        (b"7", [7], {}),
        (b"0.5", [0.5], {}),
        (b"false", [False], {}),
        (b'"text"', ["text"], {}),
        (b'""', [""], {}),
        (b"", [b""], {}),
        (b"{", [b"{"], {}),
        (b"NaN", [b"NaN"], {}),
        (b"plain text", [b"plain text"], {}),
        (b"\xff\xfe\0", [b"\xff\xfe\0"], {}),
        (b'{"a":1} trailing', [b'{"a":1} trailing'], {}),
        (b"[" * 100_000, [b"[" * 100_000], {}),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_any_payload_has_arguments(payload, args, kwargs):
    assert decode_arguments(payload) == (args, kwargs)


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, "{'a': 1}"])
def test_what_is_not_json_says_so(payload):
    with pytest.raises(PayloadError, match="the payload is not JSON"):
        decode(payload)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read_as_arguments(payload):
    args, kwargs = decode_arguments(payload)
    assert isinstance(args, list)
    assert isinstance(kwargs, dict)
