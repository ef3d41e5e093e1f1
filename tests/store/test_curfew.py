from __future__ import annotations

import threading

import pytest

from celers_worker.store.curfew import Curfew


def test_what_takes_too_long_is_cut_and_what_does_not_is_left_alone() -> None:
    curfew = Curfew()
    cut = threading.Event()
    with curfew.after(60, pytest.fail):  # a later one must not hold up an earlier one
        with curfew.after(0.05, cut.set):
            assert cut.wait(20)
        with curfew.after(60, pytest.fail):
            pass


def test_what_cannot_be_cut_keeps_the_others_from_nothing() -> None:
    curfew = Curfew()
    cut = threading.Event()

    def closed() -> None:
        raise OSError("it is closed")

    with curfew.after(0.02, closed), curfew.after(0.05, cut.set):
        assert cut.wait(20)
