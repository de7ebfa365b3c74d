"""The person's file of AWS credentials, which AWS's own tools read, too."""

import os
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
    """The file's text without the profile; comments before the next one are that one's, and stay."""
    kept: list[str] = []
    section: list[str] | None = None
    for line in [*(file.read_text() if file.exists() else "").splitlines(keepends=True), "["]:
        if line.startswith("[") and section is not None:
            kept += _comments_at_the_end(section)
            section = None
        if line.strip() == f"[{profile}]":
            section = []
        elif section is not None:
            section.append(line)
        else:
            kept.append(line)
    return "".join(kept[:-1])


def _comments_at_the_end(lines: list[str]) -> list[str]:
    settings = [number for number, line in enumerate(lines) if line.strip() and not line.startswith(("#", ";"))]
    rest = lines[settings[-1] + 1 :] if settings else lines
    return rest if any(line.strip() for line in rest) else []


def _replace(file: Path, text: str) -> None:
    file = file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    new.replace(file)
