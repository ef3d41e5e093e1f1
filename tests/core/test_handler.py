from __future__ import annotations

import functools
import typing
from datetime import UTC, datetime

import pytest

from celers_worker.core import handler as module
from celers_worker.core.context import Context
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.handler import Handler, split_context
from celers_worker.core.registry import Registry
from celers_worker.core.task import Task, new_id

NOW = datetime(2031, 5, 17, tzinfo=UTC)
TASK = Task(new_id(), 1, "send", "default", b"", 0, 2, 0, 3, NOW, NOW, NOW, None, False)


def handler_of(function, name="send"):
    signature, context = split_context(function)
    return Handler(
        name=name,
        function=function,
        runs="thread",
        signature=signature,
        context_parameter=context,
    )


def call(function, *args, **kwargs):
    """Run *function* with decoded arguments, as the runner does."""
    positional, named = handler_of(function).call_arguments([*args], kwargs, Context(TASK))
    return function(*positional, **named)


def send(to, subject="hello", *, urgent=False):
    return to, subject, urgent


# --- enqueueing ---


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        (("a",), {}, {"to": "a"}),
        (("a", "b"), {"urgent": True}, {"to": "a", "subject": "b", "urgent": True}),
        ((), {"subject": "b", "to": "a"}, {"to": "a", "subject": "b"}),
    ],
)
def test_arguments_travel_by_name(args, kwargs, named):
    assert handler_of(send).check_arguments(args, kwargs) == named


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing a required argument: 'to'"),
        (("a",), {"urgnet": True}, "got an unexpected keyword argument 'urgnet'"),
        (("a", "b", "c"), {}, "too many positional arguments"),
        (("a",), {"to": "b"}, "multiple values for argument 'to'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_is_written(args, kwargs, message):
    with pytest.raises(PayloadError, match=message) as caught:
        handler_of(send).check_arguments(args, kwargs)
    assert "send(to, subject='hello', *, urgent=False)" in str(caught.value)


def test_free_keywords_travel_too():
    def free(**options):
        return options

    assert handler_of(free).check_arguments((), {"a": 1}) == {"a": 1}
    assert call(free, a=1) == {"a": 1}


def test_free_positional_arguments_have_no_name_to_travel_by():
    def free(*items):
        return items

    with pytest.raises(PayloadError, match=r"arguments travel by name, so \*items cannot"):
        handler_of(free).check_arguments((1, 2), {})
    assert handler_of(free).check_arguments((), {}) == {}


def test_a_positional_only_parameter_is_refused_when_it_is_declared():
    def odd(to, /):
        return to

    with pytest.raises(ConfigurationError, match=r"'to' is positional-only.*Remove the '/'"):
        split_context(odd)


def test_the_context_is_no_argument_of_an_enqueue():
    def wants(to, *, context: Context):
        return to, context

    assert handler_of(wants).check_arguments(("a",), {}) == {"to": "a"}
    with pytest.raises(PayloadError, match="unexpected keyword argument 'context'"):
        handler_of(wants).check_arguments(("a",), {"context": 1})


# --- running ---


def test_decoded_arguments_are_bound_by_name_and_by_place():
    assert call(send, to="a") == ("a", "hello", False)
    assert call(send, "a", "b", urgent=True) == ("a", "b", True)


@pytest.mark.parametrize(
    ("args", "kwargs"), [([], {}), ([b"bytes", 1, 2], {}), ([], {"to": 1, "more": 2})]
)
def test_decoded_arguments_that_do_not_fit_are_refused(args, kwargs):
    with pytest.raises(PayloadError, match=r"send\(to, subject='hello'"):
        handler_of(send).call_arguments(args, kwargs, Context(TASK))


def keyword_only(to, *, context: Context):
    return to, context.attempt


def last(to, context: Context):
    return to, context.attempt


def first(context: Context, to):
    return to, context.attempt


def between(to, ctx: Context, subject="hello"):
    return to, ctx.attempt


def perhaps(to, *, context: Context | None = None):
    assert context is not None
    return to, context.attempt


def as_text(to, *, context: "Context"):  # noqa: UP037 - a text within a text, as people write it
    return to, context.attempt


def by_module(to, *, context: module.Context):
    return to, context.attempt


@pytest.mark.parametrize(
    "function", [keyword_only, last, first, between, perhaps, as_text, by_module]
)
def test_the_context_is_given_wherever_it_stands(function):
    assert call(function, to="a") == ("a", 3)
    assert call(function, "a") == ("a", 3)


def test_free_positional_arguments_of_another_producer_may_go_with_a_context():
    def free(*items, context: Context):
        return items, context.attempt

    assert call(free, 1, 2) == ((1, 2), 3)


def test_the_context_is_found_though_other_names_are_known_to_type_checkers_only():
    def unresolved(to: OnlyForTypeCheckers, *, context: Context):  # noqa: F821
        return to, context.attempt

    assert call(unresolved, to="a") == ("a", 3)


def test_the_context_of_a_decorated_function_is_found():
    @functools.wraps(keyword_only)
    def wrapper(*args, **kwargs):
        return keyword_only(*args, **kwargs)

    assert call(wrapper, to="a") == ("a", 3)


class Other:
    class Context:
        """Somebody else's."""


def test_a_context_of_somebody_else_is_an_argument_like_any_other():
    def theirs(context: Other.Context):
        return context

    signature, name = split_context(theirs)
    assert ([*signature.parameters], name) == (["context"], None)


@pytest.mark.parametrize("function", [send, lambda: None, functools.partial(send, "a"), dict])
def test_without_a_context_there_is_none(function):
    try:
        signature = split_context(function)[1]
    except ValueError:
        signature = None  # inspect knows no signature of some builtins
    assert signature is None


def test_a_context_tells_of_its_run():
    context = Context(TASK)
    assert (context.attempt, context.idempotency_key) == (3, str(TASK.id))
    assert not context.stopped
    context.stop()
    assert context.stopped


def test_nothing_can_be_left_in_a_context():
    with pytest.raises(AttributeError):
        Context(TASK).anything = 1


# --- names ---


def test_handlers_are_found_by_name():
    registry = Registry()
    registry.add(handler_of(send))
    registry.add(handler_of(first, "first"))
    assert registry.get("send").function is send
    assert registry.get("SEND") is None
    assert ([one.name for one in registry], len(registry)) == (["send", "first"], 2)


def test_a_name_that_is_taken_tells_both_places():
    registry = Registry()
    registry.add(handler_of(send))
    with pytest.raises(ConfigurationError) as caught:
        registry.add(handler_of(first))
    message = str(caught.value)
    assert "two handlers are called 'send'" in message
    for function in (send, first):
        assert f"{__file__}:{function.__code__.co_firstlineno}" in message


def test_a_wrong_name_gets_the_nearest_right_one():
    registry = Registry()
    registry.add(handler_of(send, "shop.send"))
    assert registry.suggestion("shop.sned") == " Did you mean 'shop.send'?"
    assert registry.suggestion("zebra") == ""


def test_the_place_of_a_callable_without_code_is_its_module():
    class Caller:
        def __call__(self, to):
            return to

    handler = handler_of(Caller())
    assert handler.place.endswith("send")
    assert typing.cast("str", handler.place).startswith(__name__)


def test_another_version_of_a_task_is_told_by_its_number():
    registry = Registry()
    registry.add(handler_of(send, "send:2"))
    assert registry.suggestion("send") == " That is version 1 of 'send'; here is 2."
    registry.add(handler_of(first, "send:3"))
    assert registry.suggestion("send:7") == " That is version 7 of 'send'; here is 2 and 3."


# --- what CeleRS's canvas writes ---


def variadic(*args, **kwargs):
    return args, kwargs


def its_own(args, kwargs=None):
    return args, kwargs


@pytest.mark.parametrize(
    ("function", "document", "result"),
    [
        (send, {"args": ["a"], "kwargs": {"urgent": True}}, ("a", "hello", True)),
        (send, {"args": ["a", "b"]}, ("a", "b", False)),
        (send, {"kwargs": {"to": "a"}}, ("a", "hello", False)),
        (variadic, {"args": [1], "kwargs": {"x": 2}}, ((1,), {"x": 2})),
        (variadic, {"args": [1]}, ((), {"args": [1]})),
        (its_own, {"args": [1], "kwargs": {"x": 2}}, ([1], {"x": 2})),
        (its_own, {"args": [1]}, ([1], None)),
    ],
)
def test_a_canvas_payload_is_positional_and_named_unless_the_handler_has_such_names(
    function, document, result
):
    assert call(function, **document) == result


@pytest.mark.parametrize(
    "document", [{"args": 1, "kwargs": {}}, {"args": [1], "kwargs": []}, {"args": ["a"], "more": 2}]
)
def test_what_only_looks_like_canvas_is_refused_as_arguments_that_do_not_fit(document):
    with pytest.raises(PayloadError, match=r"unexpected keyword argument|missing a required"):
        call(send, **document)
