"""Amazon's DynamoDB Local to develop against: fetched once, started, looked at, stopped.

Two engines: `java` runs the libraries that Maven fetched, `docker` runs Amazon's image. What runs is noted in a
folder of the user, so that another process can look at it and stop it.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from zae_limiter.exceptions import LocalStoreError, ValidationError

Engine: TypeAlias = Literal["java", "docker"]

VERSION: Final = "3.3.1"
IMAGE: Final = f"amazon/dynamodb-local:{VERSION}"
CONTAINER: Final = "zae-limiter-local"
DEFAULT_PORT: Final = 8000
REGION: Final = "us-east-1"
PROCESSES: Final = Path("/proc")
MAIN_CLASS: Final = "software.amazon.dynamodb.services.local.main.ServerRunner"

_PLUGIN: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_POM: Final = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>zae-limiter</groupId>
  <artifactId>dynamodb-local</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>software.amazon.dynamodb</groupId>
      <artifactId>DynamoDBLocal</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""
_SIGNS_OF_BROKEN_LIBRARIES: Final = ("ClassNotFoundException", "NoClassDefFoundError", "ZipException", "zip END header")
_FETCH_SECONDS: Final = 600
_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 10
_RELEASE_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class LocalStore:
    """A DynamoDB Local that was started: where it answers, what runs it, where its data and its log are.

    `data` is None for one that forgets everything when it stops; `process` is the number of the process of
    the java engine.
    """

    endpoint_url: str
    engine: Engine
    process: int | None
    data: str | None
    log: str | None

    @property
    def is_answering(self) -> bool:
        """Whether it answers now."""
        return is_up(self.endpoint_url)


def up(
    *, engine: Engine | None = None, port: int = DEFAULT_PORT, data: Path | None = None, image: str = IMAGE
) -> LocalStore:
    """Start a local store, or tell of the one that runs; waits until it answers.

    Without an engine the one whose tools are installed is taken, java first. `data` is a folder that keeps the
    tables; without it they live in memory. `image` is what the docker engine runs. Raises `LocalStoreError`, with
    the end of the server's log where it did not start.
    """
    if type(port) is not int or not 1 <= port <= 65_535:
        raise ValidationError("port", str(port), "must be from 1 to 65535")
    folder = state_folder()
    _make(folder)
    with locked(folder / "lock"):
        running = status()
        if running is not None and running.is_answering:
            return running
        if running is not None:
            _stop(running)
        _check_free(port)
        chosen = engine or _installed_engine()
        if data is not None:
            data = data.absolute()
            _make(data)
        started = _start_java(port, data) if chosen == "java" else _start_docker(port, data, image)
        _note().write_text(json.dumps(asdict(started)), encoding="utf-8")
    return started


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalStoreError(f"the folder {folder} cannot be made ({error.strerror}); name another") from error


def down() -> LocalStore | None:
    """Stop the local store and forget it; returns what was stopped, None if nothing was running."""
    running = status()
    if running is None:
        return None
    _stop(running)
    _note().unlink(missing_ok=True)
    return running


def status() -> LocalStore | None:
    """The local store that was started and not stopped; it may have ended by itself."""
    try:
        return LocalStore(**json.loads(_note().read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def logs(tail: int = 100) -> list[str]:
    """The last lines that the local store has written; `LocalStoreError` if none was started."""
    running = status()
    if running is None:
        raise LocalStoreError("no local store is running; 'zae-limiter local up' starts one")
    if running.engine == "docker":
        return _docker("logs", "--tail", str(tail), CONTAINER).splitlines()
    with contextlib.suppress(OSError):
        return Path(str(running.log)).read_text(encoding="utf-8", errors="replace").splitlines()[-tail:]
    return []


def follow(tail: int = 100) -> Generator[str, None, None]:
    """The last lines that the local store has written, and those that it writes, until whoever reads has enough."""
    running = status()
    if running is None:
        raise LocalStoreError("no local store is running; 'zae-limiter local up' starts one")
    shown = ["docker", "logs", "--follow", "--tail", str(tail), CONTAINER]
    if running.engine == "java":
        shown = ["tail", "-n", str(tail), "-f", str(running.log)]
    try:
        process = subprocess.Popen(shown, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError as error:
        raise LocalStoreError(f"{shown[0]} could not be run: {error}") from error
    with process:
        try:
            for line in process.stdout or ():
                yield line.rstrip()
        finally:
            process.terminate()


def environment(endpoint_url: str) -> dict[str, str]:
    """The variables with which AWS clients reach a local store; it takes any key and any region."""
    return {
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint_url,
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": endpoint_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": REGION,
    }


def is_up(endpoint_url: str) -> bool:
    """Whether a DynamoDB answers there; it refuses a request without a signature."""
    try:
        with urllib.request.urlopen(endpoint_url, timeout=5):
            return False
    except urllib.error.HTTPError as error:
        return error.code == 400
    except (OSError, http.client.HTTPException):
        # Who took the port since may speak no HTTP.
        return False


def state_folder() -> Path:
    """Where it is noted what runs."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "zae-limiter" / "local"


