"""An AWS in this process (moto), for whatever asks it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.aws import clients
from tests.doubles import aws as double_of_aws

REGION = "eu-west-1"


@pytest.fixture(scope="package")
def mocked_aws() -> Iterator[None]:
    """One AWS in this process for all tests of this folder: to make one takes a second."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        # moto reads it when it is first imported; its own list of images takes seconds to load.
        monkeypatch.setenv("MOTO_AMIS_PATH", str(Path(double_of_aws.__file__).with_name("debian_amis.json")))
        from moto import mock_aws

        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        clients.forget()
        with mock_aws():
            yield
        clients.forget()


@pytest.fixture
def aws(mocked_aws: None) -> Callable[[str], Any]:
    """An empty account of AWS's; gives its clients by the service's name."""
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()
    return lambda service: clients.client(service, REGION)
