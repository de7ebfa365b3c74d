"""One host: its disk (an overlay), its link, its metadata service and its container, made and taken away together."""

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

from tests.sandbox.images.image import FACTS_FOLDER
from tests.sandbox.kernel import cgroups, firewall, network
from tests.sandbox.kernel.container import Container, Guest
from tests.sandbox.machine import SandboxError
from tests.sandbox.metadata import Identity, MetadataService, RoleCredentials
from tests.sandbox.runs import Run

BOOT_SECONDS = 60


class Host:
    """A host named `name` in the run; `layers` are the read-only folders of its disk, the uppermost first.

    What it writes may take up `disk` bytes; None: whatever this machine has.
    """

    def __init__(
        self,
        run: Run,
        name: str,
        identity: Identity,
        layers: list[Path],
        memory: int | None = None,
        credentials: Callable[[], RoleCredentials | None] = lambda: None,
        ended: Callable[[], None] = lambda: None,
        disk: int | None = None,
    ) -> None:
        self.run, self.name, self.layers, self.memory, self.disk = run, name, layers, memory, disk
        self.address = IPv4Address(identity.private_ip)
        self.folder = run.folder / "hosts" / name
        self.root = self.folder / "root"
        self.metadata = MetadataService(identity, credentials)
        self.container = Container(
            Guest(
                hostname=identity.hostname,
                root=self.root,
                uuid=uuid.uuid4().hex,
                cgroup=self.cgroup,
                namespace=network.namespace(run, name),
                console=self.folder / "console.log",
            ),
            ended,
        )

    @property
    def cgroup(self) -> str:
        return f"{self.run.name}-{self.name}"

    @property
    def upper(self) -> Path:
        """What the host has written, as an overlay above its layers."""
        return (self.folder if self.disk is None else self.folder / "disk") / "upper"

    def create(self) -> None:
        """Disk, link and metadata service, as a new instance has them before it is switched on."""
        self.root.mkdir(parents=True)
        if self.disk is not None:
            self._make_disk(self.disk)
        work = self.upper.with_name("work")
        for part in (self.upper, work):
            part.mkdir()
        lower = ":".join(map(str, self.layers))
        options = f"lowerdir={lower},upperdir={self.upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", self.cgroup, "-o", options, self.root], check=True)
        if self.memory is not None:
            self._show_memory(self.memory)
        network.attach(self.run, self.name, self.address)
        self.metadata.start(self.run, self.name)

    def start(self) -> None:
        """Switch the host on; it takes a moment until it answers (`wait_until_ready`)."""
        network.set_power(self.run, self.name, on=True)
        self.container.start()
        if self.memory is not None:
            cgroups.limit_memory(self.cgroup, self.memory)

    def stop(self) -> None:
        """Orderly power off. The disk stays."""
        self.container.stop()
        network.set_power(self.run, self.name, on=False)

    def reboot(self) -> None:
        """Orderly power off, and on again."""
        self.stop()
        self.start()

    def cut_power(self) -> None:
        """As if the plug were pulled. The disk stays."""
        # First: the kernel would say goodbye for every process that it kills.
        network.set_power(self.run, self.name, on=False)
        self.container.cut_power()

    def destroy(self) -> None:
        """Take away all that `create` made, and the disk with it."""
        self.container.cut_power()
        self.metadata.stop()
        network.detach(self.run, self.name, self.address)
        unmount(self.root)
        unmount(self.folder / "disk")
        shutil.rmtree(self.folder, ignore_errors=True)

    def allow(self, rules: list[firewall.Rule]) -> None:
        """Let through what these permissions of its security groups say, and nothing else."""
        firewall.apply_groups(self.run, self.name, rules)

    def console(self) -> str:
        """What the host wrote on its console, whatever it was before its instance was stopped left out."""
        file = self.folder / "console.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def clear_console(self) -> None:
        """Forget what it wrote, before it is started again."""
        (self.folder / "console.log").write_bytes(b"")

    def host_key(self) -> str:
        """The host's public SSH key, `TYPE BASE64`; empty before its first boot has made one."""
        file = self.root / "etc/ssh/ssh_host_ed25519_key.pub"
        return " ".join(file.read_text().split()[:2]) if file.exists() else ""

    def wait_until_ready(self, seconds: float = BOOT_SECONDS) -> None:
        """Wait until cloud-init is done and SSH answers. Raises SandboxError with the end of the console's text."""
        deadline = time.monotonic() + seconds
        while not (self.is_set_up() and self._ssh_answers()):
            if time.monotonic() > deadline or not self.container.is_running:
                last = "\n".join(self.console().splitlines()[-15:])
                raise SandboxError(f"The host {self.name} was not up after {seconds:.0f} s. Its console ends:\n{last}")
            time.sleep(0.05)

    def is_set_up(self) -> bool:
        # Written by cloud-init's last stage, on the guest's own /run: each boot starts without it.
        init = self.container.init()
        return init is not None and Path(f"/proc/{init}/root/run/cloud-init/result.json").exists()

    def _ssh_answers(self) -> bool:
        try:
            with socket.create_connection((str(self.address), 22), 1) as link:
                return link.recv(4) == b"SSH-"
        except OSError:
            return False

    def _make_disk(self, size: int) -> None:
        """A file system of its own for what the host writes; the file behind it grows as it fills."""
        file, disk = self.folder / "disk.img", self.folder / "disk"
        disk.mkdir()
        with file.open("wb") as made:
            made.truncate(size)
        # No journal: the disk does not outlive this machine. Nothing kept for root, who fills it.
        subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-m", "0", file], check=True)
        mounted = subprocess.run(["mount", "-o", "loop,noatime", file, disk], capture_output=True, text=True)
        if mounted.returncode:
            raise SandboxError(f"A disk for {self.name} cannot be mounted ({mounted.stderr.strip()}).")

    def _show_memory(self, size: int) -> None:
        folder = self.root / FACTS_FOLDER
        total = size // 1024
        figures = {"MemTotal": total, "MemFree": total * 9 // 10, "MemAvailable": total * 9 // 10}
        figures |= dict.fromkeys(("Buffers", "Cached", "SwapCached", "SwapTotal", "SwapFree", "Shmem"), 0)
        (folder / "meminfo").write_text("".join(f"{name + ':':<16}{kb:>8} kB\n" for name, kb in figures.items()))


def unmount(folder: Path) -> None:
    """Unmount a folder, if something is mounted there; lazily if it is busy."""
    if not os.path.ismount(folder):
        return
    if subprocess.run(["umount", folder], capture_output=True).returncode:
        subprocess.run(["umount", "--lazy", folder], check=True)
