"""Compute the items of an iterator ahead of their use, in a thread."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

#: Seconds for the thread to begin with an item, such as to send a request. Without them, the caller's work keeps the
#: interpreter lock, and the request leaves only after that work.
_HEAD_START = 0.003

T = TypeVar("T")


def one_ahead(items: Iterable[T]) -> Iterator[T]:
    """Iterate over items; the next one is computed while the caller works with the current one.

    Errors arrive where the item would have. If the caller stops early, it does not wait for the next item.

    :param items: the items; each is computed in the same thread, one at a time.
    """
    iterator, end, context = iter(items), object(), copy_context()

    def compute() -> Any:
        return next(iterator, end)

    thread = ThreadPoolExecutor(1, thread_name_prefix="toloka-ahead")
    try:
        coming = thread.submit(context.run, compute)
        while (item := coming.result()) is not end:
            coming = thread.submit(context.run, compute)
            time.sleep(_HEAD_START)
            yield item
    finally:
        thread.shutdown(wait=False)
