"""Regions by name, and which of them are in the European Union."""

import pytest

from scripts.findings import region


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("eu-west-1", "eu-west-1, Europe (Ireland): in the European Union."),
        ("eu-central-1", "eu-central-1, Europe (Frankfurt): in the European Union."),
        # In Europe, and not in the Union.
        ("eu-west-2", "eu-west-2, Europe (London): not in the European Union."),
        ("eu-central-2", "eu-central-2, Europe (Zurich): not in the European Union."),
        ("us-east-1", "us-east-1, US East (N. Virginia): not in the European Union."),
        ("xx-new-1", "xx-new-1: not in the European Union."),
    ],
)
def test_a_region_is_called_by_its_name_and_europe_is_not_the_union(name: str, said: str) -> None:
    assert region.sentence(name) == said
