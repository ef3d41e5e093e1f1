from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import (
    check_queue_name,
    check_task_name,
    nearest,
    split_version,
    versioned,
)

HOSTILE = [
    "",
    " ",
    "two words",
    "*",
    "emails*",
    "%",
    "';DROP TABLE celers_tasks;--",
    'a"b',
    "a\\b",
    "a/b",
    "📮",
    "ümlaut",
    "\u0663",  # an Arabic digit
    "\u212a",  # the sign for kelvin, which lower() makes a k
    ".",
    "..",
    ".hidden",
    "-flag",
    "emails ",
    " emails",
    "emails\n",
    "emails\r\n",
    "e\nmails",
    "e\0mails",
    "emails\u200b",
    None,
    5,
    b"emails",
    ["emails"],
]


@pytest.mark.parametrize(
    "name", ["default", "e", "E", "_", "7", "eu.emails-2_x", "a..b", "q" * 128]
)
def test_a_queue_is_called_by_letters_digits_underscores_dots_and_hyphens(name):
    assert check_queue_name(name) == name


@pytest.mark.parametrize("name", [*HOSTILE, "q" * 129, "emails:4"])
def test_a_hostile_queue_name_is_refused(name):
    with pytest.raises(ConfigurationError, match="cannot name a queue: use 1 to 128 ASCII"):
        check_queue_name(name)


@pytest.mark.parametrize("name", ["send", "_send", "shop.tasks:send-all", "t" * 255])
def test_a_task_may_have_a_colon_in_its_name(name):
    assert check_task_name(name) == name


@pytest.mark.parametrize("name", [*HOSTILE, "t" * 256, "7up", ":send"])
def test_a_hostile_task_name_is_refused(name):
    with pytest.raises(ConfigurationError, match="cannot name a task: use 1 to 255 ASCII"):
        check_task_name(name)


@given(st.text(max_size=140))
def test_what_names_a_queue_is_short_and_plain_whatever_the_input(name):
    try:
        check_queue_name(name)
    except ConfigurationError:
        return
    assert 1 <= len(name) <= 128
    assert name.isascii()
    assert name[0] not in ".-"
    assert not re.search(r"[^\w.-]", name)


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True))
def test_every_plain_name_can_name_a_queue(name):
    assert check_queue_name(name) == name


def test_the_nearest_known_name_is_suggested():
    assert nearest("concurency", ["lease", "concurrency"]) == " Did you mean 'concurrency'?"


@pytest.mark.parametrize(("name", "known"), [("zebra", ["lease"]), ("", ["lease"]), ("lease", [])])
def test_nothing_is_suggested_if_no_name_is_near(name, known):
    assert nearest(name, known) == ""


# --- versions ---


def test_a_version_is_part_of_the_name_from_the_second_on():
    assert [versioned("send", number) for number in (1, 2, 10)] == ["send", "send:2", "send:10"]
    for name in ("send", "send:2", "shop.send:10"):
        assert versioned(*split_version(name)) == name
    assert split_version("send:x") == ("send:x", 1)


@pytest.mark.parametrize("version", [0, -1, 1.0, "2", True, None, 1_000_000])
def test_a_version_is_a_whole_number_from_1(version):
    with pytest.raises(ConfigurationError, match="it must be a whole number from 1"):
        versioned("send", version)


def test_a_name_with_its_version_is_no_longer_than_any_name():
    with pytest.raises(ConfigurationError, match="cannot name a task"):
        versioned("a" * 254, 2)
