"""pipeline.job.phases: what the tasks' results come to."""

from pipeline.job.extract import TaskResult
from pipeline.job.phases import Extraction


def task(began_at: float, ended_at: float, kills: tuple[int, int], host: str = "worker-1") -> TaskResult:
    """A task whose engine took a second."""
    return TaskResult(
        0, 1, {}, "", first_picture_at=began_at + 1, ended_at=ended_at, seconds={"engine": 1.0}, host=host,
        oom_kills=kills,
    )  # fmt: skip


def kills(*results: TaskResult) -> dict[str, int]:
    return Extraction(results, 1.0).oom_kills


def test_kills_before_the_run_are_not_its_own_and_those_between_tasks_are() -> None:
    assert kills(task(0, 5, (7, 7)), task(6, 9, (7, 7))) == {}
    assert kills(task(0, 5, (7, 8)), task(6, 9, (10, 10)), task(0, 5, (1, 2), "worker-0")) == {
        "worker-0": 1,
        "worker-1": 3,
    }


def test_tasks_side_by_side_tell_of_one_kill_once_in_whatever_order_they_come() -> None:
    assert kills(task(2, 8, (1, 1)), task(0, 9, (0, 1)), task(1.5, 3, (1, 1))) == {"worker-1": 1}


def test_a_counter_that_begins_anew_with_its_unit_has_counted_nothing_by_that() -> None:
    assert kills(task(0, 5, (7, 7)), task(60, 65, (0, 0))) == {}
    assert kills(task(0, 5, (6, 7)), task(60, 65, (0, 2))) == {"worker-1": 3}
