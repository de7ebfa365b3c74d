"""What is asked of the account before anything is made in it: whether it may have what the settings ask for."""

from collections.abc import Mapping
from typing import Any

from scripts import console
from scripts.aws import account, quotas


def check(settings: Mapping[str, Any]) -> None:
    """Refuse what cannot become a cluster, in one sentence, and say what could not be looked at.

    `settings` are a plan's variables, or the answers of `init`. Raises InputError or AwsError with what to do.
    """
    account.check(settings)
    for answer in quotas.check(settings):
        if not answer.is_whole:
            console.say(f"Quota: {answer.text}.")


def say(settings: Mapping[str, Any]) -> None:
    """The same, with a line for what was looked at."""
    account.check(settings)
    console.say(f"  {'quota':<14}{'; '.join(answer.text for answer in quotas.check(settings))}")
