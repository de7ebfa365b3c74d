"""The person's file of AWS credentials, which AWS's own tools read, too."""

import os
import re
from pathlib import Path


def credentials_file() -> Path:
    """Where AWS's tools look for keys."""
    return Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()


def write_profile(file: Path, profile: str, lines: dict[str, str]) -> None:
    """Have the profile say just this; everything else in the file stays. Only its owner may read it."""
    text = file.read_text() if file.exists() else ""
    others = re.sub(rf"^\[{re.escape(profile)}\]\s*$.*?(?=^\[|\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
    section = "".join(f"{name} = {value}\n" for name, value in lines.items())
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(f"{others.rstrip()}\n\n[{profile}]\n{section}".lstrip())
    new.replace(file)
