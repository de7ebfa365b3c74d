"""The commands where people really sit: no root, no systemd, a home that can't be written, a proxy that opens TLS."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.cluster.operator import copy_checkout
from tests.doubles import opening_proxy
from tests.sandbox import laptop
from tests.sandbox.images.laptop import PERSON, PERSON_ID
from tests.sandbox.laptop import PROXY_PORT, Laptop

FOLDER = "srv/My Projects/it's 100% ü"
SETUP_SECONDS = 600


# Each takes two minutes; the hosts' tests themselves run on Debian 12.
SUITES = os.environ.get("ORCHARD_LAPTOPS", "trixie").split()


@pytest.fixture(scope="module", params=SUITES)
def there(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Laptop, list[str]]]:
    """A fresh laptop with a checkout, and the hosts that its proxy was asked for."""
    scratch = tmp_path_factory.mktemp("laptop")
    authority = opening_proxy.Authority(tmp_path_factory.mktemp("company"))
    told = {"HTTPS_PROXY": f"http://127.0.0.1:{PROXY_PORT}", "PIP_CERT": "/etc/company.pem"}
    with laptop.booted(request.param, scratch, told) as (made, listener):
        (made.root / "etc/company.pem").write_bytes(authority.file.read_bytes())
        folder = made.root / FOLDER
        folder.mkdir(parents=True)
        copy_checkout(folder)
        (folder / ".venv").unlink()
        owner = (made.root / "home" / PERSON).stat()
        assert owner.st_mode & 0o222 == 0
        subprocess.run(["chown", "--recursive", f"{PERSON_ID}:{PERSON_ID}", made.root / "srv"], check=True)
        with opening_proxy.serving(listener, authority) as asked:
            yield made, asked


def test_the_demo_runs_in_a_fresh_checkout(there: tuple[Laptop, list[str]]) -> None:
    made, asked = there
    done = made.run(f"/{FOLDER}", "make", "demo", "ARGS=--components 20 --limit 60", seconds=SETUP_SECONDS)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    report = re.search(rf"^Report: (/{re.escape(FOLDER)}/runs/.*/report\.html)$", done.stdout, re.MULTILINE)
    assert report, done.stdout
    assert (made.root / report[1].lstrip("/")).read_text().startswith("<!doctype html>")
    # There is no other way: packages came by the proxy, and took its certificates.
    assert asked


def test_the_doctor_names_what_is_not_ready_there_and_nothing_else(there: tuple[Laptop, list[str]]) -> None:
    made, _ = there
    done = made.run(f"/{FOLDER}", "make", "doctor", seconds=120)
    assert done.returncode == 2
    lines = dict(re.findall(r"^  (\S+(?: \S+)*) {2,}(.*)$", done.stdout, re.MULTILINE))
    failed = {name for name, said in lines.items() if said.startswith("NOT READY")}
    assert failed == {"home", "tools", "network", "credentials", "address"}, done.stdout
    assert re.search(r"^21\.", lines["java"])
    assert "terraform is not installed: " in lines["tools"]
    assert "ssh does not: where port 22 is closed to you" in lines["proxy"]
