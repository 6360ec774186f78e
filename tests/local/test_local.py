"""The local store: one at a time, found by every process, stopped for sure, and clear where it cannot start."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.time_limit import at_most
from zae_limiter import local
from zae_limiter.exceptions import LocalStoreError, ValidationError

pytestmark = pytest.mark.slow

_DOCKER = """#!/bin/sh
echo "$@" >> "$DOCKER_CALLS"
case "$1" in run) {run} ;; inspect) echo {runs} ;; logs) echo "one"; echo "two" >&2 ;; esac
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        found: int = place.getsockname()[1]
        return found


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    yield local.state_folder()
    local.down()


@pytest.fixture
def java(dynamodb_endpoint: str) -> None:
    """The java engine can run here: the server of the tests does."""


def test_it_is_started_once_and_stopped(java: None, port: int) -> None:
    started = local.up(port=port)

    assert (started.engine, started.endpoint_url) == ("java", f"http://127.0.0.1:{port}")
    assert started.is_answering
    assert local.up(port=port + 1) == started == local.status()
    assert local.logs()
    assert local.down() == started
    assert not local.is_up(started.endpoint_url)
    assert local.status() is None
    assert local.down() is None


def test_one_that_died_is_started_anew(java: None, port: int) -> None:
    first = local.up(port=port)
    assert first.process is not None
    os.kill(first.process, signal.SIGKILL)
    second = local.up(port=port)

    assert second.process != first.process
    assert second.is_answering


def test_a_port_that_is_let_go_a_moment_later_is_taken(port: int) -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", port))
        place.listen()
        letting_go = threading.Timer(0.2, place.close)
        letting_go.start()
        local._check_free(port)
        letting_go.join()


def test_a_folder_keeps_the_tables(java: None, port: int, tmp_path: Path) -> None:
    started = local.up(port=port, data=tmp_path / "data")

    assert started.data == str(tmp_path / "data")
    assert (tmp_path / "data").is_dir()


