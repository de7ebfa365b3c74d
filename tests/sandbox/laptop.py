"""A person's machine, and no hosts behind it: no root, no systemd, a home that can't be written, a proxy as way out."""

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.sandbox.host import unmount
from tests.sandbox.images import laptop

PROXY_PORT = 3128
CLONE_NEWNET = 0x40000000
UNSHARED = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]


class Laptop:
    """`run` types a command there, as its person, in a folder of its root, and gives how it ended."""

    def __init__(self, root: Path, network: int, environment: dict[str, str]) -> None:
        self.root, self._network, self._environment = root, network, environment

    def run(self, folder: str, *words: str, seconds: float, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it; its files are the laptop's, its processes see each other alone."""
        inside = ["chroot", f"--userspec={laptop.PERSON}:{laptop.PERSON}", str(self.root)]
        enter = 'mount -t proc proc "$1/proc"; shift; exec "$@"'
        command = ["nsenter", f"--net=/proc/{self._network}/ns/net", "unshare", "--mount", "--pid", "--fork"]
        command += ["--kill-child", "sh", "-c", enter, "sh", str(self.root), *inside]
        there = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", folder, *words]
        kept = {"PATH": "/usr/bin:/bin", "HOME": f"/{laptop.HOME}", "USER": laptop.PERSON, "LANG": "C.UTF-8"}
        return subprocess.run(
            [*command, *there],
            env={**kept, **self._environment, **environment, "PATH": kept["PATH"] + ":/usr/sbin:/sbin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


@contextmanager
def booted(suite: str, scratch: Path, environment: dict[str, str]) -> Iterator[tuple[Laptop, socket.socket]]:
    """A laptop of that release for the time of the block, and the socket of the proxy's address in its network."""
    root, upper, work = scratch / "root", scratch / "upper", scratch / "work"
    for folder in (root, upper, work):
        folder.mkdir()
    layers = f"lowerdir={laptop.root(suite)},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, root], check=True)
    holder = subprocess.Popen(
        [*UNSHARED, "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"], stdout=subprocess.PIPE
    )
    try:
        subprocess.run(["mount", "--bind", "/dev", root / "dev"], check=True)
        assert holder.stdout
        assert holder.stdout.readline() == b"up\n"
        yield Laptop(root, holder.pid, environment), _listener(holder.pid)
    finally:
        holder.kill()
        holder.wait()
        unmount(root / "dev")
        unmount(root)
        shutil.rmtree(upper, ignore_errors=True)


def _listener(process: int) -> socket.socket:
    """A socket in another network: a thread may enter it alone, and what it opens there stays there."""
    made: list[socket.socket] = []

    def enter_and_listen() -> None:
        there = os.open(f"/proc/{process}/ns/net", os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(there)
        made.append(socket.create_server(("127.0.0.1", PROXY_PORT)))

    thread = threading.Thread(target=enter_and_listen)
    thread.start()
    thread.join()
    return made[0]
