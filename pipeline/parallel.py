"""Work in threads that runs ahead of its consumer, but never far."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_ahead(function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int) -> Iterator[Result]:
    """The function's results in the items' order, at most `ahead` of them begun or waiting.

    Raises what the function raises: work that has not begun is then given up, and the rest waited for. An interrupt
    does not wait: a request that stalls would hold it up.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        futures = (pool.submit(function, item) for item in items)
        waiting: deque[Future[Result]] = deque(islice(futures, ahead))
        while waiting:
            current = waiting.popleft()
            waiting.extend(islice(futures, 1))
            yield current.result()
    except Exception:
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