def test_a_server_that_does_not_start_says_why(java: None, port: int, tmp_path: Path, state: Path) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    _program(fake / "java", "#!/bin/sh\necho 'no memory left' >&2\nexit 1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
        with pytest.raises(LocalStoreError, match="the server did not start: no memory left"):
            local.up(engine="java", port=port)

    assert local.status() is None


def test_libraries_that_are_broken_are_told_with_the_way_out(
    java: None, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = local.libraries_folder()
    folder.mkdir(parents=True)
    (folder / "DynamoDBLocal.jar").write_bytes(b"PK half of it")

    with pytest.raises(LocalStoreError, match=f"its libraries are broken, remove {folder} to fetch them anew"):
        local.up(engine="java", port=port)


def test_a_fetch_that_was_cut_off_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake = tmp_path / "bin"
    fake.mkdir()
    _program(fake / "java", "#!/bin/sh\n")
    _program(fake / "mvn", "#!/bin/sh\nmkdir lib && touch lib/half.jar && echo 'connection lost' >&2 && exit 1\n")
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")

    with pytest.raises(LocalStoreError, match="mvn failed: connection lost"):
        local.fetched_libraries()
    assert not local.libraries_folder().exists()


def test_another_image_may_be_run(docker_calls: Path, dynamodb_endpoint: str) -> None:
    answering = int(dynamodb_endpoint.rpartition(":")[2])
    local._start_docker(answering, None, "mirror.example/dynamodb:1")

    assert "mirror.example/dynamodb:1 -jar DynamoDBLocal.jar" in docker_calls.read_text(encoding="utf-8")


def test_a_log_that_cannot_be_followed_is_told(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.mkdir(parents=True)
    _note(state, "docker", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        with pytest.raises(LocalStoreError, match="docker could not be run"):
            next(local.follow())
    (state / "store.json").unlink()


def test_a_port_that_is_taken_is_told(java: None, dynamodb_endpoint: str) -> None:
    taken = int(dynamodb_endpoint.rpartition(":")[2])

    with pytest.raises(LocalStoreError, match=f"port {taken} is taken"):
        local.up(port=taken)


@pytest.mark.parametrize("port", [0, 65_536, "8000", True])
def test_a_port_is_a_number_in_range(port: int) -> None:
    with pytest.raises(ValidationError, match="port: must be from 1 to 65535"):
        local.up(port=port)


def test_a_process_that_got_the_number_of_the_server_is_left_alone(state: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        state.mkdir(parents=True)
        _note(state, "java", other.pid)
        assert local.down() is not None
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("note", ["", "{", "[]", '{"endpoint_url": 1}'])
def test_a_note_that_cannot_be_read_is_none(state: Path, note: str) -> None:
    state.mkdir(parents=True)
    (state / "store.json").write_text(note, encoding="utf-8")

    assert local.status() is None
    with pytest.raises(LocalStoreError, match="no local store is running"):
        local.logs()


def test_without_a_tool_it_says_what_to_install(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LocalStoreError, match="the java engine needs java"):
        local.up(port=port)
    with pytest.raises(LocalStoreError, match="the docker engine needs the program docker"):
        local.up(port=port, engine="docker")


def _note(state: Path, engine: str, process: int | None) -> None:
    note = {"endpoint_url": "http://127.0.0.1:1", "engine": engine, "process": process, "data": None, "log": None}
    (state / "store.json").write_text(json.dumps(note), encoding="utf-8")


def _program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def docker_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No container engine runs in these tests: a program of its name notes how it is called."""
    folder = tmp_path / "docker"
    folder.mkdir()
    calls = folder / "calls"
    _program(folder / "docker", _DOCKER.format(run="true", runs="true"))
    for needed in ("ps", "sh", "cat"):
        (folder / needed).symlink_to(shutil.which(needed) or needed)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("DOCKER_CALLS", str(calls))
    return calls


def test_the_image_is_run_and_removed(docker_calls: Path, dynamodb_endpoint: str, tmp_path: Path) -> None:
    answering = int(dynamodb_endpoint.rpartition(":")[2])
    started = local._start_docker(answering, tmp_path / "data")
    run = docker_calls.read_text(encoding="utf-8").splitlines()[1]

    assert started == local.LocalStore(dynamodb_endpoint, "docker", None, str(tmp_path / "data"), None)
    assert f"--publish 127.0.0.1:{answering}:8000 --volume {tmp_path / 'data'}:/data" in run
    assert run.endswith(f"{local.IMAGE} -jar DynamoDBLocal.jar -sharedDb -disableTelemetry -dbPath /data")


def test_an_engine_that_refuses_is_quoted(docker_calls: Path, port: int) -> None:
    said = "echo 'Cannot connect to the Docker daemon' >&2; exit 1"
    _program(docker_calls.with_name("docker"), _DOCKER.format(run=said, runs="true"))

    with pytest.raises(LocalStoreError, match="docker failed: Cannot connect to the Docker daemon"):
        local.up(engine="docker", port=port)


def test_a_container_that_ends_is_told_at_once_with_what_it_wrote(docker_calls: Path, port: int) -> None:
    _program(docker_calls.with_name("docker"), _DOCKER.format(run="true", runs="false"))

    with pytest.raises(LocalStoreError, match="the container did not start: one / two"):
        local.up(engine="docker", port=port)

    calls = docker_calls.read_text(encoding="utf-8").splitlines()
    assert [call.split()[0] for call in calls] == ["rm", "run", "inspect", "logs", "rm"]


def test_an_interrupt_while_a_container_starts_leaves_none_behind(docker_calls: Path, port: int) -> None:
    started = docker_calls.with_name("started")
    _program(docker_calls.with_name("docker"), _DOCKER.format(run="true", runs=f"true; echo > {started}"))
    command = [sys.executable, "-m", "zae_limiter", "local", "up", "--engine", "docker", "--port", str(port)]
    with (
        subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as up,
        at_most(60, up),
    ):
        while not started.exists() and up.poll() is None:
            os.sched_yield()
        up.send_signal(signal.SIGINT)
        assert up.wait() == 1

    assert docker_calls.read_text(encoding="utf-8").splitlines()[-1] == f"rm --force {local.CONTAINER}"
    assert local.status() is None


def test_docker_is_taken_where_java_is_missing_and_its_logs_are_read(docker_calls: Path, state: Path) -> None:
    assert local._installed_engine() == "docker"
    state.mkdir(parents=True)
    _note(state, "docker", None)

    assert local.logs() == ["one", "two"]
    assert local.down() is not None
    assert docker_calls.read_text(encoding="utf-8").splitlines()[-1] == f"rm --force {local.CONTAINER}"


def test_the_environment_reaches_it() -> None:
    assert local.environment("http://127.0.0.1:8000")["AWS_ENDPOINT_URL_DYNAMODB"] == "http://127.0.0.1:8000"


def test_a_java_that_is_too_old_is_told(java: None, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    said = 'Exception in thread "main" java.lang.UnsupportedClassVersionError: it is of a later version'
    frames = "; ".join(f"echo '\tat java.lang.ClassLoader.defineClass{number}'" for number in range(5))
    _program(fake / "java", f"#!/bin/sh\n(echo '{said}'; {frames}) >&2\nexit 1\n")
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")

    with pytest.raises(LocalStoreError, match="this java is too old; install Java 17 or later"):
        local.up(engine="java", port=port)


def test_who_gives_up_waiting_leaves_no_server(
    java: None, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, started = tmp_path / "bin", tmp_path / "started"
    fake.mkdir()
    _program(fake / "java", f"#!/bin/sh\necho $$ > {started}.new && mv {started}.new {started}\nexec sleep 600\n")
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
    command = [sys.executable, "-m", "zae_limiter", "local", "up", "--engine", "java", "--port", str(port)]
    with (
        subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as up,
        at_most(60, up),
    ):
        while not started.exists() and up.poll() is None:
            os.sched_yield()
        up.send_signal(signal.SIGINT)
        assert up.wait() == 1

    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text(encoding="utf-8")), 0)
    assert local.status() is None


def test_a_server_is_stopped_on_a_machine_without_the_program_ps(
    java: None, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = local.up(port=port)
    monkeypatch.setenv("PATH", "")

    assert local.down() == started
    assert not local.is_up(started.endpoint_url)


def test_what_took_the_port_since_may_speak_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(local.is_up, f"http://127.0.0.1:{other.getsockname()[1]}")
        connection, _ = other.accept()
        with connection:
            connection.sendall(b"SSH-2.0-other\r\n")
        assert answer.result(timeout=20) is False


@pytest.mark.parametrize("place", ["state", "data"])
def test_a_folder_that_cannot_be_made_is_told(
    java: None, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with monkeypatch.context() as patch:
        if place == "state":
            patch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
        with pytest.raises(LocalStoreError, match=r"cannot be made \(Not a directory\); name another"):
            local.up(port=port, data=tmp_path / "file" / "data")
