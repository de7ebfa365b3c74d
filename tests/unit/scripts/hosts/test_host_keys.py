"""Host keys from the console, and known_hosts, which other programs read, too."""

import stat
from pathlib import Path

from scripts.cluster import Host
from scripts.hosts import host_keys

CONSOLE = """
[   9.1] cloud-init[411]: booting
<14>Nov 21 10:00:00 cloud-init: #############################################################
-----BEGIN SSH HOST KEY KEYS-----
ecdsa-sha2-nistp256 AAAAE2VjZHNh root@ip-10-42-0-5
ssh-ed25519 AAAAC3Nz+a/b= root@ip-10-42-0-5
-----END SSH HOST KEY KEYS-----
[  11.0] cloud-init[502]: done
"""
MASTER = Host("master", "i-0a", "10.42.0.5", "198.51.100.5")
WORKER = Host("worker-1", "i-0b", "10.42.0.6", "198.51.100.6")


def test_host_keys_are_read_from_what_cloud_init_prints() -> None:
    assert host_keys.read_console(CONSOLE) == ["ecdsa-sha2-nistp256 AAAAE2VjZHNh", "ssh-ed25519 AAAAC3Nz+a/b="]
    assert host_keys.read_console(CONSOLE.partition("-----END")[0]) == []


def test_the_last_keys_on_the_console_count() -> None:
    assert host_keys.read_console(CONSOLE + CONSOLE.replace("AAAAC3Nz", "AAAANEW"))[1] == "ssh-ed25519 AAAANEW+a/b="


def test_a_host_with_a_new_address_keeps_its_key_and_other_lines_stay(tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("github.example ssh-ed25519 AAAAother\n")
    host_keys.write(known, [MASTER, WORKER], {"i-0a": ["ssh-ed25519 A"], "i-0b": ["ssh-ed25519 B"]})
    moved = Host("master", "i-0a", "10.42.0.5", "198.51.100.77")
    host_keys.write(known, [moved, WORKER], {"i-0a": ["ssh-ed25519 A"], "i-0b": ["ssh-ed25519 B"]})
    assert known.read_text().splitlines() == [
        "github.example ssh-ed25519 AAAAother",
        "i-0a,198.51.100.77 ssh-ed25519 A",
        "i-0b,198.51.100.6 ssh-ed25519 B",
    ]
    assert stat.S_IMODE(known.stat().st_mode) == 0o600


def test_a_new_host_at_an_old_address_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    host_keys.write(known, [WORKER], {"i-0b": ["ssh-ed25519 B"]})
    successor = Host("worker-1", "i-0c", "10.42.0.9", WORKER.public_ip)
    host_keys.write(known, [successor], {"i-0c": ["ssh-ed25519 C"]})
    assert known.read_text() == "i-0c,198.51.100.6 ssh-ed25519 C\n"


def test_a_host_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    host_keys.write(known, [MASTER, WORKER], {"i-0a": ["ssh-ed25519 A"], "i-0b": ["ssh-ed25519 B"]})
    host_keys.forget(known, [WORKER])
    assert known.read_text() == "i-0a,198.51.100.5 ssh-ed25519 A\n"
