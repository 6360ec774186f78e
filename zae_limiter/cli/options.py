"""Which store a command works on: its options, the environment, the profile; and the limiter that is opened for it.

An option of the command goes before the environment, that before the profile; on one step `--store` and `--name`
exclude each other.
"""

import contextlib
import functools
import getpass
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

import click
from click.core import ParameterSource

from zae_limiter import environment
from zae_limiter.cli.profile import profile

if TYPE_CHECKING:
    from zae_limiter.sync_limiter import SyncRateLimiter
    from zae_limiter.sync_repository import SyncRepository

DEFAULT_NAME: Final = "zae-limiter"
PATIENCE_SECONDS: Final = 10.0
"""How long a command waits for a store; a person would rather wait than be told of a deadline."""
REFUSED: Final = 3
"""The exit code of a charge that was refused and of a check that found something."""
_ENDPOINT_HELP: Final = "Where AWS's services answer, if not at AWS."
_UNNAMED: Final = (
    "no store is named; give --store embedded:///var/lib/app/limits.db or set ZAE_LIMITER_STORE,"
    f" else the DynamoDB table {DEFAULT_NAME!r} is meant"
)
_PLACE: Final = ("store", "name", "region", "endpoint_url", "namespace")


class Refused(click.ClickException):
    """The answer is no: a charge that does not fit, a drift, something unhealthy."""

    exit_code = REFUSED


@contextlib.contextmanager
def errors_told(*, is_unnamed: bool = False) -> Generator[None, None, None]:
    """Turn the library's errors into one line on standard error and an exit code.

    `is_unnamed` is true where the usual table is worked on, since no store was named.
    """
    from zae_limiter.exceptions import MissingExtraError, RateLimitExceeded, ValidationError, ZAELimiterError

    try:
        yield
    except RateLimitExceeded as refused:
        raise Refused(str(refused)) from refused
    except ValidationError as error:
        if error.field != "region" or error.value != "None":
            raise click.ClickException(str(error)) from error
        raise click.ClickException(
            "no AWS region is known; give --region or AWS_REGION, "
            "or name a store that needs none: --store embedded:///var/lib/app/limits.db"
        ) from error
    except MissingExtraError as error:
        raise click.ClickException(f"{_UNNAMED}; {error}" if is_unnamed else str(error)) from error
    except ZAELimiterError as error:
        raise click.ClickException(str(error)) from error


@dataclass(frozen=True, slots=True)
class StoreChoice:
    """The store that the options name; `namespace` is None for the default one."""

    address: str
    namespace: str | None
    create: bool

    def check(self) -> None:
        """Refuse the file of an embedded store that is not there, unless it is to be made."""
        parts = _parts(self.address)
        if parts.scheme == "embedded" and not self.create and not Path(unquote(parts.path)).exists():
            raise click.ClickException(f"there is no file {unquote(parts.path)!r}; --create makes it")

    @property
    def limiter_options(self) -> dict[str, Any]:
        """What goes with the address to whoever opens a limiter."""
        named = {} if self.namespace is None else {"namespace": self.namespace}
        return {**named, "timeout": PATIENCE_SECONDS}


@dataclass(frozen=True, slots=True)
class TableChoice:
    """The DynamoDB table that the options name."""

    name: str
    region: str | None
    endpoint_url: str | None

    @classmethod
    def at(cls, address: str) -> "TableChoice":
        """The table of an address; `click.UsageError` for that of another store."""
        parts = _parts(address)
        if parts.scheme != "dynamodb" or not parts.netloc:
            raise click.UsageError(f"this command works on a DynamoDB table, and {address!r} is none; give --name")
        query = dict(parse_qsl(parts.query))
        unknown = sorted(set(query) - {"region", "endpoint_url", "namespace"})
        if unknown:
            raise click.UsageError(f"{unknown[0]!r} is no part of an address; it takes region and endpoint_url")
        return cls(unquote(parts.netloc), query.get("region"), query.get("endpoint_url"))


