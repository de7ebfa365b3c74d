"""The cluster as Terraform's outputs have it, as a drawing: boxes and their places for the page's SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.cluster import Cluster

MOST_WORKERS = 6  # drawn one by one; more are counted
COLUMNS = 3
WIDTH, HEIGHT, GAP = 150, 56, 14
LEFT, TOP = 372, 206  # of the first worker


@dataclass(frozen=True)
class Box:
    """A host: its upper left corner and its lines."""

    x: int
    y: int
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Drawing:
    """All that the SVG is drawn from; `open_to` is what the security groups let in."""

    cluster: str
    region: str
    bucket: str
    master: Box
    workers: tuple[Box, ...]
    more_workers: int
    open_to: tuple[str, ...]
    height: int


def drawing_of(cluster: Cluster, place: str, open_to: Sequence[str]) -> Drawing:
    """The drawing of a cluster in a region that is called `place`."""
    market = ", spot" if cluster.spot else ""
    drawn = cluster.workers[:MOST_WORKERS]
    boxes = []
    for number, worker in enumerate(drawn):
        row, column = divmod(number, COLUMNS)
        lines = (f"{cluster.worker_type}{market}", worker.private_ip)
        boxes.append(Box(LEFT + column * (WIDTH + GAP), TOP + row * (HEIGHT + GAP), worker.name, lines))
    rows = max(1, -(-len(drawn) // COLUMNS))
    return Drawing(
        cluster=cluster.name,
        region=place,
        bucket=cluster.bucket,
        master=Box(LEFT + WIDTH + GAP, 92, cluster.master.name, (cluster.master_type, cluster.master.private_ip)),
        workers=tuple(boxes),
        more_workers=len(cluster.workers) - len(drawn),
        open_to=tuple(open_to),
        height=TOP + rows * (HEIGHT + GAP) + 40,
    )
