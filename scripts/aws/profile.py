"""The person's file of AWS credentials, which AWS's own tools read, too."""

import os
import re
from pathlib import Path


def credentials_file() -> Path:
    """Where AWS's tools look for keys."""
    return Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()


def profile_name(cluster_name: str) -> str:
    """The profile that holds the key of the cluster's user."""
    return f"orchard-{cluster_name}"


def write_profile(file: Path, profile: str, lines: dict[str, str]) -> None:
    """Have the profile say just this; everything else in the file stays. Only its owner may read it."""
    section = "".join(f"{name} = {value}\n" for name, value in lines.items())
    _replace(file, f"{_without(file, profile).rstrip()}\n\n[{profile}]\n{section}".lstrip())


def remove_profile(file: Path, profile: str) -> bool:
    """Take the profile out of the file, and leave all else; says whether it was there."""
    others = _without(file, profile)
    if not file.exists() or others == file.read_text():
        return False
    _replace(file, others)
    return True


def _without(file: Path, profile: str) -> str:
    text = file.read_text() if file.exists() else ""
    return re.sub(rf"^\[{re.escape(profile)}\]\s*$.*?(?=^\[|\Z)", "", text, flags=re.MULTILINE | re.DOTALL)


def _replace(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    new.replace(file)
