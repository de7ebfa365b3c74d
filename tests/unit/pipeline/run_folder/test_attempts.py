"""pipeline.run_folder.attempts."""

from pathlib import Path

import pytest

from pipeline.run_folder.attempts import count_attempt
from pipeline.storage.local import LocalStorage


def test_attempts_are_counted_from_the_second_on(tmp_path: Path) -> None:
    folder = LocalStorage.at(str(tmp_path))
    assert [count_attempt(folder) for _ in range(3)] == [2, 3, 4]
    assert (tmp_path / "attempts.json").read_text() == '{"attempts": 4}'


@pytest.mark.parametrize("content", ["", "[]", '{"attempts": null}', "{}"])
def test_a_count_that_somebody_spoilt_stops_no_run(tmp_path: Path, content: str) -> None:
    (tmp_path / "attempts.json").write_text(content)
    assert count_attempt(LocalStorage.at(str(tmp_path))) == 2