def libraries_folder() -> Path:
    """Where the java engine's libraries are kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "zae-limiter" / "dynamodb-local" / VERSION


def fetched_libraries() -> Path:
    """The folder with the java engine's libraries, fetched with Maven if it is not there."""
    check_java_tools()
    folder = libraries_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name("fetch.lock")):
        if not folder.is_dir():
            _fetch(folder)
    return folder


def check_java_tools() -> None:
    """`LocalStoreError` where the java engine cannot run."""
    needed = ["java"] if libraries_folder().is_dir() else ["java", "mvn"]
    missing = [program for program in needed if shutil.which(program) is None]
    if missing:
        raise LocalStoreError(
            f"the java engine needs {' and '.join(missing)}: install Java 17 or later and Maven, or use docker"
        )


def java_command(libraries: Path, port: int, data: Path | None = None) -> list[str]:
    """How the server is started."""
    kept = ["-inMemory"] if data is None else ["-dbPath", str(data)]
    return [
        "java",
        "-Xmx768m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Djava.library.path={libraries}",
        "-cp",
        f"{libraries}/*",
        MAIN_CLASS,
        *kept,
        *("-sharedDb", "-disableTelemetry", "-port", str(port)),
    ]


@contextlib.contextmanager
def locked(path: Path) -> Generator[None, None, None]:
    """Alone on this machine with what the path stands for; a process that dies lets go."""
    import fcntl

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _note() -> Path:
    return state_folder() / "store.json"


def _installed_engine() -> Engine:
    try:
        check_java_tools()
    except LocalStoreError:
        if shutil.which("docker") is None:
            raise
        return "docker"
    return "java"


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        (Path(place) / "pom.xml").write_text(_POM, encoding="utf-8")
        command = ["mvn", "-q", "-B", _PLUGIN, "-DoutputDirectory=lib", "-DincludeScope=runtime"]
        _run(command, seconds=_FETCH_SECONDS, folder=place)
        # A folder appears whole or not at all: a fetch that was interrupted leaves none.
        (Path(place) / "lib").rename(folder)


