"""A page as the folder finds it, and the one way to show one: fetch first, then render."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp_jinja2
import msgspec
from aiohttp import web

from console.proofs import Proofs
from service.core.shapes import Clock
from service.core.times import utc_text
from service.ledger.assurance import Assuring
from service.ledger.reading import Reading

PREFIX = "/console"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NotHereError(LookupError):
    """What an address names is not in the ledger; the text is fit to show."""


class NotAllowedError(PermissionError):
    """What an address names is not for who asks; the text is fit to show."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its file's name, and the paths under the console that lead to it."""

    name: str
    routes: tuple[web.RouteDef, ...]


@dataclass(frozen=True, slots=True)
class State:
    """What every page is given.

    Attributes:
        reading: the ledger, read-only.
        console_url: where the console is reached from outside, without a slash at the end.
        mcp_url: where MCP clients connect.
        simulated_banner: whether this service runs simulated providers, so that every page must say so.
        clock: tells until when evidence was weighed.
        owner: the one client whose calls a request may see; None for all.
        assets: the path of each static file, with the content's hash in it.
        assure: says how far the log is signed and verified; it blocks.
        may_stay: whether who made a request may still read, for what goes on after the first answer.
        wallets: names of those that this service pays from; the ledger may know more.
        proofs: the way to begin a proof, where there is one.
    """

    reading: Reading
    console_url: str
    mcp_url: str
    simulated_banner: bool
    clock: Clock
    owner: Callable[[web.Request], str | None]
    assets: dict[str, str]
    assure: Assuring
    may_stay: Callable[[web.Request], bool]
    wallets: tuple[str, ...]
    proofs: Proofs

    @property
    def api_url(self) -> str:
        """Where `/api` is: nothing where it is beside the console, else the address of the service."""
        service = self.mcp_url.removesuffix("/mcp").replace("ws", "http", 1)
        return "" if service == self.console_url else service

    def as_of(self) -> str:
        """Say this moment in UTC."""
        return utc_text(self.clock.now_ns())


STATE = web.AppKey("STATE", State)


def require_all(request: web.Request) -> None:
    """Turn away who may see one client's calls alone: what a provider says is of all clients together.

    Raises:
        NotAllowedError: the request is of such a reader.
    """
    owner = request.config_dict[STATE].owner(request)
    if owner is not None:
        raise NotAllowedError(
            "A provider's counter is of the whole account, so this page says what all clients spent together."
            f" It is not shown to who may see the calls of client {owner} alone."
        )


def show(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:  # noqa: ANN401 - what the template asks for
    """Render a page. Everything it shows must have been fetched before."""
    state = request.config_dict[STATE]
    shown = {
        "prefix": PREFIX,
        "assets": state.assets,
        "mcp_url": state.mcp_url,
        "api_url": state.api_url,
        "simulated_banner": state.simulated_banner,
        "owner": state.owner(request),
        "some_simulated": False,
    }
    response = aiohttp_jinja2.render_template(template, request, shown | context, status=status)
    compress(request, response)
    return response


def compress(request: web.Request, response: web.Response) -> None:
    """Compress a text for a client that asks for gzip in so many words. What may be kept must say so in `Vary`."""
    if "gzip" in {coding.strip() for coding in request.headers.get("Accept-Encoding", "").split(",")}:
        response.enable_compression(web.ContentCoding.gzip)


def answer_json(shown: object, *, status: int = 200) -> web.Response:
    """Answer with one JSON document."""
    return web.Response(body=msgspec.json.encode(shown), status=status, content_type="application/json")
