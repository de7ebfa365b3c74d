"""Who AWS takes this person for, and where."""

from scripts.access import login
from scripts.aws import clients


def of(region: str) -> str:
    """The account, and how its credentials came here. Raises MissingError with how to log in."""
    account = clients.account(region)
    found = login.session().get_credentials()
    return f"account {account}, by {found.method}" if found else f"account {account}"
