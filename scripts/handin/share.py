"""`make share`: one page of links that expire, to what a run came to. Nothing becomes public."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts import console
from scripts.access.errors import aws_errors_as_sentences
from scripts.access.profile import profile_name
from scripts.aws import clients
from scripts.aws.bucket import RECORD, RUNS, Bucket
from scripts.errors import InputError
from scripts.handin import links, pages
from scripts.handin.links import Signer
from scripts.handin.pictures import some_of
from scripts.handin.run_facts import RunFacts
from scripts.handin.subject import Subject, run_of, subject
from scripts.runs.results import CSV_PARTS, REPORT

SHARED = "shared"
PAGE = "share.html"
TEMPLATE = "share.html.j2"
CSV, ERRORS = "pca.csv", "errors.parquet"
COMPONENTS, MODEL = "pca/", "pca_model/"
MOST_PARTS = 500
# What the job calls a part or a file of the model: another name was given by somebody else.
OWN_NAME = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*/)*[A-Za-z0-9_][A-Za-z0-9._-]*")
TITLES = {
    REPORT: "Report, one page with map, classes and times",
    CSV: "Components as CSV, one row a picture",
    RECORD: "Record: settings, counts, seconds, versions",
    ERRORS: "Pictures that could not be read, Parquet",
}


@dataclass(frozen=True)
class Link:
    """A link of the page; `title` is what it leads to."""

    title: str
    address: str


def share(run_id: str, hours: str, into: str) -> None:
    """Put the page into the bucket and beside the results, and print the link to it.

    Raises InputError for HOURS that are none or a run that is not whole, NoClusterError without such a run.
    """
    wanted = links.hours_of(hours)
    about = subject()
    run = run_of(about.bucket, run_id)
    if not run.is_whole:
        raise InputError(
            f"Run {run.run_id} is not whole ({console.one_line(run.status)}), and only whole runs are shared: "
            f"`make run RUN={run.run_id}` goes on with it."
        )
    with console.phase("Links") as under_way:
        signer = links.signer(about.bucket, wanted)
        keys = keys_of(about.bucket, run.run_id)
        links.check(signer.link(f"{RUNS}/{run.run_id}/{RECORD}"))
        page = _page(about, run, signer, keys)
        file = pages.write(Path(into).expanduser().absolute() / run.run_id, PAGE, page)
        address = _put_or_leave_nothing(signer, run.run_id, page, file)
        under_way.result = f"work until {moment(signer.until)}, and were refused without their signature"
    console.say(f"Page             {file}")
    console.say(f"Link to it       {address}")
    for line in [
        *until_when(about, run, signer),
        "Who has the link has the results: give it to whom they are meant for.",
    ]:
        console.say(line)


def keys_of(bucket: Bucket, run_id: str) -> list[str]:
    """What the run left, named as the job names it, without the folder."""
    prefix = f"{RUNS}/{run_id}/"
    names = (RECORD, REPORT, CSV, ERRORS, CSV_PARTS, COMPONENTS, MODEL)
    below = [prefix + name for name in names]
    found = [key.removeprefix(prefix) for part in below for key in bucket.keys(part)]
    return [
        key
        for key in found
        if OWN_NAME.fullmatch(key) and (key in TITLES or key.startswith((CSV_PARTS, COMPONENTS, MODEL)))
    ]


def until_when(about: Subject, run: RunFacts, signer: Signer) -> list[str]:
    """Until when the links work, what ends them earlier, and who could make it longer."""
    said = [f"The links work until {moment(signer.until)}, signed by {signer.arn}."]
    if signer.is_cut:
        said[0] = f"{said[0][:-1]}, whose credentials end then: no link outlives those that signed it."
    elif signer.may_end_earlier:
        said.append(
            "These credentials are temporary and do not say when they end: the links end with them, if that is earlier."
        )
    command = f"make share RUN={run.run_id} HOURS={links.LONGEST_HOURS:.0f}"
    others = "whoever else may read and write the bucket"
    longer = f"this identity, or {others}, by `{command}` (seven days at most each time)"
    if about.cluster and (signer.is_cut or signer.may_end_earlier):
        profile = profile_name(about.name)
        longer += f"; with a key that does not end: `make credentials`, then `AWS_PROFILE={profile} {command}`"
    said.append(f"Longer can make it: {longer}.")
    said.append(
        "Earlier they end when the key that signed them is deleted (that of the cluster's own user is by "
        "`make credentials` and `make down`), or the run is."
    )
    return said


def moment(at: datetime) -> str:
    """A time for people anywhere."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _page(about: Subject, run: RunFacts, signer: Signer, keys: Sequence[str]) -> str:
    def link(key: str, title: str) -> Link:
        return Link(title, signer.link(f"{RUNS}/{run.run_id}/{key}", f"{run.run_id}-{key.replace('/', '-')}"))

    parts = [key for key in keys if key.startswith(COMPONENTS)]
    csv_parts = [key for key in keys if key.startswith(CSV_PARTS)]
    return pages.render(
        TEMPLATE,
        run=run,
        main=[link(key, title) for key, title in TITLES.items() if key in keys],
        parts=[link(key, key) for key in parts[:MOST_PARTS]],
        more_parts=len(parts[MOST_PARTS:]),
        csv_parts=[link(key, key) for key in csv_parts[:MOST_PARTS]],
        more_csv_parts=len(csv_parts[MOST_PARTS:]),
        model=[link(key, key) for key in keys if key.startswith(MODEL)],
        pictures=[Link(one.label, signer.link(one.key)) for one in some_of(about.bucket, run)],
        until=until_when(about, run, signer),
        ends=moment(signer.until),
        rehearsal=clients.rehearsal(about.bucket.region, "s3"),
        made=moment(datetime.now(UTC)),
    )


def _put_or_leave_nothing(signer: Signer, run_id: str, page: str, file: Path) -> str:
    try:
        return _put(signer, run_id, page)
    except BaseException:
        # Its links would work, and nobody was told of them.
        file.unlink(missing_ok=True)
        raise


def _put(signer: Signer, run_id: str, page: str) -> str:
    """The page's own place in the bucket, as private as all of it; gives the link."""
    bucket = signer.bucket
    key = f"{SHARED}/{run_id}/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.html"
    with aws_errors_as_sentences(f"write {bucket.uri(key)}"):
        signer.client.put_object(
            Bucket=bucket.name,
            Key=key,
            Body=page.encode(),
            ContentType="text/html; charset=utf-8",
            CacheControl="private, no-store",
        )
    return signer.link(key, f"{run_id}.html")
