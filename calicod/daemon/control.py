"""What is said on the control socket: HTTP.

Law: it answers with what is, and asks the supervisor for changes; it never changes policy by itself. Every answer is
JSON, an event stream is JSON Lines. Who may connect is decided by the socket's owner and mode, how often by `door`;
other policy than the files have is taken from root, and the daemon's own user, alone.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress

import msgspec
from aiohttp import web

from calicod.daemon.door import Door, Guests, is_owner
from calicod.daemon.proposal import Proposal

MAX_PROPOSAL = 256 << 20
"""Bytes of a set that is to be applied."""

Answer = Callable[[], object]
Handler = Callable[[web.Request], Awaitable[web.Response]]


class Handlers(msgspec.Struct, frozen=True):
    """What the supervisor offers. `reload` returns when every worker enforces the result; `follow` never ends.

    `flows` gives chunks of JSON Lines and blocks: it is read in threads.
    """

    status: Answer
    endpoints: Answer
    policies: Answer
    flows: Callable[[], Iterator[bytes]]
    enforcement: Callable[[], bytes]
    reload: Callable[[], Awaitable[object]]
    prospect: Callable[[Proposal], Awaitable[object]]
    apply: Callable[[Proposal], Awaitable[object]]
    confirm: Callable[[], Awaitable[object]]
    rollback: Callable[[], Awaitable[object]]
    recent: Callable[[], list[bytes]]
    follow: Callable[[], AsyncIterator[bytes]]


class Control:
    """The server. `start` and `stop` belong to the supervisor's loop."""

    def __init__(self, listener: socket.socket, handlers: Handlers) -> None:
        self.handlers = handlers
        self._socket = listener
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._guests = Guests()
        self._tasks: set[asyncio.Future[object]] = set()

    async def start(self) -> None:
        """Serves from now on, also who waits already."""
        app = web.Application(client_max_size=MAX_PROPOSAL)
        app.router.add_get("/status", self._plain(self.handlers.status))
        app.router.add_get("/endpoints", self._plain(self.handlers.endpoints))
        app.router.add_get("/policies", self._plain(self.handlers.policies))
        app.router.add_get("/flows", self._flows)
        app.router.add_get("/enforcement", self._enforcement)
        app.router.add_post("/reload", self._reload)
        app.router.add_post("/prospect", self._proposed(self.handlers.prospect))
        app.router.add_post("/apply", self._proposed(self.handlers.apply))
        app.router.add_post("/confirm", self._ordered(self.handlers.confirm))
        app.router.add_post("/rollback", self._ordered(self.handlers.rollback))
        app.router.add_get("/events", self._events)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        self._listener = await asyncio.get_running_loop().create_unix_server(self._door, sock=self._socket)

    def _door(self) -> Door:
        assert self._runner is not None  # noqa: S101  `start` made it
        assert self._runner.server is not None  # noqa: S101  and set it up
        return Door(self._guests, self._runner.server)

    async def stop(self) -> None:
        """Closes every connection and the socket."""
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _plain(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(_: web.Request) -> web.Response:
            return web.Response(body=msgspec.json.encode(answer()), content_type="application/json")

        return handle

    async def _reload(self, _: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(await self.handlers.reload()), content_type="application/json")

    def _proposed(self, answer: Callable[[Proposal], Awaitable[object]]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            require_root(request)
            try:
                proposal = msgspec.json.decode(await request.read(), type=Proposal)
            except msgspec.MsgspecError as error:
                raise web.HTTPBadRequest(reason="the command is of another version") from error
            return await self._done(answer(proposal))

        return handle

    def _ordered(self, answer: Callable[[], Awaitable[object]]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            require_root(request)
            return await self._done(answer())

        return handle

    async def _done(self, action: Awaitable[object]) -> web.Response:
        """INVARIANT: what was begun comes to its end, also when whoever asked for it is gone meanwhile."""
        task = asyncio.ensure_future(action)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.Response(body=msgspec.json.encode(await asyncio.shield(task)), content_type="application/json")

    async def _enforcement(self, _: web.Request) -> web.Response:
        return web.Response(body=self.handlers.enforcement(), content_type="application/x-msgpack")

    async def _flows(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        chunks = self.handlers.flows()
        first = await asyncio.to_thread(next, chunks, b"")  # what fails, fails before the answer has begun
        await response.prepare(request)
        chunk = first
        with suppress(ConnectionError, asyncio.CancelledError):
            while chunk:
                await response.write(chunk)
                chunk = await asyncio.to_thread(next, chunks, b"")
        return response

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("follow") != "1":
            return web.Response(body=b"".join(self.handlers.recent()), content_type="application/x-ndjson")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            async for chunk in self.handlers.follow():
                await response.write(chunk)
        except (ConnectionError, asyncio.CancelledError):
            return response
        return response


def require_root(request: web.Request) -> None:
    """Raises HTTPForbidden when somebody asks who might not write the policy files either."""
    if not is_owner(request.transport.get_extra_info("socket") if request.transport is not None else None):
        raise web.HTTPForbidden
