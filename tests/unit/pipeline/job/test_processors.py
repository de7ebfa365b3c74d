"""pipeline.job.processors."""

import pytest

from pipeline.errors import InputError
from pipeline.job import processors
from pipeline.job.processors import Processor, ask_processors, by_name, check_same, one_for_bf16
from tests.unit.pipeline.without_spark import Context


def test_each_core_is_asked_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "cpu_name", lambda: "Xeon")
    monkeypatch.setattr(processors, "has_bf16", lambda: True)
    monkeypatch.setattr(processors.socket, "gethostname", lambda: "worker-1")
    assert ask_processors(Context(), 3) == [Processor("worker-1", "Xeon", True)] * 3


def test_at_bf16_all_workers_have_one_kind_of_processor_that_has_it() -> None:
    same = [Processor("worker-1", "Xeon", True), Processor("worker-2", "Xeon", True)]
    assert one_for_bf16(same) == "Xeon"
    with pytest.raises(InputError, match=r"^The processor of worker-3 \(Epyc\) has no bf16 arithmetic; take f32 as "):
        one_for_bf16([*same, Processor("worker-3", "Epyc", False)])
    told = r"of 2 kinds, whose features differ at bf16 \(Epyc on worker-3; Xeon on worker-1, worker-2\); take f32 "
    with pytest.raises(InputError, match=told):
        one_for_bf16([*same, Processor("worker-3", "Epyc", True)])


def test_a_run_goes_on_with_the_kind_that_it_was_begun_on() -> None:
    check_same("mine", "Xeon", "Xeon")
    check_same("mine", "", "Xeon")  # of before it was kept
    with pytest.raises(InputError, match=r"^Run mine was begun at bf16 on workers with Xeon, and these have Epyc; "):
        check_same("mine", "Xeon", "Epyc")


def test_hosts_are_told_by_their_processors() -> None:
    pairs = [("Xeon", "b"), ("Epyc", "c"), ("Xeon", "a"), ("Xeon", "b")]
    assert list(by_name(pairs).items()) == [("Epyc", ["c"]), ("Xeon", ["a", "b"])]
