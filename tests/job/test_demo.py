"""`python -m pipeline demo`: the command behind `make demo`, from nothing."""

import html
import json
import re
from pathlib import Path

import numpy as np

from pipeline.cli import DEMO_PICTURES_NOTE, RANDOM_WEIGHTS_NOTE
from pipeline.run_folder.record import RANDOM_ALARM
from tests.job.conftest import Orchard


def no_download(home: Path) -> dict[str, str]:
    """An environment with no weights in Keras's cache and a proxy that refuses: nothing can be downloaded."""
    return {"KERAS_HOME": str(home / "keras"), "https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}


def test_the_demo_draws_its_pictures_and_goes_on_without_imagenet_weights_on_the_java_of_the_wheel(
    orchard: Orchard, tmp_path: Path, no_java_path: str
) -> None:
    # In a shell that was told of a cluster's Spark Connect, too.
    nothing = no_download(tmp_path) | {"PATH": no_java_path, "JAVA_HOME": "", "SPARK_REMOTE": "sc://localhost:1"}
    ended = orchard("demo", "--output", tmp_path, "--run-id", "first", "--image-size", "64", **nothing)
    assert ended.code == 0, ended.err
    said = [json.loads(line.removeprefix("orchard: ")) for line in ended.err.splitlines()[:2]]
    assert said == [{"event": "note", "text": text} for text in (DEMO_PICTURES_NOTE, RANDOM_WEIGHTS_NOTE)]
    assert "nor to be downloaded from here (URL fetch failure" in ended.err.splitlines()[2]
    assert "600 of 600 pictures have features" in ended.out
    assert json.loads((tmp_path / "first" / "run.json").read_text())["notes"] == [
        DEMO_PICTURES_NOTE,
        RANDOM_WEIGHTS_NOTE,
    ]
    assert f"{RANDOM_ALARM}\nRun first: 600 of 600 pictures" in ended.out
    page = (tmp_path / "first" / "report.html").read_text()
    assert f'<p class="alarm">{html.escape(RANDOM_ALARM)}</p>' in page.replace("&#39;", "&#x27;")
    assert {html.escape(note) for note in (DEMO_PICTURES_NOTE, RANDOM_WEIGHTS_NOTE)} <= {
        note.replace("&#39;", "&#x27;") for note in re.findall(r'<p class="note">(.*?)</p>', page)
    }
    # Random weights give tiny numbers, which still fill the map.
    points = np.array(json.loads(re.search(r"^const data = (.*);$", page, re.MULTILINE)[1])["points"])
    assert len(np.unique(points, axis=0)) > 500
    assert (points.min(), points.max()) == (0, 1)
