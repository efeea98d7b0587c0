"""The console: an application of its own, mounted under `/console/`. Who may see it is not decided here."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any

import aiohttp_jinja2
import jinja2
from aiohttp import web

from console import codes, figures, pages, words
from console.asking import BadQuestionError
from console.live import LIVE, Live
from console.page import PREFIX, STATE, Handler, NotAllowedError, NotHereError, State, answer_json, compress, show
from console.proofs import Begin, Proofs
from service import plugs
from service.core.account import held_text, spent_text
from service.core.entries import UnreadableEntryError
from service.core.record import BrokenRecordError
from service.core.shapes import Clock
from service.ledger.assurance import Assuring
from service.ledger.reading import Reading

_log = logging.getLogger(__name__)
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HASH_CHARS = 16
_POLICY = (  # no script at all; a page that has one says so itself
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FILTERS: dict[str, Callable[..., str]] = {
    "grouped": figures.grouped,
    "amount": figures.amount,
    "day": figures.day,
    "clock": figures.clock,
    "moment": figures.moment,
    "duration": figures.duration,
    "plain": words.plain,
    "meaning": words.meaning,
}


def create(
    reading: Reading,
    *,
    console_url: str,
    mcp_url: str,
    simulated_banner: bool,
    clock: Clock,
    owner: Callable[[web.Request], str | None],
    live: Live,
    assure: Assuring,
    may_stay: Callable[[web.Request], bool],
    wallets: Sequence[str] = (),
    prove: Begin | None = None,
    local_may_prove: bool = False,
    proof_most: Mapping[str, tuple[str, str]] | None = None,
) -> web.Application:
    """Build the console, which the caller mounts as a sub-application at `PREFIX`.

    Args:
        reading: the ledger to show; the caller closes it after the application.
        console_url: where the console is reached from outside, without a slash at the end.
        mcp_url: where MCP clients connect.
        simulated_banner: whether this service runs simulated providers; every page then says so.
        owner: the one client whose calls a request may see; None for all.
        clock: for the time up to which evidence was weighed.
        live: a listener of the ledger's feed; the application closes it when it shuts down.
        assure: says how far the log is signed and verified; it blocks.
        may_stay: whether who made a request may still read.
        wallets: names of those that this service pays from, whether or not the ledger knows them yet.
        prove: begins a proof as a tool call of its own, given who asks, a wallet's name and what it may cost at
            most (None for either of these: its own choice), and gives that call's id without waiting for its end.
            It raises an `ExaiError` where it may not begin. Without it the console offers no proof.
        local_may_prove: whether a reader on this machine may begin one without a token.
        proof_most: by wallet, the most that a proof may be given, and its unit.

    Raises:
        PlugError: a page's file is malformed.
    """
    app = web.Application(middlewares=[_teach])
    assets = _add_assets(app)
    app[STATE] = State(
        reading,
        console_url,
        mcp_url,
        simulated_banner,
        clock,
        owner,
        assets,
        assure,
        may_stay,
        tuple(wallets),
        Proofs(prove, local_may=local_may_prove, most=proof_most),
    )
    app[LIVE] = live
    environment = _templates(app)
    for page in plugs.load(pages, "PAGE", "routes").values():
        environment.get_template(f"{page.name}.html")  # a page without its template stops the start
        app.add_routes(page.routes)
    app.on_response_prepare.append(_guard)
    app.on_shutdown.append(_end_streams)
    return app


def _templates(app: web.Application) -> jinja2.Environment:
    """Give the application its templates, and these the words and figures that they write with."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.PackageLoader("console", "templates"),
        filters=_FILTERS,
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    constants: dict[str, Any] = {
        "OUTCOMES": words.OUTCOMES,
        "ATTEMPTS": words.ATTEMPTS,
        "BADGES": words.BADGES,
        "CLASSES": words.CLASSES,
        "CHECKS": words.CHECKS,
        "REASONS": codes.REASONS,
        "counted": figures.counted,
        "age": figures.age,
        "spent_text": spent_text,
        "held_text": held_text,
    }
    environment.globals.update(constants)
    return environment


async def _guard(_request: web.Request, response: web.StreamResponse) -> None:
    """Set the strict headers on everything that leaves, errors and static files included."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers.setdefault("Cache-Control", "no-store")


async def _end_streams(app: web.Application) -> None:
    """End what would otherwise never end, before the server waits for open requests."""
    app[LIVE].close()


@web.middleware
async def _teach(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what went wrong into a page, or JSON where JSON was asked for, that says what to do."""
    try:
        return await handler(request)
    except BadQuestionError as error:
        names = [f"{name}: {meaning}" for name, meaning in error.names.items()]
        return _refused(request, 400, "This address cannot be answered", str(error), names)
    except (NotHereError, NotAllowedError, web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        return _not_shown(request, error)
    except (UnreadableEntryError, BrokenRecordError) as error:
        _log.exception("a record could not be shown", extra={"path": request.path})
        said = f"The ledger holds an entry that contradicts the others: {error}."
        steps = ["Run `exai ledger verify` on the machine of this service; it names the first bad entry."]
        return _refused(request, 500, "The record is damaged", said, steps)


def _not_shown(request: web.Request, error: Exception) -> web.Response:
    match error:
        case NotAllowedError():
            return _refused(request, 403, "This is not for this reader", str(error), _ways_on())
        case web.HTTPMethodNotAllowed():
            said = "The console shows: it answers GET and HEAD. A proof is begun by the form under Reconcile."
            return _refused(request, 405, "This cannot be done here", said, _ways_on())
        case NotHereError():
            return _refused(request, 404, "Nothing is here", str(error), _ways_on())
        case _:
            return _refused(
                request, 404, "Nothing is here", "The console has no page at this address.", _ways_on()
            )


def _refused(request: web.Request, status: int, title: str, said: str, ways: list[str]) -> web.Response:
    if request.path.endswith((".json", ".csv")):
        error = {"code": title.lower().replace(" ", "_"), "message": said, "remedy": ways}
        return answer_json({"error": error}, status=status)
    return show(request, "error.html", status=status, title=title, said=said, ways=ways)


def _ways_on() -> list[str]:
    return [
        f"All calls are listed at {PREFIX}/calls.",
        f"A receipt is at {PREFIX}/calls/ followed by the tool call's id: 32 characters of 0-9 and a-f.",
        "The id stands in every answer of this service, in its receipt, as tool_call_id.",
    ]


def _add_assets(app: web.Application) -> dict[str, str]:
    """Serve the static files from memory, each under its content's hash, and give their paths."""
    assets: dict[str, str] = {}
    for file in resources.files("console").joinpath("static").iterdir():
        suffix = file.name[file.name.rfind(".") :]
        if suffix not in _TYPES:
            continue
        content = file.read_bytes()
        path = f"/static/{hashlib.sha256(content).hexdigest()[:_HASH_CHARS]}/{file.name}"
        app.router.add_get(path, _serve(content, _TYPES[suffix]))
        assets[file.name] = f"{PREFIX}{path}"
    return assets


def _serve(content: bytes, content_type: str) -> Handler:
    async def serve(request: web.Request) -> web.Response:
        immutable = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        response = web.Response(body=content, content_type=content_type, charset="utf-8", headers=immutable)
        compress(request, response)
        return response

    return serve
