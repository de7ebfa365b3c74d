"""pipeline.run_folder.record: what a processor is called."""

import platform
from pathlib import Path

import pytest

from pipeline.run_folder.record import cpu_name

XEON = "processor\t: {}\nvendor_id\t: GenuineIntel\nmodel\t\t: 207\nmodel name\t: Intel(R) Xeon(R) Platinum 8488C\n\n"
GRAVITON = "processor\t: {}\nBogoMIPS\t: 2100.00\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: {part}\n\n"


def on(monkeypatch: pytest.MonkeyPatch, machine: str, cpuinfo: str) -> str:
    """What it is called where the kernel says so much of it."""
    monkeypatch.setattr(Path, "read_text", lambda _: cpuinfo)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    return cpu_name()


def test_a_processor_is_called_as_the_kernel_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    named = XEON.format(0) + XEON.format(1)
    assert on(monkeypatch, "x86_64", named) == "Intel(R) Xeon(R) Platinum 8488C"
    assert on(monkeypatch, "riscv64", "processor\t: 0\n") == "riscv64"


def test_two_kinds_that_the_kernel_has_no_name_for_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [GRAVITON.format(0, part=part) + GRAVITON.format(1, part=part) for part in ("0xd40", "0xd4f")]
    assert [on(monkeypatch, "aarch64", kind) for kind in kinds] == ["aarch64 0x41 0xd40", "aarch64 0x41 0xd4f"]
