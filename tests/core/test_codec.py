"""Codecs other than JSON, for one handler."""

from __future__ import annotations

import msgspec
import pytest

from celers_worker.core.codec import RAW, check_codec
from celers_worker.core.context import Context
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.outcome import Completed, Dead, outcome_of_value
from tests.core.test_annotations import handler_of
from tests.core.test_handler import TASK


class MessagePack:
    name = "msgpack"

    def encode(self, value):
        return msgspec.msgpack.encode(value)

    def decode(self, data):
        return msgspec.msgpack.decode(data)


class Broken(MessagePack):
    def encode(self, value):
        return "text" if value == {"value": 1} else value

    def decode(self, data):
        return [data]


def take(value, *, context: Context):
    return value, context


@pytest.mark.parametrize("data", [b"\0\xff", bytearray(b"{}"), memoryview(b"[1]")])
def test_raw_bytes_arrive_as_they_are(data):
    handler = handler_of(take, codec=RAW)
    context = Context(TASK)
    payload = handler.encode_arguments((data,), {})
    assert payload == bytes(data)
    args, kwargs = handler.decode_arguments(payload, context)
    assert take(*args, **kwargs) == (bytes(data), context)
    assert outcome_of_value(data, handler) == Completed(bytes(data), codec="raw")


def test_raw_takes_nothing_but_bytes():
    handler = handler_of(take, codec=RAW)
    with pytest.raises(PayloadError, match="args: a str is not bytes, as the codec 'raw' wants"):
        handler.encode_arguments(("text",), {})
    with pytest.raises(PayloadError, match="no bytes at all"):  # T35
        handler.encode_arguments((b"",), {})
    outcome = outcome_of_value({"a": b"x"}, handler)
    assert isinstance(outcome, Dead)
    assert "result: a dict is not bytes" in outcome.failure.message


def test_raw_is_for_handlers_of_one_parameter():
    def two(first, second): ...

    with pytest.raises(ConfigurationError, match="this one has 2"):
        handler_of(two, codec=RAW)


def test_bytes_have_a_limit_too():  # T35
    handler = handler_of(take, codec=RAW, max_arguments=3, max_result=2)
    assert handler.encode_arguments((b"abc",), {}) == b"abc"
    with pytest.raises(PayloadError, match="args takes 4 bytes, more than the limit of 3"):
        handler.encode_arguments((b"abcd",), {})
    assert isinstance(outcome_of_value(b"abc", handler), Dead)


def test_a_codec_of_ones_own_is_given_the_arguments_by_name():
    handler = handler_of(take, codec=MessagePack())
    payload = handler.encode_arguments(({1: b"\0"},), {})
    assert msgspec.msgpack.decode(payload) == {"value": {1: b"\0"}}
    context = Context(TASK)
    assert handler.decode_arguments(payload, context) == (
        (),
        {"value": {1: b"\0"}, "context": context},
    )
    assert outcome_of_value([b"x"], handler) == Completed(b"\x91\xc4\x01x", codec="msgpack")


def test_what_a_codec_cannot_do_is_told_with_its_name():
    handler = handler_of(take, codec=MessagePack())
    with pytest.raises(PayloadError, match="args cannot be stored: the codec 'msgpack' raised Typ"):
        handler.encode_arguments((object(),), {})
    with pytest.raises(PayloadError, match="args cannot be read: the codec 'msgpack' raised Dec"):
        handler.decode_arguments(b"", Context(TASK))
    broken = handler_of(take, codec=Broken())
    with pytest.raises(PayloadError, match="args: the codec 'msgpack' made no bytes of it"):
        broken.encode_arguments((1,), {})
    with pytest.raises(PayloadError, match="made a list of them, not a dict by name"):
        broken.decode_arguments(b"x", Context(TASK))


def test_a_codec_is_named_and_never_pickle():
    assert check_codec(None) is None
    assert check_codec("json") is None
    assert check_codec("raw") is RAW
    own = MessagePack()
    assert check_codec(own) is own
    for wrong in ("pickle", "msgpack", 7, object(), type("Nameless", (), {})()):
        with pytest.raises(ConfigurationError, match='it must be "json", "raw", or an object'):
            check_codec(wrong)
