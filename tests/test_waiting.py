import pytest

from tests.waiting import eventually, eventually_sync


async def test_waiting_ends_with_the_first_true_answer() -> None:
    answers = iter([0, None, 3])

    async def answer() -> int | None:
        return next(answers)

    assert await eventually(answer) == 3
    assert eventually_sync(lambda: "now") == "now"


async def test_waiting_too_long_fails_with_the_last_answer() -> None:
    with pytest.raises(AssertionError, match=r"not become true within 0\.05 s; .* answer: 0"):
        await eventually(lambda: 0, within=0.05)
    with pytest.raises(AssertionError, match="last answer: still two"):
        eventually_sync(_fail, within=0.05)


def _fail() -> bool:
    raise AssertionError("still two")
