"""`customeros customer`: what is known of one customer, asked of the API."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from customeros.ops.customer_view import customer_view
from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Settings, read_settings

app = typer.Typer(no_args_is_help=True, help="One customer, all round.")

_ANSWER_SECONDS: Final = 10.0
# The code of an answer that takes longer than a request may.
_WORKING: Final = "comparing"


class NotKnown(Exception):
    """
    There is no such customer, or the question is malformed; the text says which.

    Args:
        code: the API's, for programs.
    """

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class NotYet(Unavailable):
    """The answer is being worked out: ask again."""


@app.callback()
def customer() -> None:
    """One customer, all round."""


@app.command()
def show(
    identifier: Annotated[
        str, typer.Argument(help="type:value, as email:ada@example.com, or a customer id.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Who it is, identifiers, traits with source and time, money, conversations, timeline."""
    with refusals_told():
        found = fetch_customer(read_settings(), identifier)
    if as_json:
        print_json(found)
    else:
        Console().print(customer_view(found))


@contextmanager
def refusals_told() -> Iterator[None]:
    """What the API does not know, or refuses, is told in its sentence; the command ends with 1."""
    try:
        yield
    except NotKnown as error:
        typer.echo(f"customeros: {error}", err=True)
        raise typer.Exit(1) from None


def print_json(found: dict[str, Any]) -> None:
    """An answer for scripts."""
    typer.echo(json.dumps(found, indent=1, ensure_ascii=False))


def fetch_customer(settings: Settings, identifier: str) -> dict[str, Any]:
    """
    The customer as the API gives it.

    Raises:
        NotKnown, Unavailable, Misconfigured: see `ask_api`.
    """
    return ask_api(settings, f"customers/{urllib.parse.quote(identifier, safe=':@')}")


def ask_api(
    settings: Settings,
    path: str,
    order: dict[str, Any] | None = None,
    *,
    seconds: float = _ANSWER_SECONDS,
) -> dict[str, Any]:
    """
    What the API answers for `/v1/PATH`.

    Args:
        order: what is to be done, as the body of a POST; None: a GET.
        seconds: that the answer may take.

    Raises:
        NotYet: it is being worked out: ask again.
        NotKnown: there is no such thing, it is refused, or the question is malformed.
        Unavailable: no API answers.
        Misconfigured: the API takes another token than this home holds.
    """
    url = f"http://{settings.api.host}:{settings.api.port}/v1/{path}"
    token = read_secrets(settings).api_token
    body = None if order is None else json.dumps(order).encode()
    request = urllib.request.Request(url, body, {"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        with error:
            code, message = _told(error)
            if error.code in (401, 403):
                raise Misconfigured(
                    f"the API on port {settings.api.port} runs with another home: "
                    "set CUSTOMEROS_HOME"
                ) from None
            if error.code in (400, 404, 409, 410, 429):
                raise NotKnown(message, code) from None
            raise (NotYet if code == _WORKING else Unavailable)("the API") from error
    except (urllib.error.URLError, TimeoutError) as error:
        raise Unavailable(f"the API at {settings.api.host}:{settings.api.port}") from error


def _told(error: urllib.error.HTTPError) -> tuple[str, str]:
    try:
        told = json.load(error)["error"]
        return str(told.get("code")), str(told["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", f"the API answered {error.code}"
