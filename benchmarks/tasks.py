"""The tasks of a list of pictures, stored as a run stores them."""

from pipeline.pictures.listing import listed
from pipeline.pictures.tasks import planned
from pipeline.run_folder.inputs import TaskRows, write_list
from pipeline.settings import RunSettings
from pipeline.storage.base import Pictures, Storage


def stored_tasks(images: Pictures, run: Storage, cores: int) -> tuple[TaskRows, ...]:
    """The tasks of all pictures there, whose rows lie in the run's folder."""
    with listed(images) as found:
        settings = RunSettings(images.uri, "")
        return write_list(run, planned(found, cores), found.rows, found.counts, settings).tasks
