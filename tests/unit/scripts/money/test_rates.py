"""The table of rates: each has a kind and a source, and is what its own formula says."""

import math
import tomllib

import pytest

from scripts.money import rates

TABLE = tomllib.loads(rates.TABLE.read_text())
FAMILIES = ("c6i", "c7i", "c7a", "c8i", "c8a", "c6g", "c7g", "c8g")
told = [(f"{family}.{size}", p) for family in FAMILIES for size in TABLE["sizes"] for p in rates.PRECISIONS]


def test_every_family_that_is_worth_it_is_there_from_large_to_8xlarge() -> None:
    assert set(rates.types()) == {name for name, _ in told}
    assert list(TABLE["sizes"]) == ["large", "xlarge", "2xlarge", "4xlarge", "8xlarge"]


def test_intels_have_two_threads_a_core_and_all_others_one() -> None:
    assert {name: rates.cores(f"{name}.2xlarge") for name in FAMILIES} == {
        "c6i": 4, "c7i": 4, "c8i": 4, "c7a": 8, "c8a": 8, "c6g": 8, "c7g": 8, "c8g": 8,
    }  # fmt: skip
    assert rates.cores("c7a.large") == 2
    assert rates.cores("m5.large") is None
    assert rates.cores("nonsense") is None


def test_the_table_is_dated_and_every_rate_names_a_source_and_a_processor() -> None:
    assert TABLE["copied_on"] > "2026-01-01"
    for family in TABLE["families"].values():
        for rate in (family[precision] for precision in rates.PRECISIONS if precision in family):
            assert rate["kind"] in (rates.PUBLISHED, rates.DERIVED)
            assert TABLE["sources"][rate["source"]]
            assert rate["of"]
            # What another processor's rate is made of is not published.
            assert rate["kind"] == rates.DERIVED or "ghz" not in rate


def test_a_rate_is_what_the_tables_own_formula_says() -> None:
    # Two Xeon Platinum 8380 of 40 cores do 6,891.94 a second; four such cores, with decoding and the job's share.
    expected = 4 * 0.85 / (80 / 6891.94 + 1 / 1279)
    found = rates.of_type("c6i.2xlarge", "f32")
    assert found is not None
    assert found.per_second == pytest.approx(expected)
    assert (found.kind, found.processor) == ("published", "by two Xeon Platinum 8380")
    by_clocks = rates.of_type("c8a.xlarge", "bf16")
    assert by_clocks is not None
    assert by_clocks.per_second == pytest.approx(4 * 0.85 / (1 / (475 / 2 * 4.5 / 3.7) + 1 / 1279))
    assert by_clocks.processor == "by an AMD EPYC by the clocks (4.5 to 3.7 GHz)"


@pytest.mark.parametrize(("name", "precision"), told)
def test_a_type_has_a_rate_that_grows_with_its_cores_or_none(name: str, precision: str) -> None:
    found, of_two = rates.of_type(name, precision), rates.of_type(f"{name.partition('.')[0]}.large", precision)
    assert (found is None) == (of_two is None)
    if found and of_two:
        ratio = (rates.cores(name) or 0) / (rates.cores(f"{name.partition('.')[0]}.large") or 1)
        assert math.isclose(found.per_second, of_two.per_second * ratio)


def test_nobody_has_measured_graviton_and_c6i_has_no_bf16() -> None:
    assert rates.without_rate() == ["c6g", "c7g", "c8g"]
    assert rates.of_type("c7g.2xlarge", "f32") is None
    assert rates.of_type("c6i.2xlarge", "bf16") is None
    assert not rates.has_precision("c6i.2xlarge", "bf16")
    assert rates.has_precision("c7a.2xlarge", "bf16")
    assert rates.has_precision("m5.large", "f32")


def test_how_it_is_reckoned_is_one_sentence_with_the_tables_own_numbers() -> None:
    assert rates.how().startswith("Reckoned as cores * 0.85 / (1 / network + 1 / 1,279), the network's rate a core by")
