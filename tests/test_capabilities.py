"""docs/capabilities.md is true: every capability has its row, and every row a test that runs."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from celers_worker.cli.program import COMMANDS

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "capabilities.md"
EVERY_ID = {f"C{number}" for number in range(1, 103)} | {"C6b"}
TEST = re.compile(r"tests/[\w/]+\.py::test_\w+")


class Row(NamedTuple):
    id: str
    capability: str
    tests: tuple[str, ...]


def rows() -> tuple[list[Row], dict[str, str]]:
    """The rows of what there is, and the ids that are left out with the reason."""
    here: list[Row] = []
    left_out: list[tuple[str, str]] = []
    for line in DOCUMENT.read_text().splitlines():
        if re.match(r"\| C\w+ \|", line):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) == 3:
                left_out.append((cells[0], cells[2]))
                continue
            name, capability, _, proof = cells
            here.append(Row(name, capability, tuple(TEST.findall(proof))))
    assert len(dict(left_out)) == len(left_out)
    return here, dict(left_out)


def skipped(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    marks = [ast.unparse(decorator) for decorator in function.decorator_list]
    return any(re.match(r"pytest\.mark\.(skip|xfail)", mark) for mark in marks)


def living_tests(path: Path) -> set[str]:
    if not path.exists():
        return set()
    tree = ast.parse(path.read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not skipped(node)
    }


def test_every_capability_is_in_one_of_the_two_tables() -> None:
    here, left_out = rows()
    counts = Counter([row.id for row in here] + list(left_out))
    assert {name for name, count in counts.items() if count > 1} == set()
    assert EVERY_ID - set(counts) == set(), "these have no row"
    assert set(counts) - EVERY_ID == set(), "nobody knows these"


def test_every_row_has_a_test_that_runs() -> None:
    here, _ = rows()
    faults = []
    for row in here:
        if not row.tests:
            faults.append(f"{row.id} ({row.capability}) names no test")
        for test in row.tests:
            file, _, name = test.partition("::")
            if name not in living_tests(ROOT / file):
                faults.append(f"{row.id}: there is no test {test} that runs")
    assert faults == []


def test_what_is_left_out_has_a_reason() -> None:
    _, left_out = rows()
    assert {name for name, why in left_out.items() if len(why.split()) < 5} == set()


def test_commands_that_the_table_names_exist() -> None:
    named = set(re.findall(r"`celers ([a-z]+)", DOCUMENT.read_text()))
    assert named - set(COMMANDS) == set()


def test_every_defect_upstream_has_a_test_that_names_it() -> None:
    """T1 to T37 are what CeleRS, apalis, simple-queue and izta got wrong; see the tests."""
    named = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for line in path.read_text().splitlines():
            _, mark, comment = line.partition("# ")
            if mark or line.startswith('"""'):
                named |= {int(number) for number in re.findall(r"\bT(\d+)\b", comment or line)}
    assert set(range(1, 38)) - named == set(), "these are nowhere tested"
