"""A text stream as callers hold it: its events, its text, and the whole result at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from ai_models import events
from ai_models.assembly import Assembler
from ai_models.correlation import new_id
from ai_models.events import Event
from ai_models.exceptions import AIModelsError
from ai_models.types import Chunk, ObjectResult, TextResult

T = TypeVar("T")

Source = Callable[[], AbstractAsyncContextManager[tuple[Assembler, AsyncGenerator[list[Chunk]]]]]
"""Makes the call: its chunks, and what makes events and a result of them."""


class TextStream:
    """Generated text while it is generated.

    Nothing happens before the first read. Several readers may read at once, and each sees everything; the provider is
    read only as fast as they do. Closing it ends the upstream call, and so does the last reader that leaves its loop early.

    Args:
        source: makes the call.
    """

    _nothing = TextResult()

    def __init__(self, source: Source) -> None:
        self._events = self._run(source)
        self._arrived: Iterator[Event] = iter(())
        self._log: list[Event] = []
        self._lock = asyncio.Lock()
        self._readers = 0
        self._puller: asyncio.Task[Any] | None = None
        self._closing = False
        self._assembler: Assembler | None = None

    @property
    def events(self) -> AsyncGenerator[Event]:
        """Every event, the terminal one last. Errors of the call are events here and not raised."""
        return self._read()

    @property
    def text_stream(self) -> AsyncGenerator[str]:
        """The text in pieces.

        Raises:
            AIModelsError: while iterating, when the call fails.
        """
        return self._read_text()

    @property
    def response(self) -> Coroutine[Any, Any, TextResult]:
        """Await it for the whole result; what was not read yet is read then.

        After :meth:`aclose`, or after leaving a loop early, it has the text so far and the finish reason ``other``.

        Raises:
            AIModelsError: when the call failed.
        """
        return self._response()

    async def aclose(self) -> None:
        """End the stream and its upstream call. Does nothing when it ended already."""
        if self._puller is not None and not self._closing:
            self._puller.cancel()  # it notices that only the stream is meant, see _pull
        self._closing = True
        async with self._lock:
            await self._events.aclose()
            self._arrived = iter(())
            if not self._ended():
                self._log.append(events.Abort())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self, source: Source) -> AsyncGenerator[Iterable[Event]]:
        """The events as the call makes them, together those that need no waiting in between.

        ``Start`` waits for the first chunk, so that a refused call has none.
        """
        end: list[Event] = []
        try:
            async with source() as (assembler, chunks), aclosing(chunks):
                self._assembler = assembler
                started = False
                async for batch in chunks:
                    if not started:
                        started = True
                        yield (events.Start(f"msg_{new_id()}"),)
                    # One by one, so that a reader who leaves has a result of what was read.
                    yield (event for chunk in batch for event in assembler.feed(chunk))
            # The call is over before its end is told.
            for event in assembler.finish():
                end.append(event)  # noqa: PERF402 - those before an error are told too
        except AIModelsError as error:
            end.append(events.Error(error))
        yield end

    async def _read(self) -> AsyncGenerator[Event]:
        self._readers += 1
        try:
            position = 0
            while position < len(self._log) or self._take() or await self._wait(position):
                position += 1
                yield self._log[position - 1]
        finally:
            self._readers -= 1
            if self._readers == 0 and not self._ended():
                await self.aclose()

    def _take(self) -> bool:
        """Add to the log an event that arrived; whether there was one."""
        for event in self._arrived:
            self._log.append(event)
            return True
        return False

    async def _wait(self, position: int) -> bool:
        """Read the call until the log has an event at a position, unless another reader does; whether it ever will."""
        while position >= len(self._log):
            async with self._lock:
                if position >= len(self._log) and not self._take():
                    if self._ended():
                        return False
                    await self._pull()
        return True

    async def _pull(self) -> None:
        task = self._puller = asyncio.current_task()
        try:
            self._arrived = iter(await anext(self._events))
        except StopAsyncIteration:
            self._log.append(events.Abort())
        except asyncio.CancelledError:
            self._log.append(events.Abort())
            # Cancelled by aclose() alone, the reader goes on and sees the end, as asyncio.timeout() does it.
            if not self._closing or task is None or task.uncancel() > 0:
                raise
        finally:
            self._puller = None

    async def _read_text(self) -> AsyncGenerator[str]:
        async with aclosing(self._read()) as reading:
            async for event in reading:
                if isinstance(event, events.TextDelta):
                    yield event.delta
                elif isinstance(event, events.Error):
                    raise event.error

    async def _response(self) -> TextResult:
        # A loop that was left early just now is closed by the event loop, two steps later; that comes first.
        for _ in range(2):
            await asyncio.sleep(0)
        async with aclosing(self._read()) as reading:
            async for event in reading:
                if isinstance(event, events.Finish):
                    return event.result
                if isinstance(event, events.Error):
                    raise event.error
        return self._assembler.result() if self._assembler else self._nothing

    def _ended(self) -> bool:
        return bool(self._log) and isinstance(self._log[-1], events.TERMINAL)


class ObjectStream(TextStream):
    """A generated object while it grows: a :class:`TextStream` whose text is JSON, and whose response has the object."""

    _nothing: TextResult = ObjectResult()

    @property
    def partial_object_stream(self) -> AsyncGenerator[Any]:
        """The object as far as it is known, again and again, as JSON data. Only the last one is held against the schema.

        Raises:
            AIModelsError: while iterating, when the call fails; ``NoObjectGenerated`` when the object breaks its schema.
        """
        return self._read_objects()

    @property
    def response(self) -> Coroutine[Any, Any, ObjectResult]:
        """Await it for the whole result, as :attr:`TextStream.response`; its ``object`` is ``None`` after an early end."""
        return cast(Coroutine[Any, Any, ObjectResult], self._response())

    async def _read_objects(self) -> AsyncGenerator[Any]:
        async with aclosing(self._read()) as reading:
            async for event in reading:
                if isinstance(event, events.PartialObject):
                    yield event.data
                elif isinstance(event, events.Error):
                    raise event.error


class SyncTextStream:
    """:class:`TextStream` for code that is not async. Iterating waits for the model.

    Args:
        stream: the stream.
        run: waits for an awaitable of the stream's event loop.
    """

    def __init__(self, stream: TextStream, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._stream = stream
        self._run = run

    @property
    def events(self) -> Generator[Event]:
        """As :attr:`TextStream.events`."""
        return self._iterate(self._stream.events)

    @property
    def text_stream(self) -> Generator[str]:
        """As :attr:`TextStream.text_stream`."""
        return self._iterate(self._stream.text_stream)

    @property
    def response(self) -> TextResult:
        """As :attr:`TextStream.response`; waits for the end."""
        result: TextResult = self._run(self._stream.response)
        return result

    def close(self) -> None:
        """As :meth:`TextStream.aclose`."""
        self._run(self._stream.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _iterate(self, source: AsyncGenerator[T]) -> Generator[T]:
        end: Any = object()
        try:
            while (item := self._run(_next(source, end))) is not end:
                yield item
        finally:
            self._run(source.aclose())


class SyncObjectStream(SyncTextStream):
    """:class:`ObjectStream` for code that is not async."""

    _stream: ObjectStream

    @property
    def partial_object_stream(self) -> Generator[Any]:
        """As :attr:`ObjectStream.partial_object_stream`."""
        return self._iterate(self._stream.partial_object_stream)

    @property
    def response(self) -> ObjectResult:
        """As :attr:`ObjectStream.response`; waits for the end."""
        result: ObjectResult = self._run(self._stream.response)
        return result


async def _next(source: AsyncGenerator[Any], end: Any) -> Any:
    return await anext(source, end)
