"""The file of AWS credentials, which other programs read, too."""

import stat
from pathlib import Path

from scripts.access import profile


def test_a_profile_is_replaced_and_the_persons_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "aws" / "credentials"
    file.parent.mkdir()
    file.write_text("[default]\naws_access_key_id = MINE\n# a note\n\n[orchard-fruits]\nold = 1\n\n[work]\nx = y\n")
    profile.write_profile(file, "orchard-fruits", {"aws_access_key_id": "NEW"})
    assert file.read_text() == (
        "[default]\naws_access_key_id = MINE\n# a note\n\n[work]\nx = y\n\n[orchard-fruits]\naws_access_key_id = NEW\n"
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_profile_is_taken_out_and_the_persons_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    assert not profile.remove_profile(file, "orchard-fruits")
    assert not file.exists()
    file.write_text("[default]\nx = MINE\n\n[orchard-fruits]\nold = 1\n\n[orchard-fruits-2]\nx = y\n")
    assert profile.remove_profile(file, "orchard-fruits")
    assert file.read_text() == "[default]\nx = MINE\n\n[orchard-fruits-2]\nx = y\n"
    assert not profile.remove_profile(file, "orchard-fruits")


def test_notes_before_the_next_profile_and_a_linked_file_stay(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles"
    real.write_text("[orchard-fruits]\nold = 1\n# within\nother = 2\n\n# of work\n[work]\nx = y\n")
    link = tmp_path / "credentials"
    link.symlink_to(real)
    assert profile.remove_profile(link, "orchard-fruits")
    assert link.is_symlink()
    assert real.read_text() == "\n# of work\n[work]\nx = y\n"
