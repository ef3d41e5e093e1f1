from __future__ import annotations

import re
from pathlib import Path

from celers_worker.config import Config, example_config, load_config
from celers_worker.config.settings import settings_of
from celers_worker.config.tables import NAMED_TABLES, TABLES

ROOT = Path(__file__).parents[1]


def test_the_example_in_the_repository_is_the_one_that_init_writes():
    assert (ROOT / "config/celers.toml").read_text() == example_config()


def test_the_example_as_it_stands_changes_nothing(tmp_path):
    (tmp_path / "celers.toml").write_text(example_config())
    assert load_config(environment={}, directory=tmp_path).config == Config()


def test_the_example_with_all_comments_removed_holds_every_setting_at_its_default(tmp_path):
    (tmp_path / "celers.toml").write_text(
        re.sub(r"(?m)^# (?=\w+ = |\[.*\]$)", "", example_config())
    )
    loaded = load_config(environment={}, directory=tmp_path)
    assert "default" not in loaded.sources.values()
    for key, setting in settings_of("worker").items():
        value = getattr(loaded.config.worker, key)
        assert value == setting.default if setting.default is not None else value is not None
    assert loaded.config.database == Config().database
    assert loaded.config.retention == Config().retention


def test_every_setting_is_described_and_its_default_is_valid():
    for table in (*TABLES, *NAMED_TABLES):
        for key, setting in settings_of(table).items():
            assert setting.description.what
            assert setting.description.change
            if setting.default is not None:
                assert setting.kind.read(setting.default, key) == setting.default
