"""What so many pictures take and cost, here and on other types: the table as it is printed."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from scripts.errors import InputError
from scripts.money import choice, prices
from scripts.money.choice import Question
from scripts.money.measured import Measured

SETTINGS = {
    "region": "eu-west-1",
    "master_instance_type": "m6i.large",
    "worker_instance_type": "c6i.2xlarge",
    "worker_count": 2,
    "worker_spot": False,
    "root_volume_gb": 30,
}
MILLION = Question(1_000_000, "f32")
AT = datetime(2026, 11, 20, tzinfo=UTC)
# One worker's rate by its own run; such a type as m5 is in no table.
OWN = {
    ("c6i.2xlarge", "f32"): Measured("c6i.2xlarge", "f32", 400.0, 20_622, "full-1", AT),
    ("m6i.2xlarge", "f32"): Measured("m6i.2xlarge", "f32", 380.0, 20_622, "full-2", AT),
    ("c7g.2xlarge", "bf16"): Measured("c7g.2xlarge", "bf16", 500.0, 20_622, "full-3", AT),
}
PRINTED = """\
1,000,000 pictures at f32 on 2 c6i.2xlarge: about 31 min and 0.44 USD, and 0.40 USD for S3's GETs where each lies \
alone (549 pictures a second, published).
TYPE         CORES  PICTURES/S  USD A MILLION  RATE
c7a.large    2      215         0.14           derived
c7a.xlarge   4      430         0.14           derived
c7a.2xlarge  8      861         0.14           derived
c7a.4xlarge  16     1,722       0.14           derived
c7a.8xlarge  32     3,443       0.14           derived
c6i.large    1      69          0.37           published
c7i.large    1      72          0.37           published
c6i.xlarge   2      137         0.37           published
c7i.xlarge   2      144         0.37           published
c6i.2xlarge  4      274         0.37           published
c7i.2xlarge  4      289         0.37           published
c6i.4xlarge  8      549         0.37           published
c7i.4xlarge  8      577         0.37           published
c6i.8xlarge  16     1,098       0.37           published
c7i.8xlarge  16     1,155       0.37           published
c8i.large    1      87          -              derived
c8i.xlarge   2      173         -              derived
c8a.large    2      256         -              derived
c8i.2xlarge  4      347         -              derived
c8a.xlarge   4      513         -              derived
c8i.4xlarge  8      694         -              derived
c8a.2xlarge  8      1,025       -              derived
c8i.8xlarge  16     1,387       -              derived
c8a.4xlarge  16     2,050       -              derived
c8a.8xlarge  32     4,100       -              derived
One worker, on demand, without disk and address.
derived: c7a by an AMD EPYC, c8a by an AMD EPYC by the clocks (4.5 to 3.7 GHz): benchmarks/limit.md, 2026-11-24.
published: c6i by two Xeon Platinum 8380, c7i by two Xeon Platinum 8480+: OpenVINO's benchmark data of release 2024.3.
derived: c8i by two Xeon Platinum 8480+ by the clocks (3.9 to 3.2 GHz): OpenVINO's benchmark data of release 2024.3.
Not in the table: c6g, c7g, c8g (ARM), for nobody has measured them.
Reckoned as cores * 0.85 / (1 / network + 1 / 1,279), the network's rate a core by these, the rest by \
benchmarks/job.md (2026-11-21) and benchmarks/limit.md (2026-11-24). Pictures larger than Fruits-360's (100 x 100) \
take longer.
"""


@pytest.fixture(autouse=True)
def by_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices of prices.json, whatever AWS would say."""
    monkeypatch.setattr(prices, "_ask_api", lambda *_: None)
    monkeypatch.setattr(prices, "_kept", lambda: None)
    prices.of_instance.cache_clear()


def answered(question: Question = MILLION, known: choice.Known | None = None, **more: Any) -> list[str]:
    return choice.lines(SETTINGS | more, question, known or {}, 17.0)


def test_the_table_as_it_is_printed() -> None:
    assert answered() == PRINTED.splitlines()


def test_the_clusters_own_sums_are_its_rate_its_price_and_each_runs_beginning() -> None:
    # 2 workers at 400: 1,250 s and the 17 of any run; the whole cluster's price, as `make plan` says it.
    price = prices.of_settings(SETTINGS)
    assert price is not None
    assert answered(known=OWN)[0] == (
        f"1,000,000 pictures at f32 on 2 c6i.2xlarge: about 22 min and {price.per_hour * 1267 / 3600:.2f} USD, "
        "and 0.40 USD for S3's GETs where each lies alone (800 pictures a second, measured by run full-1, 2026-11-20)."
    )


