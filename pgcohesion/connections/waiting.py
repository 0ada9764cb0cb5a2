"""What waiting is in threads and in asyncio: the only part of the pool that is written twice."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, TypeVar

T = TypeVar("T")
Answer = Annotated[T, "what an Awaitable of the other face becomes"]


class Waiter(Generic[T]):
    """A place in a queue: :meth:`set` is called at most once, by another thread."""

    __slots__ = ("_lock", "value")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.value: T | None = None

    def set(self, value: T) -> None:
        """Give *value* to who waits."""
        self.value = value
        self._lock.release()

    def wait(self, seconds: float) -> T | None:
        """Return the value, or None when it did not come in time."""
        self._lock.acquire(timeout=max(0.0, seconds))
        return self.value


class AsyncWaiter(Generic[T]):
    """The same for tasks of one event loop."""

    __slots__ = ("_future", "value")

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.value: T | None = None

    def set(self, value: T) -> None:
        """Give *value* to who waits."""
        self.value = value
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, seconds: float) -> T | None:
        """Return the value, or None when it did not come in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._future
        return self.value


class Crew:
    """Threads that do work aside; they do not keep the program alive."""

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()

    def start(self, work: Callable[..., None], *args: Any) -> None:
        """Run *work* aside."""
        thread = threading.Thread(target=self._run, args=(work, args), name="pgcohesion-connect", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _run(self, work: Callable[..., None], args: tuple[Any, ...]) -> None:
        try:
            work(*args)
        finally:
            self._threads.discard(threading.current_thread())

    def post(self, work: Callable[[], None]) -> None:
        """Run something short; here, any thread may."""
        work()

    def soon(self, work: Callable[[], None]) -> None:
        """Run *work* here, whatever thread asks."""
        work()

    def join(self, seconds: float) -> None:
        """Wait for all of them, but not for long."""
        deadline = time.monotonic() + seconds
        for thread in tuple(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))


class AsyncCrew:
    """Tasks that do work aside."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def post(self, work: Callable[[], None]) -> None:
        """Run something short in the event loop, whatever thread asks."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work)

    def soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run *work* in the event loop, whatever thread asks."""
        self.post(lambda: self.start(work))

    def start(self, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Run *work* aside."""
        self._loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work(*args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def join(self, seconds: float) -> None:
        """Wait for all of them, but not for long."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()


__all__ = ["Answer", "AsyncCrew", "AsyncWaiter", "Awaitable", "Crew", "Waiter", "async_sleep", "sleep"]
sleep = time.sleep
async_sleep = asyncio.sleep
