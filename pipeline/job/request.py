"""A run as it is asked for, and the folder it has or gets: a new run's is empty, a resumed one's holds its list."""

from dataclasses import dataclass

from pipeline.errors import InputError
from pipeline.network.weights import Weights
from pipeline.run_folder.inputs import StoredList, read_list
from pipeline.run_folder.layout import CLASSES_KEY, INPUTS_FOLDER, INPUTS_KEY
from pipeline.run_folder.record import COMPLETE, RunRecord, read_record
from pipeline.settings import RUN_ID, RunOptions, RunSettings
from pipeline.storage.base import Storage, join
from pipeline.storage.opening import open_storage


@dataclass(frozen=True)
class RunRequest:
    """A run as the command line asks for it. `process_started_at` is in seconds of the epoch."""

    settings: RunSettings
    options: RunOptions
    weights: Weights
    output: str
    run_id: str
    master: str
    process_started_at: float
    notes: tuple[str, ...] = ()


def open_run_folder(request: RunRequest) -> Storage:
    """The run's folder, known to be writable. Raises InputError where it is another run's or has no possible name."""
    if not RUN_ID.fullmatch(request.run_id):
        raise InputError(f"The run id {request.run_id!r} may hold letters, digits, '.', '_' and '-' only.")
    folder = open_storage(join(request.output, request.run_id))
    folder.check_writable()
    # A list may be of a moment ago; the object that each run begins with is not.
    if not request.options.resume and (_has_begun(folder) or folder.exists(INPUTS_KEY)):
        raise InputError(
            f"A run {request.run_id} exists in {request.output}; go on with it by --resume or choose another --run-id."
        )
    return folder


def _has_begun(folder: Storage) -> bool:
    """Whether anything of a run lies there; parts of a list without its index are an attempt's that never began."""
    keys = (key for batch in folder.list() for key in batch["path"].to_pylist())
    return any(not key.startswith(f"{INPUTS_FOLDER}/") and key != CLASSES_KEY for key in keys)


def complete_record(folder: Storage) -> RunRecord | None:
    """The record of a run that came to its end; None where something is left to do."""
    try:
        record = read_record(folder)
    except FileNotFoundError:
        return None
    return record if record.status == COMPLETE else None


def stored_list(request: RunRequest, folder: Storage) -> StoredList:
    """The list of the run that is resumed, which never changes.

    Raises InputError where there is none, or where it was made with other settings.
    """
    stored = _read_list(request, folder)
    different = request.settings.going_on(stored.settings).differences(stored.settings)
    if different:
        raise InputError(
            f"Run {request.run_id} was begun with other settings ({', '.join(different)}); "
            "resume it with the same ones or choose another --run-id."
        )
    return stored


def _read_list(request: RunRequest, folder: Storage) -> StoredList:
    try:
        return read_list(folder)
    except FileNotFoundError:
        raise InputError(
            f"There is no run {request.run_id} in {request.output} to resume; leave out --resume to begin it."
        ) from None
