"""What annotations accept, refuse and give back."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core.context import Context
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.handler import Handler, split_context
from celers_worker.core.outcome import Completed, Dead, outcome_of_value
from celers_worker.core.payload import decode
from tests.core.test_handler import TASK

if TYPE_CHECKING:
    from nowhere import Ghost


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    BIG = 3


class Kind(StrEnum):
    A = "a"


@dataclasses.dataclass
class Address:
    street: str
    number: int | None = None


@dataclasses.dataclass(frozen=True)
class Person:
    name: str
    born: dt.date
    addresses: tuple[Address, ...] = ()


class Point(NamedTuple):
    x: float
    y: float


class Options(TypedDict, total=False):
    deep: bool
    levels: list[int]


class Event(msgspec.Struct, frozen=True):
    id: UUID
    at: dt.datetime
    payload: dict[str, Decimal]


class Order(pydantic.BaseModel):
    number: int
    lines: list[Decimal] = []


class Custom:
    """Nothing that JSON can become."""


def handler_of(function: Any, **options: Any) -> Handler:
    signature, context = split_context(function)
    return Handler(
        name="send",
        function=function,
        runs="thread",
        signature=signature,
        context_parameter=context,
        **options,
    )


def given_to(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What *function* is called with when these arguments were enqueued; it returns that."""
    handler = handler_of(function)
    args, kwargs = handler.decode_arguments(handler.encode_arguments(args, kwargs), Context(TASK))
    return function(*args, **kwargs)


def returned(function: Any, value: Any) -> Any:
    """What who waits is given when *function* returned *value*."""
    handler = handler_of(function)
    return handler.result.converted(decode(handler.encode_result(value)))


def accepting(kind: Any) -> Any:
    """A function of one parameter and of one result, annotated *kind*."""

    def function(value):
        return value

    function.__annotations__ = {"value": kind, "return": kind}
    return function


# --- every type comes back as itself ---

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
AWARE = st.datetimes(
    min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30), timezones=st.just(dt.UTC)
)
ADDRESSES = st.builds(Address, TEXT, st.none() | st.integers())
VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (str, TEXT),
    (bool, st.booleans()),
    (bytes, st.binary()),
    (int | None, st.none() | st.integers()),
    (int | str, st.integers() | TEXT),
    (Color, st.sampled_from(Color)),
    (Size, st.sampled_from(Size)),
    (Kind, st.sampled_from(Kind)),
    (Literal["a", "b", 3], st.sampled_from(["a", "b", 3])),
    (dt.datetime, AWARE),
    (dt.date, st.dates()),
    (dt.time, st.times()),
    (dt.timedelta, st.timedeltas(dt.timedelta(days=-900_000), dt.timedelta(days=900_000))),
    (UUID, st.uuids()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (list[dt.date], st.lists(st.dates())),
    (Sequence[Color], st.lists(st.sampled_from(Color))),
    (set[int], st.sets(st.integers())),
    (frozenset[str], st.frozensets(TEXT)),
    (tuple[int, str], st.tuples(st.integers(), TEXT)),
    (tuple[UUID, ...], st.lists(st.uuids()).map(tuple)),
    (dict[str, Decimal], st.dictionaries(TEXT, st.decimals(allow_nan=False, allow_infinity=False))),
    (dict[int, str], st.dictionaries(st.integers(-(2**63), 2**63 - 1), TEXT)),
    (dict[UUID, Color], st.dictionaries(st.uuids(), st.sampled_from(Color))),
    (Mapping[str, list[int]], st.dictionaries(TEXT, st.lists(st.integers()))),
    (Address, ADDRESSES),
    (Person, st.builds(Person, TEXT, st.dates(), st.lists(ADDRESSES).map(tuple))),
    (list[Person | None], st.lists(st.none() | st.builds(Person, TEXT, st.dates()))),
    (Point, st.builds(Point, st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))),
    (Options, st.fixed_dictionaries({}, optional={"deep": st.booleans()})),
    (
        Event,
        st.builds(
            Event, st.uuids(), AWARE, st.dictionaries(TEXT, st.decimals(-9, 9, allow_nan=False))
        ),
    ),
    (Order, st.builds(Order, number=st.integers(), lines=st.lists(st.decimals(-9, 9)))),
    (list[Order], st.lists(st.builds(Order, number=st.integers()))),
    (Order | None, st.none() | st.builds(Order, number=st.integers())),
]


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=lambda one: str(one)[:40])
def test_a_value_of_every_type_comes_back_as_it_was(kind, values):
    function = accepting(kind)

    @given(values)
    def check(value):
        for found in (given_to(function, value), returned(function, value)):
            assert found == value
            assert type(found) is type(value)

    check()


