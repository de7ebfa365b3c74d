"""The drawing of a cluster has what Terraform's outputs have."""

from dataclasses import replace

from scripts.handin import pages
from scripts.handin.drawing import Box, drawing_of
from tests.doubles.fake_hosts import cluster_of


def boxes_overlap(one: Box, other: Box) -> bool:
    return abs(one.x - other.x) < 150 and abs(one.y - other.y) < 56


def test_each_host_is_drawn_once_with_its_type_and_address() -> None:
    drawing = drawing_of(replace(cluster_of(workers=5), spot=True), "eu-west-1, Europe (Ireland)", ["tcp 22 from x"])
    boxes = [drawing.master, *drawing.workers]
    assert [box.title for box in boxes] == ["master", *(f"worker-{number}" for number in range(1, 6))]
    assert drawing.workers[4].lines == ("c6i.2xlarge, spot", "10.0.0.10")
    assert not any(boxes_overlap(one, other) for one in boxes for other in boxes if one is not other)
    page = pages.render("drawing.svg.j2", drawing=drawing)
    for said in ("orchard-fruits", "worker-5", "10.0.0.10", "tcp 22 from x", "eu-west-1, Europe (Ireland)"):
        assert said in page


def test_of_many_workers_some_are_drawn_and_the_rest_are_counted() -> None:
    drawing = drawing_of(cluster_of(workers=40), "somewhere", [])
    assert (len(drawing.workers), drawing.more_workers) == (6, 34)
    assert "and 34 more workers" in pages.render("drawing.svg.j2", drawing=drawing)
    assert max(box.y for box in drawing.workers) + 56 < drawing.height


def test_a_master_alone_is_drawn_too() -> None:
    page = pages.render("drawing.svg.j2", drawing=drawing_of(cluster_of(workers=0), "somewhere", []))
    assert "no workers: the master does the work" in page
