"""`zae-limiter local`: a DynamoDB Local to develop against, with the table and the default namespace in it."""

import os
import shlex
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from zae_limiter.cli.options import DEFAULT_NAME, Refused, errors_told
from zae_limiter.cli.render import json_option, show_json, show_table

if TYPE_CHECKING:
    from zae_limiter.local import Engine, LocalStore

_FORMS: Final = {
    "eval": "export {name}={value}",
    "direnv": "export {name}={value}",
    "fish": "set -gx {name} {value}",
    "powershell": '$Env:{name} = "{value}"',
}
_form_option = click.option(
    "--format",
    "-f",
    "form",
    type=click.Choice(list(_FORMS)),
    default="eval",
    show_default=True,
    help="For which shell.",
)
_name_option = click.option(
    "--name", "-n", envvar="ZAE_LIMITER_NAME", default=DEFAULT_NAME, show_default=True, help="Name of the table."
)


@click.group()
def local() -> None:
    """A DynamoDB Local to develop against."""


@local.command()
@click.option("--engine", type=click.Choice(["java", "docker"]), help="What runs it; what is installed if not given.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8000, show_default=True, help="Where it answers.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Keep the tables in this folder.")
@click.option("--image", help="What the docker engine runs, in place of Amazon's image; DOCKER_HOST says where.")
@_name_option
@_form_option
def up(*, engine: "Engine | None", port: int, data: Path | None, image: str | None, name: str, form: str) -> None:
    """Start it, make the table and the default namespace, and print the environment to use.

    For example: zae-limiter local up --data ./tables
    """
    from zae_limiter import local as store
    from zae_limiter.sync_repository import SyncRepository

    with errors_told():
        session = _session()
        started = store.up(engine=engine, port=port, data=data, image=image or store.IMAGE)
        _warn_of_another(started, port, data)
        click.echo(f"DynamoDB Local ({started.engine}) answers at {started.endpoint_url}", err=True)
        # The first table of a server takes seconds, more so on a busy machine.
        repository = SyncRepository(name, endpoint_url=started.endpoint_url, session=session, timeout=120.0)
        repository.create_table()
        repository.close()
    click.echo(f"the table {name!r} is there, with the namespace 'default'", err=True)
    _print_environment(started, name, form)


def _warn_of_another(started: "LocalStore", port: int, data: Path | None) -> None:
    """Say so where one that runs already is not as it was asked for now."""
    source = click.get_current_context().get_parameter_source("port")
    other_port = source is ParameterSource.COMMANDLINE and not started.endpoint_url.endswith(f":{port}")
    other_data = data is not None and started.data != str(data.absolute())
    if other_port or other_data:
        kept = f"keeps its tables in {started.data}" if started.data else "keeps its tables in memory"
        click.echo(
            f"Warning: one runs already at {started.endpoint_url} and {kept}; 'zae-limiter local down' ends it",
            err=True,
        )


@local.command()
def down() -> None:
    """Stop it; without --data its tables are gone then.

    For example: zae-limiter local down
    """
    from zae_limiter import local as store

    with errors_told():
        stopped = store.down()
    click.echo("nothing was running" if stopped is None else f"stopped what answered at {stopped.endpoint_url}")


@local.command()
@json_option
def status(*, as_json: bool) -> None:
    """Show what runs; exits with 3 when nothing answers.

    For example: zae-limiter local status
    """
    from dataclasses import asdict

    found = _running()
    answers = found is not None and found.is_answering
    if as_json:
        show_json(None if found is None else {**asdict(found), "is_answering": answers})
    elif found is not None:
        data = {**asdict(found), "answers": "yes" if answers else "no"}
        show_table(("field", "value"), [(key.replace("_", " "), value) for key, value in data.items()])
    if not answers:
        raise Refused("no local store is running; 'zae-limiter local up' starts one")


@local.command()
@click.option("--tail", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many lines.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what it writes, until Ctrl-C.")
def logs(*, tail: int, follow: bool) -> None:
    """Print the last lines that it has written.

    For example: zae-limiter local logs --tail 20
    """
    from zae_limiter import local as store

    with errors_told():
        for line in store.follow(tail) if follow else store.logs(tail):
            click.echo(line)


@local.command()
@_name_option
@_form_option
def env(*, name: str, form: str) -> None:
    """Print the environment in which programs and commands use it.

    For example: zae-limiter local env --format powershell
    """
    found = _running()
    if found is None:
        raise Refused("no local store is running; 'zae-limiter local up' starts one")
    _print_environment(found, name, form)


def _running() -> "LocalStore | None":
    from zae_limiter import local as store

    return store.status()


def _session() -> Any:
    """A session with keys that the local store takes, whatever this machine has for AWS itself."""
    from zae_limiter.exceptions import MissingExtraError
    from zae_limiter.local import environment

    try:
        boto3 = import_module("boto3")
    except ModuleNotFoundError as error:
        raise MissingExtraError("aws", "a DynamoDB table") from error
    keys = environment("")
    return boto3.Session(
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        region_name=keys["AWS_DEFAULT_REGION"],
    )


def _print_environment(store: "LocalStore", name: str, form: str) -> None:
    from zae_limiter.local import environment

    variables = {**environment(store.endpoint_url), "ZAE_LIMITER_STORE": f"dynamodb://{name}"}
    if os.environ.get("ZAE_LIMITER_NAME"):
        # Both would name a store, and every command would refuse that.
        variables["ZAE_LIMITER_NAME"] = ""
    for variable, value in variables.items():
        quoted = value if form == "powershell" else shlex.quote(value)
        click.echo(_FORMS[form].format(name=variable, value=quoted))