def _parts(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        forms = "embedded:///var/lib/app/limits.db or dynamodb://name?region=eu-central-1"
        raise click.UsageError(f"{address!r} is no address of a store; write {forms}") from error


@dataclass(frozen=True, slots=True)
class _Chosen:
    store: str | None
    name: str | None
    region: str | None
    endpoint_url: str | None
    namespace: str | None

    @property
    def is_unnamed(self) -> bool:
        return self.store is None and self.name is None


def _chosen(given: Mapping[str, str | None]) -> _Chosen:
    """What the options, the environment and the profile say together."""
    for mistake in environment.unknown():
        click.echo(f"Warning: {mistake}", err=True)
    context = click.get_current_context()
    steps = [
        {key: value for key, value in given.items() if value and context.get_parameter_source(key) is source}
        for source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    ]
    steps.append(profile())
    store, name = _named(steps)
    first = {key: next((step[key] for step in steps if key in step), None) for key in _PLACE}
    if store is None:
        return _Chosen(None, name, first["region"], first["endpoint_url"], first["namespace"])
    if {"region", "endpoint_url"} & set(steps[0]):
        raise click.UsageError("--region and --endpoint-url go with --name; an address has them after a '?'")
    says_itself = "namespace" in dict(parse_qsl(_parts(store).query))
    namespace = steps[0].get("namespace") if says_itself else first["namespace"]
    return _Chosen(store, None, None, None, namespace)


def _named(steps: Sequence[Mapping[str, str]]) -> tuple[str | None, str | None]:
    words = (
        "--store and --name both name",
        "ZAE_LIMITER_STORE and ZAE_LIMITER_NAME both name",
        "the profile twice names",
    )
    for step, told in zip(steps, words, strict=True):
        if "store" in step and "name" in step:
            raise click.UsageError(f"{told} a store; give one of them")
        if "store" in step or "name" in step:
            return step.get("store"), step.get("name")
    return None, None


def table_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a DynamoDB table and its stack, and call it with what they choose."""
    return _on_table(function, must_be_named=False)


def named_table_options(function: Callable[..., None]) -> Callable[..., None]:
    """The same for a command that destroys: nobody deletes what merely has the usual name."""
    return _on_table(function, must_be_named=True)


def _on_table(function: Callable[..., None], *, must_be_named: bool) -> Callable[..., None]:
    @functools.wraps(function)
    def command(
        *, store: str | None, name: str | None, region: str | None, endpoint_url: str | None, **rest: Any
    ) -> None:
        given = {"store": store, "name": name, "region": region, "endpoint_url": endpoint_url}
        chosen = _chosen(given)
        if must_be_named and chosen.is_unnamed:
            raise click.UsageError("name what is to be deleted: --name NAME")
        table = TableChoice.at(_address(chosen))
        function(name=table.name, region=table.region, endpoint_url=table.endpoint_url, **rest)

    return _with(command, _OPTIONS[:4])


def place_options(function: "Callable[Concatenate[str, ...], None]") -> Callable[..., None]:
    """Give a command the options that name a store of any kind, and call it with the address of the store."""

    @functools.wraps(function)
    def command(
        *, store: str | None, name: str | None, region: str | None, endpoint_url: str | None, **rest: Any
    ) -> None:
        given = {"store": store, "name": name, "region": region, "endpoint_url": endpoint_url}
        chosen = _chosen(given)
        address = _address(chosen)
        with errors_told(is_unnamed=chosen.is_unnamed):
            StoreChoice(address, None, create=False).check()
            function(address, **rest)

    return _with(command, _OPTIONS[:4])


def open_table(name: str, region: str | None, endpoint_url: str | None) -> "SyncRepository":
    """A repository over a table, not reached yet, with the patience of a command."""
    from zae_limiter.sync_repository import SyncRepository

    return SyncRepository(name, region, endpoint_url=endpoint_url, timeout=PATIENCE_SECONDS)


def store_options(function: "Callable[Concatenate[StoreChoice, ...], None]") -> Callable[..., None]:
    """Give a command the options that name a store, and call it with what they choose."""

    @functools.wraps(function)
    def command(
        *,
        store: str | None,
        name: str | None,
        region: str | None,
        endpoint_url: str | None,
        namespace: str | None,
        create: bool,
        **rest: Any,
    ) -> None:
        given = {"store": store, "name": name, "region": region, "endpoint_url": endpoint_url, "namespace": namespace}
        chosen = _chosen(given)
        choice = StoreChoice(_address(chosen), chosen.namespace, create)
        with errors_told(is_unnamed=chosen.is_unnamed):
            choice.check()
            function(choice, **rest)

    return _with(command, _OPTIONS)


def _with(command: Callable[..., None], options: "tuple[Callable[..., Any], ...]") -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command


def on_store(function: "Callable[Concatenate[SyncRateLimiter, ...], None]") -> Callable[..., None]:
    """The same for a command that is called with a limiter that is open on the store."""

    @functools.wraps(function)
    def command(choice: StoreChoice, **rest: Any) -> None:
        from zae_limiter.stores import open_sync_limiter

        with open_sync_limiter(choice.address, **choice.limiter_options) as limiter:
            function(limiter, **rest)

    return store_options(command)


_OPTIONS: Final = (
    click.option(
        "--store",
        envvar="ZAE_LIMITER_STORE",
        help="Address of the store: embedded:///var/lib/app/limits.db, or dynamodb://name?region=eu-central-1.",
    ),
    click.option(
        "--name", "-n", envvar="ZAE_LIMITER_NAME", help=f"Name of the DynamoDB table.  [default: {DEFAULT_NAME}]"
    ),
    click.option("--region", envvar="ZAE_LIMITER_REGION", help="AWS region of the table."),
    click.option("--endpoint-url", envvar="ZAE_LIMITER_ENDPOINT_URL", help=_ENDPOINT_HELP),
    click.option("--namespace", "-N", envvar="ZAE_LIMITER_NAMESPACE", help="Namespace to work in.  [default: default]"),
    click.option("--create", is_flag=True, help="Make the file of an embedded store if it is not there."),
)


def _address(chosen: _Chosen) -> str:
    if chosen.store is not None:
        return chosen.store
    query = {"region": chosen.region, "endpoint_url": chosen.endpoint_url}
    given = urlencode({key: value for key, value in query.items() if value is not None})
    # A slash would begin a path: what is before it alone would be taken for the name.
    return f"dynamodb://{quote(chosen.name or DEFAULT_NAME, safe='')}" + (f"?{given}" if given else "")


def _user() -> str | None:
    if named := profile().get("principal"):
        return named
    from zae_limiter.exceptions import ValidationError
    from zae_limiter.naming import check_principal

    try:
        return check_principal(getpass.getuser())
    except (OSError, KeyError, ValidationError):
        return None


principal_option: Final = click.option(
    "--principal",
    envvar="ZAE_LIMITER_PRINCIPAL",
    default=_user,
    help="Who makes the change, for the audit trail.  [default: the profile's, or the user of this system]",
)
yes_option: Final = click.option("--yes", "-y", is_flag=True, help="Do not ask first.")
resource_option: Final = click.option(
    "--resource", "-r", default="_default_", show_default=True, help="For one resource; _default_ is for all."
)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed; anything but yes ends the command with 1."""
    if yes:
        return
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort as refused:
        raise click.ClickException("nothing was done; --yes does it without asking") from refused
