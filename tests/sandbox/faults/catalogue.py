"""Every fault by its name, as a person asks for it: what it does, to what, and how it is taken back."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.sandbox.cloud import Cloud
from tests.sandbox.faults import hosts
from tests.sandbox.host import Host
from tests.sandbox.machine import SandboxError

ALWAYS = sys.maxsize
ZONE = re.compile(r"[a-z]{2}(-[a-z]+)+-\d[a-z]")
OFFSET = re.compile(r"[+-]\d+[smhd]")

Undo = Callable[[], None]


@dataclass(frozen=True)
class Fault:
    """A fault: its name, the words after it (`[...]` may be left out), what it does in a sentence.

    `strike` does it and gives what takes it back, None where nothing does.
    """

    name: str
    words: str
    text: str
    strike: Callable[..., Undo | None]


class Faults:
    """The faults of one cloud: struck by name, all ended by `clear`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._undo: list[Undo] = []

    def strike(self, name: str, *words: str) -> str:
        """Let it happen; gives what was done. Raises SandboxError where name or words are not understood."""
        fault = FAULTS.get(name)
        if fault is None:
            raise SandboxError(f"There is no fault named {name}: `python -m tests.sandbox fault list` has them all.")
        most = fault.words.split()
        if not sum(not word.startswith("[") for word in most) <= len(words) <= len(most):
            raise SandboxError(f"It is `fault {name} {fault.words}`".rstrip() + ".")
        undo = fault.strike(self._cloud, *words)
        if undo is not None:
            self._undo.append(undo)
        return " ".join([name, *words])

    def clear(self) -> str:
        """End all of them, the latest first."""
        self._cloud.aws.end_faults()
        while self._undo:
            self._undo.pop()()
        return "All faults are ended."


def explained() -> list[tuple[str, str]]:
    """Each fault as it is typed, and what it does."""
    return [(f"{fault.name} {fault.words}".rstrip(), fault.text) for fault in FAULTS.values()]


def _while_there(cloud: Cloud, host: Host, undo: Undo) -> Undo:
    """Nothing is mended on a host that has been terminated since."""
    return lambda: undo() if cloud.sandbox.hosts.get(host.name) is host else None


def _power_cut(cloud: Cloud, name: str) -> Undo:
    host = cloud.host_called(name)
    hosts.cut_power(host)
    return _while_there(cloud, host, host.start)


def _power_on(cloud: Cloud, name: str) -> None:
    cloud.host_called(name).start()


def _link_down(cloud: Cloud, name: str) -> Undo:
    host = cloud.host_called(name)
    hosts.cut_link(host)
    return _while_there(cloud, host, lambda: hosts.mend_link(host))


def _link_up(cloud: Cloud, name: str) -> None:
    hosts.mend_link(cloud.host_called(name))


def _split(cloud: Cloud, name: str) -> Undo:
    host = cloud.host_called(name)
    hosts.split(host)
    return _while_there(cloud, host, lambda: hosts.heal_split(host))


def _reboot(cloud: Cloud, name: str) -> None:
    cloud.host_called(name).reboot()


def _spot_notice(cloud: Cloud, name: str) -> Undo:
    metadata = cloud.host_called(name).metadata
    metadata.announce_spot_interruption()
    return metadata.withdraw_spot_interruption


def _rebalance(cloud: Cloud, name: str) -> Undo:
    metadata = cloud.host_called(name).metadata
    metadata.recommend_rebalance()
    return metadata.withdraw_rebalance


def _spot_loss(cloud: Cloud, name: str) -> None:
    cloud.aws.reclaim(cloud.host_called(name).name)


def _capacity(cloud: Cloud, what: str) -> None:
    where = {"zone": what} if ZONE.fullmatch(what) else {"match": f"InstanceType={what}"}
    message = f"We currently do not have sufficient capacity in the Availability Zone you requested ({what})."
    cloud.aws.fail(
        "ec2:RunInstances", code="InsufficientInstanceCapacity", message=message, status=500, times=ALWAYS, **where
    )


