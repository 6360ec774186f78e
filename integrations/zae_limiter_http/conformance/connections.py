"""Checks C86 to C92: websockets, lifespan and scopes, as an ASGI server gives them."""

from typing import Any

import pytest

from zae_limiter.embedded import EmbeddedRepository
from zae_limiter.limiter import RateLimiter
from zae_limiter_http.conformance.applies import on
from zae_limiter_http.conformance.asking import Ask
from zae_limiter_http.conformance.methods import IP
from zae_limiter_http.conformance.site import Route
from zae_limiter_http.conformance.world import World

DENIAL = "websocket.http.response"


def _start(messages: list[Any]) -> dict[str, str]:
    start = messages[0]
    return {bytes(name).decode(): bytes(value).decode() for name, value in start.get("headers", ())}


class Connections:
    """What is not a plain request."""

    @on("SALQ")
    def test_c86_a_refused_handshake_is_a_whole_answer_where_the_server_can_send_it(self, world: World) -> None:
        world.serve(routes=[Route("/ws", form="websocket")], rules=[{"key": "ip", "limits": "1/minute"}])
        assert world.connect("/ws", extensions=[DENIAL])[0]["type"] == "websocket.accept"
        messages = world.connect("/ws", extensions=[DENIAL])
        assert [message["type"] for message in messages] == [f"{DENIAL}.start", f"{DENIAL}.body"]
        headers = _start(messages)
        assert (messages[0]["status"], headers["retry-after"]) == (429, "60")
        assert headers["content-type"] == "application/problem+json"
        assert b"violated-policies" in messages[1]["body"]
        assert world.handled == 1

    @on("SALQ")
    def test_c87_without_the_extension_a_refused_handshake_is_a_bare_close(self, world: World) -> None:
        world.serve(routes=[Route("/ws", form="websocket")], rules=[{"key": "ip", "limits": "1/minute"}])
        world.connect("/ws")
        assert [message["type"] for message in world.connect("/ws")] == ["websocket.close"]
        assert world.handled == 1

    @on("SALQ")
    def test_c88_a_handshake_is_charged_once_and_messages_are_free(self, world: World) -> None:
        world.serve(routes=[Route("/ws", form="websocket")])
        messages = world.connect("/ws", texts=["a", "b", "c"])
        assert [message.get("text") for message in messages if message["type"] == "websocket.send"] == ["a", "b", "c"]
        assert _start(messages)["ratelimit"] == '"rpm";r=1;t=30'
        assert world.left(IP)["rpm"] == 1

    @on("SALQ")
    def test_c89_a_limiter_lives_around_the_life_of_the_application(self, world: World) -> None:
        told: list[tuple[str, bool]] = []
        world.serve(events=lambda name: told.append((name, world.limiter.repository.is_open)))
        messages = world.live()
        assert [message["type"] for message in messages] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert told == [("startup", True), ("shutdown", True)]
        assert not world.limiter.repository.is_open

    @on("SALQ")
    def test_c89_without_a_lifespan_the_first_requests_open_it_once(self, world: World) -> None:
        opened: list[str] = []
        repository: Any = _Counting(EmbeddedRepository(":memory:", clock=world.clock), opened)
        world.limiter = RateLimiter(repository, clock=world.clock)
        world.serve(rules=[{"key": "ip", "limits": "20/minute"}])
        assert {reply.status for reply in world.ask_at_once([Ask()] * 20)} == {200}
        assert opened == ["open"]

    @on("SALQ")
    def test_c90_a_limiter_that_cannot_start_fails_the_start_up(self, world: World) -> None:
        world.limiter = RateLimiter(EmbeddedRepository("/no/such/folder/limits.db"))
        world.serve()
        messages = world.live()
        assert [message["type"] for message in messages] == ["lifespan.startup.failed"]
        assert "create it first" in messages[0]["message"]

    @on("SALQ")
    @pytest.mark.parametrize("without", ["client", "state", "extensions", "spec_version"])
    def test_c91_a_scope_need_not_have_everything(self, world: World, without: str) -> None:
        world.serve()
        assert [world.ask(Ask(without=(without,))).status for _ in range(3)] == [200, 200, 429]

    @on("SALQ")
    def test_c92_names_of_headers_may_come_in_any_case_and_leave_in_lower_case(self, world: World) -> None:
        rule = {"key": "header:x-api-key", "limits": "1/minute", "validated": lambda key: key == "known"}
        world.serve(rules=[rule])
        ask = Ask(headers=[("X-API-Key", "known"), ("ACCEPT", "text/plain")])
        replies = [world.ask(ask), world.ask(ask), world.get()]
        assert [reply.status for reply in replies] == [200, 429, 200]
        assert replies[1].told("content-type").startswith("text/plain")
        assert [name for reply in replies for name in reply.names if name != name.lower()] == []


class _Counting:
    """A repository that tells when it is opened."""

    def __init__(self, repository: EmbeddedRepository, opened: list[str]) -> None:
        self._repository = repository
        self._opened = opened

    async def open(self) -> Any:
        self._opened.append("open")
        return await self._repository.open()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)
