"""pipeline.process.memory: what the kernel says of processes that it ended."""

from pathlib import Path

import pytest

from pipeline.process import memory


def test_processes_that_the_kernel_ended_are_counted_for_the_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "OWN", tmp_path / "own")
    assert memory.oom_kills() == 0, "no Linux"
    (tmp_path / "own").write_text("0::/system.slice/spark-worker.service\n")
    assert memory.oom_kills() == 0, "no such control group to be seen"
    unit = tmp_path / "system.slice" / "spark-worker.service"
    unit.mkdir(parents=True)
    (unit / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n")
    assert memory.oom_kills() == 3
