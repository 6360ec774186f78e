"""What every test may ask for: an event loop, a clock that a test turns, a DynamoDB, Hypothesis without deadlines."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.dynamodb import local_server
from zae_limiter import environment
from zae_limiter.exceptions import LocalStoreError
from zae_limiter.local import check_java_tools
from zae_limiter.testing import TurnableClock

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Of a shell that runs the tests in the background, and what the tests start would ignore Ctrl-C with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("project", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("project")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture(scope="session")
def dynamodb_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a DynamoDB Local that all workers of this run share; AWS clients find it in the environment."""
    if environment.read("ZAE_LIMITER_TEST_AWS") == "1":
        # On AWS itself, with the credentials and in the region of whoever asked for it.
        yield ""
        return
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_server.ENVIRONMENT.items():
            patch.setenv(name, value)
        try:
            check_java_tools()
        except LocalStoreError as missing:
            if os.environ.get("CI"):
                pytest.fail(str(missing))
            pytest.skip(str(missing))
        with local_server.shared(folder) as endpoint:
            patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
            patch.setenv("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", endpoint)
            yield endpoint


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have to tell: the fuzzer how often each thing happened."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == "told":
                    terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {value}")
