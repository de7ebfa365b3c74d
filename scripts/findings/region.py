"""Which regions are in the European Union: those that Terraform allows by itself; their names are botocore's."""

import botocore.session

from scripts import tfvars


def in_words(region: str) -> str:
    """A region as people know it: eu-west-1, Europe (Ireland)."""
    for partition in botocore.session.get_session().get_data("endpoints")["partitions"]:
        if found := partition["regions"].get(region):
            return f"{region}, {found['description']}"
    return region


def is_in_eu(region: str) -> bool:
    """Whether it is in the EU. Europe (London) and Europe (Zurich) are not."""
    return region in (tfvars.default("allowed_regions") or [])


def sentence(region: str) -> str:
    """Where it is, and whether that is in the EU."""
    return f"{in_words(region)}: {'in' if is_in_eu(region) else 'not in'} the European Union."
