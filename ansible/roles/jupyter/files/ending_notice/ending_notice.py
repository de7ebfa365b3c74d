"""Part of JupyterLab's server: tells a page what the cluster's keeper says of the end that is near."""

import json
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web
from traitlets import Unicode
from traitlets.config import Configurable

# The keeper writes some hundred bytes.
MOST_BYTES = 16 * 1024


def warning_in(file: Path) -> str | None:
    """The sentence in the keeper's file; None where there is no file, or one that no keeper writes."""
    try:
        # The server answers nobody while it waits for a pipe.
        if not file.is_file():
            return None
        with file.open("rb") as opened:
            warning = json.loads(opened.read(MOST_BYTES))["warning"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return warning if isinstance(warning, str) and warning else None


class EndingNotice(Configurable):
    """What the server's settings say about it."""

    file = Unicode(help="Where the keeper says when the cluster stops.").tag(config=True)


class EndingHandler(APIHandler):
    """Answers the pages, which ask as long as they are open."""

    # A page that asks is nobody at work.
    _track_activity = False

    def initialize(self, file: Path) -> None:
        self.file = file

    @web.authenticated
    def get(self) -> None:
        self.finish({"warning": warning_in(self.file)})


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "ending_notice"}]


def _load_jupyter_server_extension(server: Any) -> None:
    address = url_path_join(server.web_app.settings["base_url"], "orchard", "ending")
    file = Path(EndingNotice(parent=server).file)
    server.web_app.add_handlers(".*$", [(address, EndingHandler, {"file": file})])
