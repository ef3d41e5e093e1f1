from celers_worker.core.pace import LARGEST, SMALLEST, Pace


def test_a_slow_batch_halves_the_next_down_to_a_bound():  # T14
    pace = Pace()
    sizes = []
    for _ in range(9):
        pace.took(2.0)
        sizes.append(pace.size)
    assert sizes[:3] == [500, 250, 125]
    assert sizes[-1] == SMALLEST


def test_quick_batches_grow_again_and_never_over_a_thousand():
    pace = Pace(size=300)
    pace.took(0.01)
    assert pace.size == 600
    for _ in range(5):
        pace.took(0.01)
    assert pace.size == LARGEST == 1_000


def test_a_batch_of_fair_length_is_repeated():
    pace = Pace(size=300)
    pace.took(0.5)
    assert pace.size == 300