def _start_java(port: int, data: Path | None) -> LocalStore:
    libraries = fetched_libraries()
    log = state_folder() / "server.log"
    with log.open("wb") as output:
        # In a session of its own, so that an interrupt at the keyboard does not stop it.
        process = subprocess.Popen(
            java_command(libraries, port, data),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    endpoint_url = f"http://127.0.0.1:{port}"
    try:
        if not wait_until_up(endpoint_url, lambda: process.poll() is None):
            raise LocalStoreError(f"the server did not start: {_why_not(log, libraries)}")
    except BaseException:
        # Who gives up waiting must not leave a server that nobody knows of.
        process.kill()
        process.wait()
        raise
    started = LocalStore(endpoint_url, "java", process.pid, None if data is None else str(data), str(log))
    # It outlives this process; it is nobody's to wait for.
    process.returncode = 0
    return started


def wait_until_up(endpoint_url: str, is_running: Callable[[], bool]) -> bool:
    """Wait until a server answers; false when what runs it has ended or a minute has passed."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and is_running():
        if is_up(endpoint_url):
            return is_running()
        time.sleep(0.1)
    return False


def _start_docker(port: int, data: Path | None, image: str = IMAGE) -> LocalStore:
    _docker("rm", "--force", CONTAINER, may_fail=True)
    kept = ["-inMemory"] if data is None else ["-dbPath", "/data"]
    mounted = [] if data is None else ["--volume", f"{data}:/data", "--user", "root"]
    published = ["--publish", f"127.0.0.1:{port}:8000"]
    server = ["-jar", "DynamoDBLocal.jar", "-sharedDb", "-disableTelemetry", *kept]
    endpoint_url = f"http://127.0.0.1:{port}"
    try:
        _docker("run", "--detach", "--name", CONTAINER, *published, *mounted, image, *server)
        if not wait_until_up(endpoint_url, _container_runs):
            end = " / ".join(_docker("logs", "--tail", "5", CONTAINER, may_fail=True).splitlines())
            raise LocalStoreError(f"the container did not start: {end}")
    except BaseException:
        # Who gives up waiting must not leave a container that nobody knows of.
        _docker("rm", "--force", CONTAINER, may_fail=True)
        raise
    return LocalStore(endpoint_url, "docker", None, None if data is None else str(data), None)


def _container_runs() -> bool:
    return _docker("inspect", "--format", "{{.State.Running}}", CONTAINER, may_fail=True).strip() == "true"


def _stop(store: LocalStore) -> None:
    if store.engine == "docker":
        _docker("rm", "--force", CONTAINER)
    elif store.process is not None and _is_ours(store.process):
        os.kill(store.process, signal.SIGTERM)
        until = time.monotonic() + _STOP_SECONDS
        while _is_ours(store.process) and time.monotonic() < until:
            time.sleep(0.05)
        if _is_ours(store.process):
            os.kill(store.process, signal.SIGKILL)


def _is_ours(process: int) -> bool:
    """Whether the process is a server still, and not another one that got its number."""
    with contextlib.suppress(OSError):
        # A zombie has no command line. Not every machine with a /proc has the program ps.
        return MAIN_CLASS.encode() in (PROCESSES / str(process) / "cmdline").read_bytes()
    if PROCESSES.is_dir():
        return False
    found = subprocess.run(
        ["ps", "-ww", "-o", "stat=", "-o", "command=", "-p", str(process)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return MAIN_CLASS in found and not found.startswith("Z")


def _check_free(port: int) -> None:
    until = time.monotonic() + _RELEASE_SECONDS
    while (taken := _taken(port)) and time.monotonic() < until:
        # A process that was stopped has gone before its port is free.
        time.sleep(0.05)
    if taken:
        raise LocalStoreError(f"port {port} is taken ({taken.strerror}); choose another with --port") from taken


def _taken(port: int) -> OSError | None:
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind(("127.0.0.1", port))
        except OSError as error:
            return error
    return None


def _docker(*arguments: str, may_fail: bool = False) -> str:
    if shutil.which("docker") is None:
        raise LocalStoreError("the docker engine needs the program docker; install it, or use --engine java")
    return _run(["docker", *arguments], seconds=_FETCH_SECONDS, may_fail=may_fail)


def _run(command: Sequence[str], *, seconds: float, folder: str | None = None, may_fail: bool = False) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LocalStoreError(f"{command[0]} could not be run: {error}") from error
    if done.returncode and not may_fail:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise LocalStoreError(f"{command[0]} failed: {' / '.join(said[-3:]) or done.returncode}")
    return done.stdout + done.stderr


def _why_not(log: Path, libraries: Path) -> str:
    written = log.read_text(encoding="utf-8", errors="replace")
    if "UnsupportedClassVersionError" in written:
        return "this java is too old; install Java 17 or later"
    end = " / ".join([line for line in written.splitlines() if line.strip()][-3:]) or "it said nothing"
    is_broken = any(sign in end for sign in _SIGNS_OF_BROKEN_LIBRARIES)
    return f"{end}; its libraries are broken, remove {libraries} to fetch them anew" if is_broken else end
