"""Check C104: what clients do by themselves with our refusals, each against a live server of each framework.

Clients wait in real time. The clock of the limiter stands still but for a second after each refusal, so that what a
slow machine needs besides is no matter.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import anthropic
import httpx
import openai
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from tests.integrations.drivers.every import BY_LETTER
from tests.integrations.live import listening
from zae_limiter.testing import TurnableClock, memory_limiter, sync_memory_limiter
from zae_limiter_http import Event, Rule
from zae_limiter_http.conformance import Answer, Call, Driver, Route, Site

pytestmark = pytest.mark.slow

ASKED = list(BY_LETTER)
COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "tiny",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
}
MESSAGE = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "tiny",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
PROMPT: Any = [{"role": "user", "content": "hi"}]


def _answering(body: Any) -> Callable[[Call], Any]:
    async def handler(_: Call) -> Answer:
        return Answer(body=json.dumps(body).encode(), media_type="application/json")

    return handler


ROUTES = [
    Route("/", _answering({})),
    Route("/v1/chat/completions", _answering(COMPLETION)),
    Route("/slow/v1/chat/completions", _answering(COMPLETION)),
    Route("/v1/messages", _answering(MESSAGE)),
]
RULES = [
    Rule("/slow/*", key="header:x-client", validated=bool, limits="1/hour", name="slow", last=True),
    Rule(key="header:x-client", validated=bool, limits="1/second"),
]


@pytest.fixture(params=ASKED, ids=lambda letter: BY_LETTER[letter].__name__)
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    driver: Driver = BY_LETTER[request.param]()
    with ExitStack() as stack:
        clock = TurnableClock()
        limiter: Any = (memory_limiter if driver.interface == "asgi" else sync_memory_limiter)(clock=clock)

        def refused(event: Event) -> None:
            if event.kind == "limited":
                clock.turn(1)

        app = stack.enter_context(driver.serving(Site(limiter, ROUTES, RULES, {"on_event": refused})))
        yield stack.enter_context(listening(app, driver.interface))


def _waited(ask: Callable[[], Any]) -> Any:
    """What is answered to a client that waits the second it is told."""
    begun = time.monotonic()
    answer = ask()
    assert time.monotonic() - begun >= 1
    return answer


def urllib3_waits_with_get_and_not_with_post(address: str) -> None:
    with urllib3.PoolManager(headers={"x-client": "urllib3"}) as client:
        assert client.request("GET", address).status == 200
        second = _waited(lambda: client.request("GET", address))
        assert second.retries is not None
        assert (second.status, [each.status for each in second.retries.history]) == (200, [429])
        refused = client.request("POST", address)
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")


def requests_gets_the_answer_at_once(address: str) -> None:
    with requests.Session() as client:
        client.headers["x-client"] = "requests"
        assert [client.get(address, timeout=20).status_code for _ in range(2)] == [200, 429]


def requests_waits_where_it_is_told_to_retry(address: str) -> None:
    with requests.Session() as client:
        client.headers["x-client"] = "requests-retry"
        client.mount("http://", HTTPAdapter(max_retries=urllib3.Retry(total=2)))
        assert client.get(address, timeout=20).status_code == 200
        second = _waited(lambda: client.get(address, timeout=20))
        assert second.raw.retries is not None
        assert (second.status_code, [each.status for each in second.raw.retries.history]) == (200, [429])


def httpx_gets_the_answer_at_once(address: str) -> None:
    with httpx.Client(headers={"x-client": "httpx"}, transport=httpx.HTTPTransport(retries=2)) as client:
        assert [client.get(address).status_code for _ in range(2)] == [200, 429]


def openai_waits_and_tries_again(address: str) -> None:
    with openai.OpenAI(api_key="x", base_url=f"{address}/v1", default_headers={"x-client": "openai"}) as client:
        asked = client.chat.completions.with_raw_response.create
        tries = [asked(model="tiny", messages=PROMPT)]
        tries.append(_waited(lambda: asked(model="tiny", messages=PROMPT)))
        assert [each.retries_taken for each in tries] == [0, 1]
        assert tries[1].parse().choices[0].message.content == "hi"


def openai_does_not_wait_for_an_hour(address: str) -> None:
    with openai.OpenAI(api_key="x", base_url=f"{address}/slow/v1", default_headers={"x-client": "openai"}) as client:
        client.chat.completions.create(model="tiny", messages=PROMPT)
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="tiny", messages=PROMPT)
        assert int(refused.value.response.headers["retry-after"]) > 3_500
        assert refused.value.response.json()["violated-policies"] == ["rph"]


def anthropic_waits_and_tries_again(address: str) -> None:
    with anthropic.Anthropic(api_key="x", base_url=address, default_headers={"x-client": "anthropic"}) as client:
        asked = client.messages.with_raw_response.create
        tries = [asked(model="tiny", messages=PROMPT, max_tokens=9)]
        tries.append(_waited(lambda: asked(model="tiny", messages=PROMPT, max_tokens=9)))
        assert [each.retries_taken for each in tries] == [0, 1]
        assert tries[1].parse().content[0].type == "text"


CLIENTS: list[Callable[[str], None]] = [
    urllib3_waits_with_get_and_not_with_post,
    requests_gets_the_answer_at_once,
    requests_waits_where_it_is_told_to_retry,
    httpx_gets_the_answer_at_once,
    openai_waits_and_tries_again,
    openai_does_not_wait_for_an_hour,
    anthropic_waits_and_tries_again,
]


def test_c104_clients_do_with_a_refusal_what_is_known_of_them(address: str) -> None:
    for client in CLIENTS:
        client(address)