@given(st.lists(st.sampled_from(VALUES), min_size=1, max_size=5), st.data())
def test_arguments_of_any_types_arrive_together(chosen, data):
    kinds = {f"a{number}": kind for number, (kind, _) in enumerate(chosen)}

    source = f"def function({', '.join(kinds)}): return dict(locals())"
    names: dict[str, Any] = {}
    exec(source, names)
    function = names["function"]
    function.__annotations__ = kinds
    arguments = {f"a{number}": data.draw(values) for number, (_, values) in enumerate(chosen)}
    assert given_to(function, **arguments) == arguments


# --- what does not fit ---


def typed(user_id: int, *, when: dt.datetime | None = None, people: list[Person] | None = None):
    return user_id, when, people


PEOPLE = [Person("Ada", dt.date(1815, 12, 10)), {"name": "Bob", "born": "soon"}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"user_id": "7"}, "send: args.user_id: expected `int`, got `str`."),
        ({"user_id": None}, "send: args.user_id: expected `int`, got `null`."),
        ({"user_id": True}, "send: args.user_id: expected `int`, got `bool`."),
        ({"user_id": 1.5}, "send: args.user_id: expected `int`, got `float`."),
        ({"user_id": UUID(int=7)}, "send: args.user_id: expected `int`, got `uuid`."),
        ({"user_id": 1, "when": "soon"}, "send: args.when: invalid RFC3339 encoded datetime."),
        ({"user_id": 1, "people": PEOPLE}, r"send: args.people\[1\].born: invalid RFC3339"),
        ({"user_id": 1, "people": [{}]}, r"args.people\[0\]: object missing required field `name`"),
        ({"user_id": 1, "people": [Custom()]}, "args.people cannot be stored as JSON: a Custom"),
    ],
)
def test_an_argument_that_is_not_of_its_type_is_refused_by_name_path_and_type(arguments, message):
    with pytest.raises(PayloadError, match=message):
        handler_of(typed).encode_arguments((), arguments)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b'{"user_id":"7"}', "send: args.user_id: expected `int`, got `str`."),
        (b'{"args":[],"kwargs":{"user_id":"7"}}', "send: args.user_id: expected `int`"),
        (b'["7"]', "send: args.user_id: expected `int`, got `str`."),
        (b'{"user_id":1,"more":2}', "got an unexpected keyword argument 'more'"),
        (b"{}", "missing a required argument: 'user_id'"),
        (b"not json", "send: args.user_id: expected `int`, got `bytes`."),
    ],
)
def test_a_payload_of_another_producer_is_checked_too(payload, message):
    with pytest.raises(PayloadError, match=message):
        handler_of(typed).decode_arguments(payload, Context(TASK))


@pytest.mark.parametrize(
    "payload",
    [
        b'{"user_id":1,"when":"2031-05-17T08:00:00Z"}',
        b'{"args":[1],"kwargs":{"when":"2031-05-17T08:00:00Z"}}',
    ],
)
def test_another_producers_arguments_become_what_is_annotated(payload):
    args, kwargs = handler_of(typed).decode_arguments(payload, Context(TASK))
    assert typed(*args, **kwargs) == (1, dt.datetime(2031, 5, 17, 8, tzinfo=dt.UTC), None)


def test_a_model_of_pydantic_tells_what_is_wrong_with_it():
    def function(order: Order): ...

    with pytest.raises(PayloadError, match=r"args.order: 1 validation error.*number.*valid int"):
        handler_of(function).encode_arguments(({"number": "x"},), {})


def test_what_a_date_is_not_taken_for_is_text():
    def function(text: str): ...

    for value in (dt.date(2031, 5, 17), UUID(int=7), b"x", Decimal(1)):
        with pytest.raises(PayloadError, match=r"args\.text: expected `str`"):
            handler_of(function).encode_arguments((value,), {})


def test_values_that_no_database_can_hold_are_refused_within_types_too():
    def function(person: Person, number: float = 0.0): ...

    with pytest.raises(PayloadError, match=r"args.person.name contains NUL at position 1"):
        handler_of(function).encode_arguments((Person("A\0", dt.date(2000, 1, 1)),), {})
    with pytest.raises(PayloadError, match=r"args.number is nan"):
        handler_of(function).encode_arguments((Person("A", dt.date(2000, 1, 1)), math.nan), {})


