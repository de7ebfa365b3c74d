"""boto3 clients of the cluster's region, with the person's own credentials. AWS_ENDPOINT_URL is honoured by boto3."""

from functools import cache
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from scripts.access import certificates, login
from scripts.access.errors import aws_errors_as_sentences

CONFIG = Config(retries={"max_attempts": 6, "mode": "standard"}, connect_timeout=10, read_timeout=60)
AMAZONS = ("amazonaws.com", "amazonaws.com.cn", "api.aws")
# What boto3 raises where AWS, or whoever answers in its place, has no answer of use.
UNANSWERED = (ClientError, BotoCoreError, ResponseParserError)
# For what can be done without.
IN_A_HURRY = Config(connect_timeout=3, read_timeout=8, retries={"max_attempts": 1, "mode": "standard"})


@cache
def client(service: str, region: str, config: Config = CONFIG) -> Any:
    """A client; one for each service and region."""
    with login.making, aws_errors_as_sentences(f"let {service} be used"):
        return login.session().client(service, region_name=region, config=config, verify=certificates.bundle())


def forget() -> None:
    """Have the login and its clients made anew: somebody else is asked, or another asks."""
    client.cache_clear()
    login.session.cache_clear()


def account(region: str) -> str:
    """Number of the account that the credentials belong to. Raises MissingError when AWS does not take them."""
    with aws_errors_as_sentences("say whose credentials these are"):
        return str(client("sts", region).get_caller_identity()["Account"])


def rehearsal(region: str, service: str = "ec2") -> str | None:
    """The sentence that says so where something else than Amazon answers for AWS; None for the real one."""
    endpoint = str(client(service, region).meta.endpoint_url)
    host = urlsplit(endpoint).hostname or ""
    if any(host == domain or host.endswith(f".{domain}") for domain in AMAZONS):
        return None
    return f"REHEARSAL: {endpoint} plays AWS. No account is touched, nothing is paid for."
