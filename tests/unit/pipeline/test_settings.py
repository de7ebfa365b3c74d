"""pipeline.settings."""

import json
from dataclasses import replace
from datetime import datetime

import pytest

from pipeline.settings import RUN_ID, RunSettings, new_run_id


def test_settings_that_went_through_json_do_not_differ() -> None:
    settings = RunSettings("/a", "f00", classes=("Apple*",), limit=4)
    stored = json.loads(json.dumps(settings.as_json()))
    assert settings.differences(stored) == []
    assert settings.differences({**stored, "limit": 5, "engine": "tensorflow"}) == ["engine", "limit"]


def test_a_new_run_s_name_is_the_time() -> None:
    name = new_run_id()
    assert RUN_ID.fullmatch(name)
    assert datetime.strptime(name, "%Y%m%d-%H%M%S").year >= 2026


@pytest.mark.parametrize("name", ["", ".hidden", "-option", "a/b", "a b", "..", "a" * 101])
def test_a_name_that_could_lead_elsewhere_is_no_run_s(name: str) -> None:
    assert not RUN_ID.fullmatch(name)


def test_a_run_of_before_photos_were_turned_goes_on_as_it_began() -> None:
    settings = RunSettings("pictures", "sha")
    begun = settings.as_json()
    del begun["decode"], begun["orientation"]
    assert settings.differences(begun) == ["orientation"]
    assert settings.going_on(begun).differences(begun) == []
    assert settings.going_on(settings.as_json()) == settings
    assert replace(settings, decode="fast").going_on(begun).differences(begun) == ["decode"]
