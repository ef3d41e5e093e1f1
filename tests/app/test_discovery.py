"""Where the application is found, and what is said when it is not."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from celers_worker.app.discovery import load_app
from celers_worker.core.errors import ConfigurationError

APP = "from celers_worker import Celers\n{} = Celers()\n"


@pytest.fixture(autouse=True)
def here(own_modules: Path) -> Path:
    """A current directory with modules that nobody else sees."""
    return own_modules


def write(place: Path, **modules: str) -> None:
    for name, source in modules.items():
        (place / f"{name}.py").write_text(source)


def refusal(target: str = "", *modules: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load_app(target, modules)
    message = str(refused.value)
    assert "\n" not in message, "one line"
    return message


def test_a_module_with_one_application_needs_no_name(here: Path) -> None:
    write(here, shop=APP.format("queue"))
    found = load_app("shop")
    assert found is sys.modules["shop"].queue


def test_a_name_in_a_module_can_be_given(here: Path) -> None:
    write(here, shop=APP.format("one") + "two = Celers()\n")
    assert load_app("shop:two") is sys.modules["shop"].two


def test_of_several_applications_the_one_called_app_is_meant(here: Path) -> None:
    write(here, shop=APP.format("app") + "other = Celers()\n")
    assert load_app("shop") is sys.modules["shop"].app


def test_one_application_of_two_names_is_one(here: Path) -> None:
    write(here, shop=APP.format("one") + "two = one\n")
    assert load_app("shop") is sys.modules["shop"].one


def test_a_module_in_a_package_is_found(here: Path) -> None:
    (here / "shop").mkdir()
    write(here / "shop", __init__="", jobs=APP.format("app"))
    assert load_app("shop.jobs:app") is sys.modules["shop.jobs"].app


def test_without_a_target_tasks_py_is_taken(here: Path) -> None:
    write(here, tasks=APP.format("app"))
    assert load_app() is sys.modules["tasks"].app


def test_further_modules_declare_more_tasks(here: Path) -> None:
    write(
        here,
        shop=APP.format("app"),
        more="from shop import app\n@app.task()\ndef send() -> None: ...\n",
    )
    assert [handler.name for handler in load_app("shop", ["more"]).registry] == ["send"]
    assert load_app("", ["more"]) is sys.modules["shop"].app


REFUSED: dict[str, tuple[dict[str, str], str, tuple[str, ...], str]] = {
    "no target and no tasks.py": ({}, "", (), r"there is no tasks\.py in /.*-A module"),
    "missing module": ({}, "nosuch:app", (), r"there is no module 'nosuch' in /"),
    "missing module in a package": ({}, "email.nosuch", (), r"there is no module 'email.nosuch'"),
    "missing further module": (
        {"shop": APP.format("app")},
        "shop",
        ("nosuch",),
        r"there is no module 'nosuch'",
    ),
    "module that misses another": (
        {"shop": "import flaskk\n"},
        "shop",
        (),
        r"'shop' cannot be imported \(.*shop\.py:1\): ModuleNotFoundError: No module named 'fla",
    ),
    "module that raises": (
        {"shop": "\n\nraise ValueError('no SECRET_KEY')\n"},
        "shop",
        (),
        r"'shop' cannot be imported \(.*shop\.py:3\): ValueError: no SECRET_KEY",
    ),
    "module that ends the process": (
        {"shop": "raise SystemExit(3)\n"},
        "shop",
        (),
        r"'shop' cannot be imported \(.*shop\.py:1\): SystemExit: 3",
    ),
    "module that is no Python": (
        {"shop": "def (:\n"},
        "shop",
        (),
        r"'shop' cannot be imported.*SyntaxError",
    ),
    "no application": ({"shop": "x = 1\n"}, "shop", (), r"one Celers application, but holds none"),
    "several applications": (
        {"shop": APP.format("one") + "two = Celers()\n"},
        "shop",
        (),
        r"holds several: one, two\..*-A shop:name",
    ),
    "modules with several applications": (
        {"one": APP.format("a"), "two": APP.format("b")},
        "",
        ("one", "two"),
        r"the modules one, two hold 2 Celers applications",
    ),
    "wrong kind": (
        {"shop": APP.format("app") + "settings = {}\n"},
        "shop:settings",
        (),
        r"shop:settings is no Celers application: the module holds a dict there",
    ),
    "wrong name": (
        {"shop": APP.format("celery_app")},
        "shop:celeryapp",
        (),
        r"the module has no such name\. Did you mean 'celery_app'\?",
    ),
    "not a module's name": ({}, "shop/tasks.py", (), r"there is no module 'shop/tasks\.py'"),
    "relative": ({}, ".shop", (), r"'\.shop'"),
    "nothing before the colon": ({}, ":app", (), r"''"),
    "two handlers of one name": (
        {
            "shop": APP.format("app")
            + "@app.task(name='send')\ndef one() -> None: ...\n"
            + "@app.task(name='send')\ndef two() -> None: ...\n"
        },
        "shop",
        (),
        r"two handlers are called 'send': .*shop\.py:3 and .*shop\.py:5",
    ),
}


@pytest.mark.parametrize(("sources", "target", "modules", "words"), REFUSED.values(), ids=REFUSED)
def test_an_application_that_cannot_be_found_is_explained_in_one_line(
    here: Path, sources: dict[str, str], target: str, modules: tuple[str, ...], words: str
) -> None:
    write(here, **sources)
    message = refusal(target, *modules)
    assert re.search(words, message), message
