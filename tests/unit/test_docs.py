"""What README and docs say is what there is: commands, links, exit codes, sizes, prices, settings."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest

from docs import scale, settings
from pipeline import errors as job_errors
from scripts import errors as operator_errors
from scripts import tfvars
from scripts.errors import OperatorError
from scripts.money import prices, rates
from scripts.money.bounds import AWS_LATER_HOURS
from scripts.runs.submission import SIZES

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
MADE = ROOT / "docs" / "settings.md"
HOURS_IN_A_MONTH = 730
RATED = [f"{family}.2xlarge" for family in ("c6i", "c7i", "c8i", "c7a", "c8a")]

# What stands in a page's sentence for what the program puts there.
EXAMPLES = re.compile(r"…|\bmake up\b|\(.*?\)|\bmaster at\b|\binstance i-|\bfruits\b|\bworker-\d|\d+")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def commands_in(page: Path) -> set[str]:
    """The targets that a page calls: `make up`, or a line of commands that holds one."""
    code = re.findall(r"`([^`\n]+)`|^ {4}(.+)$", page.read_text(), re.MULTILINE)
    return {target for words in code for target in re.findall(r"(?:^|&& )make ([a-z][a-z0-9-]*)", words[0] or words[1])}


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may end in, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pieces_of_strings(file: Path) -> list[str]:
    """The program's strings, each f-string without what is put into it."""
    nodes = ast.walk(ast.parse(file.read_text()))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def quotes(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_the_readme_is_read_in_one_go() -> None:
    assert len(README.read_text().splitlines()) <= 120


def test_every_command_on_a_page_is_in_the_menu_and_every_one_of_the_menu_on_a_page() -> None:
    menu = set(re.findall(r"^([a-z0-9-]+):.*?## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    by_hand = set().union(*(commands_in(page) for page in PAGES if page != MADE))
    assert by_hand - menu == set()
    assert menu - by_hand == {"help"}, "`make` alone prints the menu"


@each_page
def test_what_a_page_says_to_type_can_be_pasted_into_any_shell(page: Path) -> None:
    """zsh, macOS's own, takes a # at its prompt for a word: make would look for a target of that name."""
    assert re.findall(r"^    \S.* # .*$", page.read_text(), re.MULTILINE) == []


@each_page
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    for link in (link for link in links if "://" not in link):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@each_page
def test_no_page_names_a_folder_of_somebodys_machine(page: Path) -> None:
    assert re.findall(r"(?<![\w.~-])/(?:home|root|Users|work|tmp)\b\S*", page.read_text()) == []


def test_every_page_is_in_the_readme_and_in_the_index() -> None:
    names = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\(docs/([\w-]+\.md)\)", README.read_text())) == names
    assert set(re.findall(r"\(([\w-]+\.md)\)", text_of("README.md"))) == names


def test_the_exit_codes_are_those_of_the_errors() -> None:
    rows = re.findall(r"^\| (\d+) \| (job|operator|both) \|", text_of("troubleshooting.md"), re.MULTILINE)
    job = {int(code) for code, side in rows if side in ("job", "both")}
    operator = {int(code) for code, side in rows if side in ("operator", "both")}
    kinds = [
        kind for kind in vars(operator_errors).values() if isinstance(kind, type) and issubclass(kind, OperatorError)
    ]
    assert job == set(job_errors.ExitCode)
    assert operator == {0, *(kind.exit_code for kind in kinds)}


def test_no_other_page_tells_exit_codes_that_the_table_does_not_have() -> None:
    table = set(re.findall(r"^\| (\d+) \|", text_of("troubleshooting.md"), re.MULTILINE))
    mentioned = {code for page in PAGES for code in re.findall(r"exit codes? (\d+)", page.read_text())}
    assert mentioned <= table


def test_the_sentences_are_those_that_are_said() -> None:
    files = [file for side in ("scripts", "pipeline", "ansible/roles") for file in (ROOT / side).rglob("*.py")]
    rules = [file.read_text() for file in (ROOT / "terraform").glob("*.tf")]
    said = "\n".join([*(piece for file in files for piece in pieces_of_strings(file)), *rules])
    section = text_of("troubleshooting.md").partition("## Sentences")[2].partition("\n## ")[0]
    sentences = [quoted for row in re.findall(r"^\| (`.+?`) \| ", section, re.MULTILINE) for quoted in quotes(row)]
    assert len(sentences) > 10
    for sentence in sentences:
        fixed = [part.strip() for part in EXAMPLES.split(sentence) if len(part.split()) > 1]
        assert fixed, sentence
        assert [part for part in fixed if part not in said] == [], sentence


def test_the_sizes_are_those_that_run_takes() -> None:
    rows = re.findall(r"^\| (\w+) \| (?:`([^`]+)`.*|none) \|$", text_of("pictures-and-runs.md"), re.MULTILINE)
    assert {name: tuple(shlex.split(options)) for name, options in rows if name in SIZES} == SIZES


def test_the_architecture_has_every_room_and_every_role() -> None:
    page = text_of("architecture.md")
    rooms = {
        str(file.parent.relative_to(ROOT))
        for side in ("pipeline", "scripts")
        for file in ROOT.glob(f"{side}/*/__init__.py")
    }
    roles = {folder.name for folder in (ROOT / "ansible" / "roles").iterdir()}
    rows = set(re.findall(r"^\| `([\w/]+?)/?` \|", page, re.MULTILINE))
    assert rooms | roles <= rows
    assert {row for row in rows if row not in roles and not (ROOT / row).exists()} == set()


def test_the_workflow_runs_every_stage_of_ci() -> None:
    stages = set(re.findall(r"\bmake ([\w-]+)", (ROOT / ".ci" / "run").read_text()))
    assert stages
    workflow = set(
        re.findall(r"\bmake ([\w-]+) PYTHON=python", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    )
    # The audit needs PyPI's own data, which .ci/run may be without.
    assert workflow == stages - {"setup"} | {"demo", "audit"}


def test_the_page_of_settings_is_current() -> None:
    assert MADE.read_text() == settings.page(), "make docs writes it again"


def test_the_page_of_scale_is_made_of_what_was_measured_and_of_the_prices_as_they_are() -> None:
    assert text_of("scale.md") == scale.page(), "make docs writes it again"


@pytest.mark.parametrize("page", ["security.md", "reliability.md"])
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", text_of(page)))
    there = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    assert len(named) > 15
    assert named - there == set()


def test_every_fault_of_the_page_on_reliability_has_its_five_answers_and_a_test() -> None:
    rows = [line.strip("|").split(" | ") for line in text_of("reliability.md").splitlines() if line.startswith("| ")]
    faults = [row for row in rows if row[0].strip() not in ("fault", "---")]
    assert len(faults) > 15
    for row in faults:
        assert len(row) == 5, row
        assert all(cell.strip() for cell in row), row
        assert re.fullmatch(r" *`test_\w+`(, `test_\w+`)* *", row[-1]), row


def test_the_prices_are_the_tables() -> None:
    prices = json.loads((ROOT / "scripts" / "money" / "prices.json").read_text())
    here = prices["regions"][tfvars.default("region")]
    workers, gigabytes = tfvars.default("worker_count"), tfvars.default("root_volume_gb")
    master_type, worker_type = tfvars.default("master_instance_type"), tfvars.default("worker_instance_types")[0]
    master, worker = here["instance_per_hour"][master_type], here["instance_per_hour"][worker_type]
    disk = gigabytes * here["gp3_per_gb_month"] / HOURS_IN_A_MONTH
    hour = master + workers * worker + (1 + workers) * (here["public_ipv4_per_hour"] + disk)
    page = text_of("cluster-and-cost.md")
    assert f"(instances copied on {prices['copied_on']})" in page
    assert f"us-east-1, copied on {prices['copied_on']} from a" in page
    assert f"| worker {worker_type} | {worker} an hour each | {workers * worker:.3f} |" in page
    assert f"**{hour:.3f}** ({24 * hour:.2f} a day)" in page
    assert f"{hour:.2f} USD an hour as set by default" in README.read_text()
    most, day = hour * (tfvars.default("max_age_hours") + AWS_LATER_HOURS), 24 * (1 + workers) * disk
    bound = f"at most {most:.2f} USD if you forget it; stopped,\n    its disks cost {day:.2f} USD a day."
    assert bound in page
    cloudwatch = prices["cloudwatch"]
    assert f"each metric costs up to {cloudwatch['metric_per_month']:.2f} a month" in page
    assert f"{cloudwatch['dashboard_per_month']:.2f}, each of two alarms {cloudwatch['alarm_per_month']:.2f};" in page
    assert f"for 100 GB: {100 * here['nat_per_gb']:.2f} in eu-west-1" in page
    types = sum(len(region["instance_per_hour"]) for region in prices["regions"].values())
    assert f"has {types} types' prices in {', '.join(list(prices['regions'])[:-1])} and us-east-1, copied on" in page


def test_the_table_of_machines_is_what_make_plan_reckons() -> None:
    known = json.loads(prices.TABLE.read_text())["regions"]["eu-west-1"]["instance_per_hour"]
    section = text_of("cluster-and-cost.md").partition("## Which machine")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (c\d\w\.2xlarge) \| .+? \| (\d+) \| (.+?) \| (\w+) \|$", section, re.MULTILINE)
    assert [name for name, *_ in rows] == RATED
    for name, cores, cells, kind in rows:
        expected = []
        for precision in rates.PRECISIONS:
            rate = rates.of_type(name, precision)
            assert rate is None or rate.kind == kind
            usd = rate and name in known and known[name] / 3600 / rate.per_second * 1e6
            expected += [f"{rate.per_second:,.0f}" if rate else "-", f"{usd:.2f}" if usd else "-"]
        assert (int(cores), cells.split(" | ")) == (rates.cores(name), expected)
