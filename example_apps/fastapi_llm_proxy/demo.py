"""`make demo`: the proxy behind a real server, a real client, and a transcript of what came back.

Every line is made from the response it tells of; a step that is not as announced ends the run with an error.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
ADDRESS: Final = "/v1/models/tiny-model/chat"
SHOWN: Final = ("ratelimit-policy", "ratelimit", "retry-after")


class NotAsAnnounced(Exception):  # noqa: N818 - said of a step, not of the program
    """A step did not show what it should have."""


def main() -> int:
    """Run the demo; 0 only if every step was as announced."""
    with tempfile.TemporaryDirectory() as folder:
        store = f"embedded://{folder}/limits.db"
        try:
            with served(store) as client:
                steps(client, store)
        except NotAsAnnounced as error:
            print(f"\nNOT AS ANNOUNCED: {error}", file=sys.stderr)
            return 1
    print("\nEvery step was as announced.")
    return 0


def steps(client: httpx.Client, store: str) -> None:
    """What the demo shows."""
    say("The plan is 3 requests and 600 tokens a minute for each user, 100 and 20,000 for their organisation.")
    say("Alice asks three times; each request reserves 50 tokens and gives back what its answer did not take.")
    for left in (2, 1, 0):
        response = asked(client, "key-alice", 200)
        expect(f'"rpm";r={left};' in response.headers["ratelimit"], f"{left} requests are left")
    say("A fourth request is refused, and says when to come back.")
    refused = asked(client, "key-alice", 429)
    expect(refused.json()["violated-policies"] == ["rpm"], "the body names the limit")
    wait = int(refused.headers["retry-after"])
    expect(1 <= wait <= 20, "the wait is that of one request at 3 a minute")
    say("Bob is another user with a bucket of his own, and another model has a plan of its own.")
    asked(client, "key-bob", 200)
    asked(client, "key-alice", 200, model="large-model")
    say("True costs were settled when the streams ended: 5 tokens each, not the 50 that were reserved.")
    page = client.get("/").text
    cell = page.split("<th>alice</th><td>tiny-model</td>")[1].split("<td>")[2].split("</td>")[0]
    print(f"   the page says that alice has {cell} of 600 tokens left")
    expect(int(cell) >= 585, "at most 15 tokens were charged")
    say(f"The bucket fills again: after the promised {wait} s one more request is granted.")
    time.sleep(wait)
    asked(client, "key-alice", 200)
    asked(client, "key-alice", 429)
    strangers(client)
    say("Another process gives Alice a larger plan; it is in force at her next request, on the bucket in use.")
    print(f"   $ {plan_changed(store)}")
    response = asked(client, "key-alice", 200)
    policy = response.headers["ratelimit-policy"]
    expect(policy == '"rpm";q=60;w=60, "tpm";q=6000;qu="tokens";w=60', "the new plan is in the policy, units and all")


def strangers(client: httpx.Client) -> None:
    """Keys that nobody was given: the application's own answer, and only so many of them from one address."""
    say("Who tries keys gets the application's own 401, ten times a minute from one address, whatever the key.")
    tried = asked(client, "key-guess-1", 401)
    expect(tried.headers["ratelimit-policy"] == '"rpm";q=10;w=60', "strangers have a limit of their own")
    guesses = 1
    while (answer := client.post(ADDRESS, headers={"x-api-key": f"key-guess-{guesses + 1}"})).status_code == 401:
        guesses += 1
        # One comes back every six seconds, so a slow machine lets more through.
        expect(guesses < 30, "there is an end to it")
    expect(guesses >= 10, "ten keys may be tried")
    print(f"   ... and {guesses - 1} more keys: 401")
    shown(answer, f"key-guess-{guesses + 1}")
    expect(answer.status_code == 429, "then the limiter answers")
    say("Users at the same address are not held up by it.")
    asked(client, "key-bob", 200)


def asked(client: httpx.Client, key: str, status: int, *, model: str = "tiny-model") -> httpx.Response:
    """Ask a model once, print what came back, and insist on the status."""
    address = f"/v1/models/{model}/chat"
    response = client.post(address, json={"prompt": "say something nice to me"}, headers={"x-api-key": key})
    shown(response, key)
    expect(response.status_code == status, f"status {status} was expected, {response.status_code} came")
    return response


def shown(response: httpx.Response, key: str) -> None:
    """Print what came back."""
    print(f"\n   POST {response.request.url.path}  ({key})\n   {response.status_code} {response.reason_phrase}")
    for name in SHOWN:
        if name in response.headers:
            print(f"   {name}: {response.headers[name]}")
    if response.status_code != 200:
        print(f"   {response.text}")


def plan_changed(store: str) -> str:
    """Change a plan from a process of its own; returns the call that did it."""
    call = (
        "limiter.set_limits('custom:alice', [Limit.per_minute('rpm', 60), "
        "Limit.per_minute('tpm', 6_000, unit='tokens')], resource='tiny-model')"
    )
    code = (
        f"from zae_limiter import Limit, open_sync_limiter\nwith open_sync_limiter({store!r}) as limiter:\n    {call}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())
    return call


@contextmanager
def served(store: str) -> Iterator[httpx.Client]:
    """The application under uvicorn on a free port, until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "app:app", "--app-dir", str(HERE), "--port", str(port)]
    server = subprocess.Popen([*command, "--log-level", "warning"], env=environment(ZAE_LIMITER_STORE=store))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            ready(client, server)
            print(
                f"uvicorn serves example_apps/fastapi_llm_proxy on port {port}, on {store.rsplit('/', maxsplit=1)[-1]}"
            )
            yield client
    finally:
        server.terminate()
        server.wait(10)


def ready(client: httpx.Client, server: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers."""
    for _ in range(200):
        try:
            if client.get("/health").json() == {"ok": True}:
                return
        except httpx.TransportError:
            if server.poll() is not None:
                break
        time.sleep(0.1)
    raise NotAsAnnounced("the server did not start")


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that finds the project's packages."""
    paths = [str(ROOT), str(ROOT / "integrations"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, **more, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def say(text: str) -> None:
    """Announce a step."""
    print(f"\n== {text}")


def expect(holds: object, what: str) -> None:
    """Insist on something that was announced."""
    if not holds:
        raise NotAsAnnounced(what)


if __name__ == "__main__":
    sys.exit(main())
