"""Pages made from a template: what others have named is escaped and shown, and the file is its owner's alone."""

import os
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from scripts import console
from scripts.errors import InputError
from scripts.money.amounts import money
from scripts.runs.progress import span


def render(template: str, **values: Any) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("scripts.handin", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"span": span, "money": money, "block": _block, "words": _words}
    page: str = environment.get_template(template).render(**values)
    return page


def write(folder: Path, name: str, page: str) -> Path:
    """Write it whole, readable by its owner alone from its first byte. Raises InputError where that cannot be."""
    file, new = folder / name, folder / f".{name}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(page)
        new.replace(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written ({error.strerror}): name another folder with FOLDER=.") from None
    return file


def _shown(value: Any) -> Any:
    """What would be obeyed, or turn the direction of a line, is shown."""
    return console.one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _words(text: str) -> Markup:
    """A sentence whose `commands` are set as such."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(console.one_line(text)))))  # noqa: S704  escaped


def _block(text: str) -> Markup:
    """Text of several lines, which stay lines."""
    return escape(console.visible(text))
