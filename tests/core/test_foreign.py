from __future__ import annotations

import json
from datetime import timedelta

import pytest

from celers_worker.core import backoff
from celers_worker.core.foreign import retry_policy, traceparent
from celers_worker.core.retry import RetryPolicy

DECLARED = RetryPolicy(backoff=backoff.fixed(7), dead_on=(KeyError,))
BOUNDED = {"base_delay_secs": 1, "multiplier": 3.0, "max_delay_secs": 5}
TRACE = {
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "span_id": "00f067aa0ba902b7",
    "trace_flags": "01",
}
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def waits(strategy, *, as_text=False):
    metadata = {"queue": "emails", "retry_policy": {"max_retries": 5, "strategy": strategy}}
    policy = retry_policy(json.dumps(metadata) if as_text else metadata, DECLARED)
    assert policy.dead_on == (KeyError,)
    return [policy.delay(failures, ValueError()).total_seconds() for failures in (1, 2, 3)]


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ({"Fixed": 5}, [5, 5, 5]),
        ({"Linear": {"base_delay_secs": 2}}, [2, 4, 6]),
        ({"Exponential": BOUNDED}, [1, 3, 5]),
        ({"Exponential": {"base_delay_secs": 1}}, [1, 2, 4]),
        ("Immediate", [0, 0, 0]),
    ],
)
def test_the_waits_of_the_producer_go_before_those_of_the_handler(strategy, expected, as_text):
    assert waits(strategy, as_text=as_text) == expected


def test_jitter_keeps_between_half_and_all_of_the_wait():
    for _ in range(20):
        first, second, third = waits({"ExponentialWithJitter": BOUNDED})
        assert 0.5 <= first <= 1
        assert 1.5 <= second <= 3
        assert 2.5 <= third <= 5


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        "not json",
        "[]",
        {"retry_policy": None},
        {"retry_policy": {"strategy": "Strange"}},
        {"retry_policy": {"strategy": {"Fixed": "5"}}},
        {"retry_policy": {"strategy": {"Fixed": True}}},
        {"retry_policy": {"strategy": {"Fixed": -1}}},
        {"retry_policy": {"strategy": {"Fixed": 1e400}}},
        {"retry_policy": {"strategy": {"Exponential": {"base_delay_secs": 1, "multiplier": 0}}}},
        {"retry_policy": {"strategy": {"Linear": {}}}},
    ],
)
def test_what_cannot_be_understood_leaves_what_the_handler_declares(metadata):
    assert retry_policy(metadata, DECLARED).delay(1, ValueError()) == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"traceparent": PARENT}, PARENT),
        ({"trace_context": TRACE}, PARENT),
        (json.dumps({"trace_context": TRACE}), PARENT),
        ({"traceparent": "rubbish", "trace_context": TRACE}, None),
        ({"trace_context": TRACE | {"span_id": "x" * 16}}, None),
        ({"trace_context": {"trace_id": TRACE["trace_id"]}}, None),
        ({"trace_context": 7}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_trace_context_is_read_in_both_spellings(metadata, expected):
    assert traceparent(metadata) == expected
