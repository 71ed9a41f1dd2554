"""Running a coroutine from ordinary code, whatever that code is in the middle of."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_coroutine(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run `coroutine` to its end in a thread of its own, and return what it returns.

    A signal handler that raises then raises here, in the main thread, and cancels the coroutine;
    inside an event loop the exception would be taken for one of whatever task the loop was at. It
    also works from within a running loop.
    """
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def main() -> Result:
        task = asyncio.current_task()
        assert task is not None
        begun.set_result((asyncio.get_running_loop(), task))
        return await coroutine

    with ThreadPoolExecutor(1, thread_name_prefix="transfer") as thread:
        ended = thread.submit(asyncio.run, main())
        try:
            return ended.result()
        except BaseException:
            if not ended.done():
                loop, task = begun.result()
                loop.call_soon_threadsafe(task.cancel)
            raise


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that made a group of tasks end: the first that is not itself a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