def test_what_a_run_has_measured_comes_before_the_table_and_brings_types_that_are_not_in_it() -> None:
    rows = [line.split(maxsplit=4) for line in answered(known=OWN)]
    assert ["c6i.2xlarge", "4", "400", "0.25", "measured, run full-1, 2026-11-20"] in rows
    assert ["m6i.2xlarge", "-", "380", "0.31", "measured, run full-2, 2026-11-20"] in rows
    assert [row[0] for row in rows].index("m6i.2xlarge") < [row[0] for row in rows].index("c6i.large")


def test_at_bf16_types_without_it_are_left_out_and_the_cluster_as_set_is_said_to_have_none() -> None:
    said = answered(Question(1_000_000, "bf16"))
    assert said[0] == "1,000,000 pictures at bf16 on 2 c6i.2xlarge: not known, for its processor has none."
    assert not [line for line in said[1:] if line.startswith("c6i")]
    assert "c7a.2xlarge  8      1,362       0.09           derived" in said
    assert (
        "Not in the table: c6g, c7g, c8g (ARM), for nobody has measured them, and OpenVINO has no bf16 on them." in said
    )


def test_of_graviton_a_run_of_ones_own_tells() -> None:
    said = answered(Question(1_000_000, "bf16"), OWN)
    assert [
        line for line in said if line.startswith("c7g.2xlarge  8      500         0.17           measured, run full-3")
    ]
    assert [line for line in said if line.startswith("Not in the table: c6g, c8g (ARM)")]


def test_a_type_that_nobody_has_measured_and_a_cluster_without_workers_are_said() -> None:
    assert answered(worker_instance_type="m5.large")[0].endswith(
        "on 2 m5.large: not known, for nobody has measured it."
    )
    assert "on 0 c6i.2xlarge: never, for without a worker" in answered(worker_count=0)[0]


def test_where_a_price_is_not_known_the_minutes_are() -> None:
    said = answered(region="eu-south-2")
    assert "about 31 min, at a price that is not known (549 pictures a second, published)." in said[0]
    assert [line for line in said if line.startswith("c7a.2xlarge  8      861         -  ")]


@pytest.mark.parametrize("pictures", ["abc", "0", "1e6", "-5", "1.5", "1,000", "1_000", " 7", "9" * 40, "١٢", "0x10"])
def test_a_number_of_pictures_that_is_none_is_refused_in_a_sentence(pictures: str) -> None:
    with pytest.raises(
        InputError, match="PICTURES is a whole number from 1 to 100000000000, such as 1000000, not"
    ) as no:
        choice.asked(pictures, "")
    assert no.value.code == 2


def test_a_precision_that_is_none_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="PRECISION is f32 or bf16, not f16"):
        choice.asked("1000", "f16")
    with pytest.raises(InputError, match="int8 is not offered, for features drift"):
        choice.asked("1000", "int8")
    with pytest.raises(InputError, match="PRECISION says nothing without PICTURES"):
        choice.asked("", "bf16")


def test_without_either_nothing_is_asked_and_f32_is_the_default() -> None:
    assert choice.asked("", "") is None
    assert choice.asked("1000000", "") == MILLION
    assert choice.asked("1", "bf16") == Question(1, "bf16")


def test_photos_take_what_decoding_them_takes_and_no_run_of_small_pictures_tells_their_rate() -> None:
    def seconds(decode: str) -> float:
        question = choice.asked("10000", "", "12", decode)
        assert question
        said = choice.lines(SETTINGS, question, OWN, 0)[0]
        assert f"10,000 photos of 12 megapixels, decoded {decode}, at f32 on 2 c6i.2xlarge: about " in said
        [per_second] = re.findall(r"\(([\d,]+) pictures a second, published\)", said)
        return 10_000 / float(per_second)

    # Four cores a worker, of which 12 megapixels take 0.14 s or 0.03 s each besides the network.
    assert 3.2 < seconds("exact") / seconds("fast") < 3.6
    assert choice.asked("10000", "", "12", "") == choice.asked("10000", "f32", "12", "exact")
    assert "0.144 s for decoding" in choice.lines(SETTINGS, choice.asked("1", "", "12", "exact"), OWN, 0)[-1]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("", "", "12", ""), "MEGAPIXELS says nothing without PICTURES: make plan PICTURES=1000000 MEGAPIXELS=12"),
        (("5", "", "", "fast"), "DECODE is for photos: say how large they are, MEGAPIXELS=12 DECODE=fast."),
        (("5", "", "12", "quick"), "DECODE is exact or fast, not quick."),
        (("5", "", "0", ""), "MEGAPIXELS is a photo's size, from 0.1 to 200, such as 12, not 0."),
        (("5", "", "1e3", ""), "MEGAPIXELS is a photo's size, from 0.1 to 200, such as 12, not 1e3."),
    ],
)
def test_photos_that_are_none_are_refused_in_a_sentence(given: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        choice.asked(*given)
    assert str(refused.value) == sentence