def test_arguments_have_a_limit_that_can_be_set():  # T35
    def function(text: str, when: dt.date | None = None): ...

    handler = handler_of(function, max_arguments=20)
    assert handler.encode_arguments(("x" * 9,), {}) == b'{"text":"xxxxxxxxx"}'
    with pytest.raises(PayloadError, match="args takes 21 bytes as JSON, more than the limit of 2"):
        handler.encode_arguments(("x" * 10,), {})
    with pytest.raises(PayloadError, match=r"or raise limits\.arguments"):
        handler.encode_arguments(("x", dt.date(2031, 5, 17)), {})


# --- what is not annotated ---


def test_parameters_without_an_annotation_stay_as_they_are():
    def function(anything, known: dt.date, free: Any, thing: object): ...

    handler = handler_of(function)
    values = {"anything": [1, {"a": None}], "free": "2031-05-17", "thing": 1.5}
    known = dt.date(2031, 5, 17)
    payload = handler.encode_arguments((), values | {"known": known})
    assert handler.decode_arguments(payload, Context(TASK)) == ((), values | {"known": known})
    for name in values:
        with pytest.raises(PayloadError, match=f"args.{name} is a date, which is not JSON"):
            handler.encode_arguments((), values | {"known": known, name: known})


def test_annotations_for_type_checkers_only_leave_the_others_checked():
    def function(ghost: Ghost, number: int): ...

    assert (
        handler_of(function).encode_arguments(({"a": 1}, 2), {}) == b'{"ghost":{"a":1},"number":2}'
    )
    with pytest.raises(PayloadError, match=r"args\.number: expected `int`"):
        handler_of(function).encode_arguments(({"a": 1}, "2"), {})


def test_free_keywords_travel_beside_typed_ones():
    def function(when: dt.date, **more: Any):
        return when, more

    when = dt.date(2031, 5, 17)
    assert given_to(function, when=when, a=[1]) == (when, {"a": [1]})


def test_a_default_arrives_as_the_object_it_is():
    default: list[int] = []

    def function(number: int, found: list[int] = default, nothing: str = None):  # noqa: RUF013
        return found, nothing

    assert given_to(function, 1)[0] is default
    assert given_to(function, 1, nothing=None) == ([], None)


@pytest.mark.parametrize("kind", [Custom, list[Custom], Iterable[int], Path, int | Custom])
def test_an_annotation_that_no_json_can_become_is_refused_when_it_is_declared(kind):
    with pytest.raises(ConfigurationError, match=r"send: the parameter 'value' is annotated .*Any"):
        handler_of(accepting(kind))


def test_constraints_of_msgspec_are_checked():
    def function(number: Annotated[int, msgspec.Meta(ge=1)]): ...

    with pytest.raises(PayloadError, match=r"args\.number: expected `int` >= 1"):
        handler_of(function).encode_arguments((0,), {})


# --- results ---


def test_a_result_that_is_not_annotated_must_be_json():
    for function in (lambda: 1, accepting(Any), accepting(object)):
        outcome = outcome_of_value(dt.date(2031, 5, 17), handler_of(function))
        assert isinstance(outcome, Dead)
        assert "result is a date, which is not JSON" in outcome.failure.message


def test_a_result_that_is_not_what_was_annotated_is_told_to_who_reads_it():
    function = accepting(dict[str, int])
    with pytest.raises(
        PayloadError, match=r"send is annotated .* result\[...\]: expected `int`, got"
    ):
        returned(function, {"a": "x"})


def test_an_annotation_that_cannot_be_read_back_leaves_the_result_as_json():
    def function() -> Custom: ...

    assert returned(function, {"a": 1}) == {"a": 1}
    assert isinstance(outcome_of_value(Custom(), handler_of(function)), Dead)


def test_a_result_has_a_limit_that_can_be_set():
    handler = handler_of(accepting(str), max_result=5)
    assert outcome_of_value("abc", handler) == Completed(b'"abc"')
    outcome = outcome_of_value("abcd", handler)
    assert isinstance(outcome, Dead)
    assert outcome.reason == "its result cannot be stored"
    assert "result takes 6 bytes as JSON, more than the limit of 5" in outcome.failure.message
    assert "or raise limits.result" in outcome.failure.message


def test_a_result_that_is_not_to_be_kept_is_not():
    handler = handler_of(accepting(str), result_ttl=dt.timedelta(0))
    assert outcome_of_value("abc", handler) == Completed()
