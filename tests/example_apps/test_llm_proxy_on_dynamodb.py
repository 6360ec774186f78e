"""The proxy on a DynamoDB table: two workers count in it, and what it says is in the table."""

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.dynamodb.tables import fresh_name
from tests.example_apps.uvicorn import telling_who_answered, uvicorn
from tests.examples import ROOT
from zae_limiter import SyncRateLimiter, SyncRepository

pytestmark = pytest.mark.slow

FOLDER = ROOT / "example_apps" / "fastapi_llm_proxy"
CHAT = "/v1/models/tiny-model/chat"
ALICE = {"x-api-key": "key-alice"}
BOB = {"x-api-key": "key-bob"}


@dataclass
class Proxy:
    """The proxy as it is served, the table it counts in, and the file that tells which worker has answered what."""

    client: httpx.Client
    table: SyncRepository
    log: Path

    def answers(self) -> list[list[str]]:
        """The process and the client of each answer."""
        return [line.split()[:2] for line in self.log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def proxy(dynamodb_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    name = fresh_name()
    log = tmp_path_factory.mktemp("proxy") / "answers.log"
    table = SyncRepository(name, endpoint_url=dynamodb_endpoint or None, timeout=20.0)
    table.create_table()
    told = {"ZAE_LIMITER_STORE": f"dynamodb://{name}", "LLM_PROXY_RPM": "2", "LLM_PROXY_TIMEOUT": "60"}
    # A connection stays with its worker; none is to be given up because the machine is slow.
    options = ("--timeout-keep-alive", "600", *telling_who_answered(log))
    try:
        with uvicorn("app:app", *options, workers=2, chdir=FOLDER, **told) as client:
            yield Proxy(client, table, log)
    finally:
        table.delete_table()
        table.close()


def test_what_it_says_is_in_the_table(proxy: Proxy) -> None:
    answers = [proxy.client.post(CHAT, headers=ALICE, json={"prompt": "be short"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"rpm";q=2;w=60, "tpm";q=600;qu="tokens";w=60'
    assert 1 <= int(answers[2].headers["retry-after"]) <= 30
    found = {state.limit_name: state.tokens for state in proxy.table.get_buckets("custom:alice", "tiny-model")}
    assert found["rpm"] < 2
    # The streams have ended, and what they did not take of the reserved tokens is back.
    assert found["tpm"] > 600 - 2 * 50
    assert [state.resource for state in proxy.table.get_buckets("acme")] == ["tiny-model"] * 2


def test_its_workers_admit_exactly_the_quota_together(proxy: Proxy) -> None:
    # A plan that fills so slowly that no machine is too slow for the test.
    SyncRateLimiter(proxy.table).set_limits("custom:bob", "rpm=20/day; tpm=1000000/day", "tiny-model")
    with ExitStack() as stack, ThreadPoolExecutor(10) as threads:
        clients = connections(proxy, stack, of_each=5)

        def ask(client: httpx.Client) -> list[int]:
            return [client.post(CHAT, headers=BOB, json={"prompt": "be short"}).status_code for _ in range(6)]

        before = len(proxy.answers())
        statuses = [status for each in threads.map(ask, clients) for status in each]

    assert sorted(statuses) == [200] * 20 + [429] * 40
    # Either has been asked for more than the whole quota.
    processes = [process for process, _ in proxy.answers()[before:]]
    assert [processes.count(each) for each in set(processes)] == [30, 30]


def connections(proxy: Proxy, stack: ExitStack, *, of_each: int) -> list[httpx.Client]:
    """So many clients of each of the two workers, each with a connection of its own that is open."""
    found: dict[str, list[httpx.Client]] = defaultdict(list)
    # The system hands connections out as it likes: make more until there are enough to either.
    for _ in range(400):
        client = stack.enter_context(httpx.Client(base_url=proxy.client.base_url, timeout=120))
        assert client.get("/health").status_code == 200
        found[proxy.answers()[-1][0]].append(client)
        if len(found) == 2 and min(map(len, found.values())) >= of_each:
            return [client for each in found.values() for client in each[:of_each]]
    raise AssertionError(f"one of the workers takes hardly any connection: { {key: len(found[key]) for key in found} }")
