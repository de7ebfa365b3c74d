"""`make evidence`: one page for a jury or a data protection officer, each line read from AWS's API at that moment."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts import console
from scripts.aws import clients
from scripts.aws.bucket import Bucket
from scripts.aws.clients import UNANSWERED
from scripts.errors import NoClusterError, OperatorError
from scripts.findings import bucket as bucket_findings
from scripts.findings import hosts as host_findings
from scripts.findings import region, rights
from scripts.findings.finding import FACT, GONE, GOOD, NOT_GOOD, ODD, UNKNOWN, Asked, Finding
from scripts.handin import pages
from scripts.handin.drawing import Drawing, drawing_of
from scripts.handin.run_facts import RunFacts, Speed, of_its_kind, speeds
from scripts.handin.subject import Subject, run_of, subject
from scripts.runs import table
from scripts.runs.table import Row

PAGE = "evidence.html"
TEMPLATE = "evidence.html.j2"
VERDICTS = (GOOD, NOT_GOOD, UNKNOWN, GONE, FACT)


@dataclass(frozen=True)
class Run:
    """The run of the page: its record, its line of `make runs`, and how others of its kind went."""

    facts: RunFacts
    row: Row
    speeds: tuple[Speed, ...]


def evidence(run_id: str, into: str) -> None:
    """Write `into`/RUN/evidence.html on a run (empty: the one that ended last) and say what is not as it should be."""
    about = subject()
    account = clients.account(about.region)
    run = _run(about.bucket, run_id)
    if rehearsal := clients.rehearsal(about.region, "s3"):
        console.say(rehearsal)
    began = datetime.now(UTC)
    with console.phase("Evidence") as under_way:
        sections = read(about, run.facts.run_id if run else None)
        counted = count(sections)
        under_way.result = ", ".join(f"{number} {verdict}" for verdict, number in counted.items() if number)
    page = pages.render(
        TEMPLATE,
        subject=about,
        account=account,
        region=region.in_words(about.region),
        rehearsal=rehearsal,
        at=began,
        sections=sections,
        counted=counted,
        drawing=_drawing(about),
        run=run,
    )
    _warn_of(sections)
    folder = Path(into).expanduser().absolute() / (run.facts.run_id if run else about.name)
    console.say(f"Evidence         {pages.write(folder, PAGE, page)}")


def read(about: Subject, run_id: str | None) -> dict[str, list[Finding]]:
    """Every line by its section, each asked of AWS now."""
    in_bucket, asked = Asked(about.bucket.region), Asked(about.region)
    of_run = [bucket_findings.of_run(in_bucket, about.bucket, run_id)] if run_id else []
    return {
        "The data": bucket_findings.of_bucket(in_bucket, about.bucket) + of_run,
        "The hosts": host_findings.of_hosts(asked, about.name),
        "Who may do what": [
            *rights.of_rights(asked, about.name, about.bucket.name),
            rights.who_asks(asked),
        ],
    }


def count(sections: dict[str, list[Finding]]) -> dict[str, int]:
    """How many lines have each verdict."""
    found = Counter(finding.answer.verdict for lines in sections.values() for finding in lines)
    return {verdict: found[verdict] for verdict in VERDICTS}


def _warn_of(sections: dict[str, list[Finding]]) -> None:
    """Say what is not as it should be, and what could not be read."""
    for finding in (finding for lines in sections.values() for finding in lines):
        if finding.answer.verdict in (NOT_GOOD, UNKNOWN):
            console.warn(console.one_line(f"{finding.answer.verdict}: {finding.question} {finding.answer.text}"))


def _run(bucket: Bucket, run_id: str) -> Run | None:
    """The run; None where none was named and none has ended yet."""
    try:
        facts = run_of(bucket, run_id)
    except NoClusterError:
        if run_id:
            raise
        return None
    [row] = table.rows(bucket, [], [facts.run_id])
    return Run(facts, row, tuple(speeds(of_its_kind(bucket, facts))))


def _drawing(about: Subject) -> Drawing | None:
    """The drawing; None where Terraform has no whole cluster."""
    if about.cluster is None:
        return None
    return drawing_of(about.cluster, region.in_words(about.region), _open_to(about))


def _open_to(about: Subject) -> Sequence[str]:
    try:
        return host_findings.open_to(Asked(about.region), about.name)
    except (*UNANSWERED, *ODD, OperatorError):
        # The page's own line has said why.
        return ("not known",)
