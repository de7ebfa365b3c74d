"""The person's checkout, cluster and account are those of lifecycle's tests."""

from tests.unit.scripts.lifecycle.conftest import (  # noqa: F401  fixtures
    checkout,
    cluster,
    hosts,
    instances,
    settings_checked,
    terraform,
)