def _throttle(cloud: Cloud, rate: str = "0.5") -> None:
    codes = {"ec2:*": ("RequestLimitExceeded", 503), "iam:*": ("Throttling", 400)}
    for action, (code, status) in codes.items():
        cloud.aws.fail(action, code=code, message="Rate exceeded", status=status, rate=_probability(rate), times=ALWAYS)


def _s3_errors(cloud: Cloud, rate: str, key: str = "") -> None:
    cloud.aws.fail(
        f"s3:*{key}*",
        code="SlowDown",
        message="Please reduce your request rate.",
        status=503,
        rate=_probability(rate),
        times=ALWAYS,
    )


def _s3_slow(cloud: Cloud, seconds: str = "1") -> None:
    cloud.aws.fail("s3:*", delay=_number(seconds), times=ALWAYS)


def _disk_full(cloud: Cloud, name: str) -> Undo:
    host = cloud.host_called(name)
    hosts.fill_disk(host)
    return _while_there(cloud, host, lambda: hosts.empty_disk(host))


def _oom(cloud: Cloud, name: str) -> None:
    hosts.run_out_of_memory(cloud.host_called(name))


def _clock(cloud: Cloud, offset: str, name: str = "") -> Undo:
    if not OFFSET.fullmatch(offset):
        raise SandboxError(f"{offset} is no shift of a clock: write it as +2h, -30m or +3d.")
    chosen = [cloud.host_called(name)] if name else [host for host in cloud.sandbox.hosts.values() if _is_on(host)]
    for host in chosen:
        hosts.shift_clock(host, offset)

    def mend() -> None:
        for host in filter(_is_on, chosen):
            hosts.mend_clock(host)

    return mend


def _is_on(host: Host) -> bool:
    return host.container.init() is not None


def _probability(given: str) -> float:
    rate = _number(given)
    if not 0 < rate <= 1:
        raise SandboxError(f"{given} is no rate: give a part of the calls, as 0.1 for one in ten.")
    return rate


def _number(given: str) -> float:
    try:
        return float(given)
    except ValueError:
        raise SandboxError(f"{given} is no number.") from None


_ALL = (
    Fault("power-cut", "HOST", "the plug is pulled: no more writes, nobody told; EC2 still says running", _power_cut),
    Fault("power-on", "HOST", "the plug is in again, and the host boots", _power_on),
    Fault("link-down", "HOST", "its network cable is out; the host goes on", _link_down),
    Fault("link-up", "HOST", "the cable is in again", _link_up),
    Fault("split", "HOST", "it and the other hosts hear nothing of each other; S3 and SSH go on", _split),
    Fault("reboot", "HOST", "an orderly reboot", _reboot),
    Fault(
        "spot-notice", "HOST", "the metadata service says that AWS takes it in two minutes; it does not", _spot_notice
    ),
    Fault("rebalance", "HOST", "the metadata service says that AWS may take it before long", _rebalance),
    Fault("spot-loss", "HOST", "AWS takes the instance back now, and its disk", _spot_loss),
    Fault("capacity", "TYPE|ZONE", "no more instances of this type, or in this availability zone", _capacity),
    Fault("throttle", "[RATE]", "EC2 and IAM refuse this part of the calls (0.5) for coming too fast", _throttle),
    Fault(
        "s3-errors", "RATE [KEY]", "S3 refuses this part of the requests whose path has KEY in it, with 503", _s3_errors
    ),
    Fault("s3-slow", "[SECONDS]", "every answer of S3 comes so much later (1)", _s3_slow),
    Fault("disk-full", "HOST", "nothing is free on its disk", _disk_full),
    Fault("oom", "HOST", "its memory is used up: the kernel kills the process it chooses, once", _oom),
    Fault(
        "clock",
        "+2h [HOST]",
        "what systemd starts from now on, on one host or all, sees another time, by libfaketime; what runs does not",
        _clock,
    ),
)
FAULTS = {fault.name: fault for fault in _ALL}
