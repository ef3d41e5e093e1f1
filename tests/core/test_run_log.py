from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core.run_log import LINE_LIMIT, RunLog


def filled(count: int, *, lines: int = 10, size: int = 10_000) -> RunLog:
    log = RunLog(lines=lines, size=size)
    for number in range(count):
        log.add(float(number), "info", f"line {number}")
    return log


def test_what_fits_is_kept_whole() -> None:
    written = filled(10).written()
    assert [line.text for line in (*written.first, *written.last)] == [
        f"line {number}" for number in range(10)
    ]
    assert (written.dropped, written.total) == (0, 10)


def test_of_too_many_lines_the_first_and_the_last_are_kept() -> None:
    written = filled(1_000).written()
    assert [line.text for line in written.first] == [f"line {number}" for number in range(5)]
    assert [line.text for line in written.last] == [f"line {number}" for number in range(995, 1000)]
    assert (written.dropped, written.total) == (990, 1_000)


def test_one_line_is_bounded_too() -> None:
    log = RunLog(lines=2, size=100_000)
    log.add(0.0, "info", "x" * 10_000)
    [line] = log.written().first
    assert len(line.text) == LINE_LIMIT
    assert line.text.endswith("…")


def test_what_no_encoding_has_is_escaped() -> None:
    log = RunLog(lines=2, size=1_000)
    log.add(0.0, "info", "\ud800\0")
    assert log.written().first[0].text == "\\ud800\0"


def test_no_room_at_all_keeps_nothing_and_counts() -> None:
    written = filled(5, size=0).written()
    assert (written.first, written.last, written.dropped) == ((), (), 5)


def test_threads_lose_no_line() -> None:
    log = RunLog(lines=100, size=1_000_000)
    threads = [
        threading.Thread(target=lambda: [log.add(0.0, "info", "x") for _ in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.written().total == 2_000


@given(
    texts=st.lists(st.text(max_size=50), max_size=60),
    lines=st.integers(0, 20),
    size=st.integers(0, 500),
)
def test_neither_bound_is_ever_passed_and_the_order_stays(
    texts: list[str], lines: int, size: int
) -> None:
    log = RunLog(lines=lines, size=size)
    for number, text in enumerate(texts):
        log.add(float(number), "info", text)
    written = log.written()
    kept = [*written.first, *written.last]
    assert len(kept) <= lines
    assert sum(len(line.text.encode()) for line in kept) <= size
    assert written.total == len(texts)
    assert [line.at for line in kept] == sorted(line.at for line in kept)
    numbers = [int(line.at) for line in written.last]
    assert numbers == list(range(len(texts) - len(numbers), len(texts))), "the very last ones"
