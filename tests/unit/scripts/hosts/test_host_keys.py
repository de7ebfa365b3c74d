"""Host keys from the console, and known_hosts, which other programs read, too."""

import shutil
import stat
from pathlib import Path

import pytest

from scripts import console, tfvars
from scripts.cluster import Host
from scripts.errors import InputError
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
# Of a real host, with the fingerprints that `ssh-keygen -l` gives.
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMYMSZexRBmq8svX4cAOo5lYxfq+pbWg/rNu2LSVRE28"
ECDSA = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBNwm9G3/NwvSd7Y0Ja"
    "pnBD36Rw9kpqSYYiOyVRs3w6FYyseD4WBtU2FWtgBC9GOcnziB2EY9zU69RyUBSDNefrQ="
)
PRINTED = f"""
<14>Nov 21 10:00:00 cloud-init: #############################################################
<14>Nov 21 10:00:00 cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----
<14>Nov 21 10:00:00 cloud-init: 256 SHA256:jdvpFKkH+ktLsgsowYN2A90JD/1o3JBQGezUXwDu7WE root@host (ECDSA)
<14>Nov 21 10:00:00 cloud-init: 256 SHA256:fE59geOTeyrLGLdprlITVJIQnFA2xG1rDiACrg70wzE root@host (ED25519)
<14>Nov 21 10:00:00 cloud-init: -----END SSH HOST KEY FINGERPRINTS-----
<14>Nov 21 10:00:00 cloud-init: #############################################################
-----BEGIN SSH HOST KEY KEYS-----
{ECDSA} root@host
{ED25519} root@host
-----END SSH HOST KEY KEYS-----
"""
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJpHRDJykpN36NeS/ex5uY9m0eWeHjnPl87jbSyrcbAL"
MASTER = Host("master", "i-0a", "10.42.0.5", "198.51.100.5")
WORKER = Host("worker-1", "i-0b", "10.42.0.6", "198.51.100.6")


def test_host_keys_are_read_from_what_cloud_init_prints() -> None:
    assert host_keys.read_console(CONSOLE) == ["ecdsa-sha2-nistp256 AAAAE2VjZHNh", "ssh-ed25519 AAAAC3Nz+a/b="]
    assert host_keys.read_console(CONSOLE.partition("-----END")[0]) == []


def test_the_last_keys_on_the_console_count() -> None:
    assert host_keys.read_console(CONSOLE + CONSOLE.replace("AAAAC3Nz", "AAAANEW"))[1] == "ssh-ed25519 AAAANEW+a/b="


def test_keys_that_have_their_fingerprints_beside_them_are_taken() -> None:
    assert host_keys.read_console(PRINTED) == [ECDSA, ED25519]
    # As a serial line has it, and with another boot's before.
    assert host_keys.read_console((CONSOLE + PRINTED).replace("\n", "\r\n")) == [ECDSA, ED25519]


def test_a_key_beside_the_fingerprint_of_another_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^an ED25519 key of SHA256:\S{43} beside SHA256:\S{43}$"):
        host_keys.read_console(PRINTED.replace(ED25519, OTHER))


def test_of_two_boots_each_block_is_compared_with_its_own_fingerprints() -> None:
    before = PRINTED.replace(ED25519, OTHER)
    assert host_keys.read_console(before + PRINTED) == [ECDSA, ED25519]
    with pytest.raises(ValueError, match=r"^an ED25519 key of "):
        host_keys.read_console(PRINTED + before)
    # A block whose end is yet to come, or was torn off, takes nothing of the next one's.
    assert host_keys.read_console(PRINTED + before.partition("-----END SSH HOST KEY KEYS")[0]) == [ECDSA, ED25519]
    assert host_keys.read_console(before.partition("-----END SSH HOST KEY KEYS")[0] + PRINTED) == [ECDSA, ED25519]


@pytest.mark.parametrize("whole", [ECDSA, ED25519])
def test_a_key_that_another_line_tore_is_left_out(whole: str) -> None:
    torn = PRINTED.replace(whole, whole[:50] + "[   12.345678] kernel: a line\n" + whole[50:])
    assert host_keys.read_console(torn) == [key for key in (ECDSA, ED25519) if key != whole]


def test_where_every_key_is_torn_none_is_taken() -> None:
    torn = PRINTED.replace("AAAA", "AA[ 1.2] kernel\nAA")
    with pytest.raises(ValueError, match="no key is whole and has its fingerprint beside it"):
        host_keys.read_console(torn)


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where cluster fruits has its private key, with the settings of a person who names none."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("OpenSSH is not installed")
    monkeypatch.setattr(tfvars, "setting", lambda _: None)
    monkeypatch.setattr(tfvars, "state_folder", lambda name: tmp_path / name)
    monkeypatch.setattr(console, "LOGS", tmp_path / "logs")
    console.begin("test", verbose=False)
    return tmp_path / "fruits" / "id_ed25519"


def test_a_pair_is_made_where_there_is_none_and_kept_where_there_is(key: Path) -> None:
    assert not host_keys.has_pair("fruits")
    assert host_keys.ensure_pair("fruits") == f"new key {key}"
    made = key.with_suffix(".pub").read_text()
    assert host_keys.has_pair("fruits")
    assert host_keys.ensure_pair("fruits") == f"key {key}"
    assert key.with_suffix(".pub").read_text() == made


def test_a_key_that_was_brought_from_another_laptop_is_enough(key: Path) -> None:
    host_keys.ensure_pair("fruits")
    public = key.with_suffix(".pub")
    made = public.read_text()
    public.unlink()
    # As copied through somebody's disk.
    key.chmod(0o644)
    assert host_keys.ensure_pair("fruits") == f"key {key}"
    assert public.read_text() == made
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_what_was_brought_and_is_no_key_is_refused(key: Path) -> None:
    key.parent.mkdir()
    key.write_text("no key\n")
    with pytest.raises(InputError, match="is no private key that OpenSSH takes"):
        host_keys.ensure_pair("fruits")
    assert not key.with_suffix(".pub").exists()


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
