"""The rules of workflows, against a small model that plays a whole graph to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.passing import Nothing, fill, leaves, skeleton
from celers_worker.core.task import TaskState, new_id
from celers_worker.core.workflow import (
    Decision,
    Parent,
    Policy,
    Verdict,
    WorkflowState,
    decide,
    in_order,
    state_of_workflow,
)

A, B = new_id(), new_id()
DONE, DEAD = TaskState.COMPLETED, TaskState.FAILED
ENDS = st.sampled_from([DONE, DEAD, TaskState.CANCELLED, TaskState.EXPIRED])
POLICIES = st.sampled_from(Policy)


def decided(*parents: tuple[TaskState | None, Policy]) -> Verdict:
    return decide(Parent(new_id(), *parent) for parent in parents).verdict


@pytest.mark.parametrize(
    ("state", "policy", "verdict"),
    [
        (None, Policy.FAIL, Verdict.WAIT),
        (TaskState.PROCESSING, Policy.SKIP, Verdict.WAIT),
        (DONE, Policy.FAIL, Verdict.RUN),
        (DEAD, Policy.FAIL, Verdict.GIVE_UP),
        (TaskState.CANCELLED, Policy.FAIL, Verdict.GIVE_UP),
        (TaskState.EXPIRED, Policy.FAIL, Verdict.GIVE_UP),
        (DEAD, Policy.SKIP, Verdict.RUN),
        (DEAD, Policy.CONTINUE, Verdict.RUN),
        (DEAD, Policy.ON_FAILURE, Verdict.RUN),
        (TaskState.EXPIRED, Policy.ON_FAILURE, Verdict.RUN),
        (DONE, Policy.ON_FAILURE, Verdict.SPARE),
        (TaskState.CANCELLED, Policy.ON_FAILURE, Verdict.SPARE),
    ],
)
def test_one_parent_decides(state: TaskState | None, policy: Policy, verdict: Verdict) -> None:
    assert decided((state, policy)) is verdict


def test_without_parents_a_step_runs() -> None:
    assert decide([]) == Decision(Verdict.RUN)


def test_a_step_is_given_up_because_of_the_first_parent_that_makes_it_impossible() -> None:
    parents = [
        Parent(new_id(), None, Policy.FAIL),
        Parent(A, DEAD, Policy.FAIL),
        Parent(B, DEAD, Policy.FAIL),
    ]
    assert decide(parents) == Decision(Verdict.GIVE_UP, A)


@given(st.lists(st.tuples(st.none() | ENDS, POLICIES), max_size=6))
def test_a_step_starts_only_when_every_parent_has_ended(
    parents: list[tuple[TaskState | None, Policy]],
) -> None:
    verdict = decided(*parents)
    lives = any(state is None for state, _ in parents)
    assert not (verdict is Verdict.RUN and lives)
    assert not (verdict is Verdict.WAIT and not lives)


@given(st.lists(st.tuples(ENDS, POLICIES), max_size=6), st.randoms())
def test_the_order_in_which_parents_end_does_not_matter(
    parents: list[tuple[TaskState, Policy]], random: object
) -> None:
    """What was decided early is what would have been decided at the end, or was to wait."""
    known: list[tuple[TaskState | None, Policy]] = [(None, policy) for _, policy in parents]
    order = list(range(len(parents)))
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis' Random
    final = decided(*parents)
    early = []
    for place in order:
        known[place] = parents[place]
        early.append(decided(*known))
    given_up = {Verdict.GIVE_UP, Verdict.SPARE}
    assert all(one in (Verdict.WAIT, final) or {one, final} <= given_up for one in early)


@st.composite
def graphs(draw: st.DrawFn) -> dict[int, dict[int, Policy]]:
    """Random graphs: each step with its parents among those before it."""
    size = draw(st.integers(1, 9))
    tolerances = st.sampled_from([Policy.FAIL, Policy.SKIP, Policy.CONTINUE])
    return {
        step: draw(st.dictionaries(st.integers(0, step - 1), tolerances, max_size=4))
        if step
        else {}
        for step in range(size)
    }


def played(
    graph: Mapping[int, Mapping[int, Policy]], ends: list[TaskState], choices: list[int]
) -> tuple[dict[int, TaskState], list[int]]:
    """Play a graph, any ready step one at a time: the states, and who ran in which order."""
    states: dict[int, TaskState] = {}
    ran: list[int] = []
    ids = {step: new_id() for step in graph}
    while True:
        ready = []
        for step, parents in graph.items():
            if step in states:
                continue
            verdict = decide(
                Parent(ids[parent], states.get(parent), policy)
                for parent, policy in parents.items()
            ).verdict
            if verdict is Verdict.GIVE_UP:
                states[step] = TaskState.CANCELLED
                break
            if verdict is Verdict.RUN:
                ready.append(step)
        else:
            if not ready:
                return states, ran
            step = ready[choices[len(ran) % len(choices)] % len(ready)]
            states[step] = ends[step]
            ran.append(step)


@given(
    graphs(),
    st.lists(ENDS, min_size=9, max_size=9),
    st.lists(st.integers(0, 8), min_size=1),
    st.lists(st.integers(0, 8), min_size=1),
)
def test_every_graph_comes_to_one_end_whatever_runs_first(
    graph: dict[int, dict[int, Policy]],
    ends: list[TaskState],
    one: list[int],
    other: list[int],
) -> None:
    states, ran = played(graph, ends, one)
    assert states.keys() == graph.keys()
    assert len(set(ran)) == len(ran)
    for step in ran:
        parents = graph[step]
        # It had all its parents behind it, and none that it could not do without had failed.
        assert all(
            states[parent] is DONE or policy is not Policy.FAIL
            for parent, policy in parents.items()
        )
        assert all(ran.index(parent) < ran.index(step) for parent in parents if parent in ran)
    again, who = played(graph, ends, other)
    assert (again, sorted(who)) == (states, sorted(ran))


def test_a_workflow_is_what_its_last_steps_are() -> None:
    assert state_of_workflow([DONE, DONE], cancelled=True) is WorkflowState.COMPLETED
    assert state_of_workflow([DONE, DEAD], cancelled=False) is WorkflowState.FAILED
    assert state_of_workflow([DONE, DEAD], cancelled=True) is WorkflowState.CANCELLED


@given(graphs())
def test_the_order_of_a_graph_has_each_after_those_it_depends_on(
    graph: dict[int, dict[int, Policy]],
) -> None:
    order = in_order({str(step): map(str, parents) for step, parents in graph.items()})
    assert sorted(order, key=int) == [str(step) for step in graph]
    for step, parents in graph.items():
        assert all(order.index(str(parent)) < order.index(str(step)) for parent in parents)


def test_a_circle_is_named_and_so_is_what_is_not_there() -> None:
    with pytest.raises(ConfigurationError, match=r"circle, so none could start: .* → .* → "):
        in_order({"a": ["b"], "b": ["a"]})
    with pytest.raises(ConfigurationError, match=r"'b' depends on 'aa'.*Did you mean 'aaa'"):
        in_order({"aaa": [], "b": ["aa"]})


# --- results ---


def test_results_are_filled_in_as_they_are_stored() -> None:
    template = b'{"x":1,"all":[null,[null],null]}'
    passed = [
        (("all", 0), b'{"big":12345678901234567890}'),
        (("all", 1, 0), None),
        (("all", 2), b"[ 1 ]"),
        (("one",), b'"r"'),
    ]
    assert json.loads(fill(template, passed)) == {
        "x": 1,
        "all": [{"big": 12345678901234567890}, [None], [1]],
        "one": "r",
    }


def test_what_is_left_out_leaves_no_gap() -> None:
    out = Nothing.LEFT_OUT
    passed = [(("all", 0), out), (("all", 1), b"1"), (("all", 2), out), (("one",), out)]
    assert json.loads(fill(b'{"all":[null,null,null],"one":null}', passed)) == {"all": [1]}


_VALUES = st.recursive(
    st.builds(new_id), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner)
)


@given(st.fixed_dictionaries({"value": _VALUES}))
def test_every_leaf_has_a_place_in_the_skeleton(holder: dict[str, object]) -> None:
    value = holder["value"]
    found = list(leaves(value, ("value",)))  # type: ignore[arg-type]  # built as one
    template = json.dumps({"value": skeleton(value)}).encode()  # type: ignore[arg-type]
    filled = json.loads(fill(template, [(path, f'"{one}"'.encode()) for path, one in found]))
    assert filled == json.loads(json.dumps(holder, default=str))
