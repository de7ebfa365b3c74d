"""moto with real hosts behind its instances: a folder in which the double and whoever runs the hosts leave word.

`ID.console` holds what the instance's host wrote on its console; `ID.reboots` grows by one byte a reboot asked for.
"""

from ipaddress import IPv4Network
from itertools import cycle
from pathlib import Path
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.models import elastic_ip_addresses, elastic_network_interfaces
from moto.ec2.models.instances import Instance
from moto.ec2.responses.general import General
from moto.ec2.utils import Base64EncodedString

# AWS keeps that much.
CONSOLE_BYTES = 64 * 1024


def apply(folder: Path, public_network: IPv4Network) -> None:
    """Let instances have public addresses of this network only, real console output, and reboots that are noticed.

    moto's own public addresses belong to somebody: a packet for one of them would leave this machine.
    """
    addresses = cycle(map(str, list(public_network.hosts())[3:]))
    elastic_network_interfaces.random_public_ip = lambda: next(addresses)
    elastic_ip_addresses.random_ip = lambda: next(addresses)
    _note_reboots(folder)
    _give_console_output(folder)


def _note_reboots(folder: Path) -> None:
    original = Instance.reboot

    def reboot(self: Any) -> None:
        original(self)
        with (folder / f"{self.id}.reboots").open("ab") as notes:
            notes.write(b".")

    Instance.reboot = reboot


def _give_console_output(folder: Path) -> None:
    def get_console_output(self: Any) -> ActionResult:
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        file = folder / f"{instance.id}.console"
        text = file.read_bytes()[-CONSOLE_BYTES:].decode(errors="replace") if file.exists() else ""
        output = Base64EncodedString.from_raw_string(text)
        return ActionResult({"InstanceId": instance.id, "Timestamp": utcnow(), "Output": output})

    General.get_console_output = get_console_output
