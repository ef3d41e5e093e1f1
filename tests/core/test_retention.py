from datetime import timedelta

from celers_worker.core.retention import ages_of, longest

DAY = timedelta(days=1)
GENERAL = {"completed": DAY, "dead": 3 * DAY}
OWN = {"audit": {"completed": 9 * DAY}, "noise": {"dead": timedelta(0)}}


def test_a_queue_has_its_own_retention_where_it_says_so():
    assert ages_of("completed", GENERAL, OWN) == {"audit": 9 * DAY, None: DAY}
    assert ages_of("dead", GENERAL, OWN) == {"noise": timedelta(0), None: 3 * DAY}


def test_the_longest_retention_counts_that_of_every_queue():
    assert longest(GENERAL, OWN) == 9 * DAY
    assert longest(GENERAL, OWN, keys=["dead"]) == 3 * DAY
    assert longest(GENERAL, {}) == 3 * DAY
