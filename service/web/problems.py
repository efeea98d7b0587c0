"""Problems on plain HTTP: one look for every error, in words, or as JSON for those who ask for it."""

import logging
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_log = logging.getLogger(__name__)


def problems(new_id: Callable[[], str]) -> Middleware:
    """Make the outermost middleware: it dresses every HTTP error and hides every fault behind a reference.

    Args:
        new_id: makes the reference that both the answer and the log carry.
    """

    @web.middleware
    async def dress(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            return problem(request, error.status, _words(error), headers=_kept(error))
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - whatever breaks, its text must not reach a stranger
            reference = new_id()
            _log.exception("a request failed for a fault of ours", extra={"reference": reference})
            words = f"The service failed. Its log names this request {reference}."
            return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, words)

    return dress


def problem(
    request: web.Request, status: int, message: str, *, headers: dict[str, str] | None = None
) -> web.Response:
    """Write one error: `{"error": {"code", "status", "message"}}` if JSON is asked for, else the message."""
    if wants_json(request):
        error = {"code": _code(status), "status": status, "message": message}
        return web.json_response({"error": error}, status=status, headers=headers)
    return web.Response(status=status, text=f"{message}\n", headers=headers)


def wants_json(request: web.Request) -> bool:
    """Say whether the request's Accept header names JSON."""
    return "json" in request.headers.get("Accept", "").lower()


def _code(status: int) -> str:
    try:
        return HTTPStatus(status).name.lower()
    except ValueError:
        return "error"


def _words(error: web.HTTPException) -> str:
    # aiohttp's own texts say "404: Not Found"; ours are sentences.
    text = error.text or ""
    if not text.startswith(f"{error.status}: "):
        return text
    match error.status:
        case HTTPStatus.NOT_FOUND:
            return "There is nothing at this address. Start at /."
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return "This address does not take this method; the header Allow says which it takes."
    return f"{HTTPStatus(error.status).phrase}."


def _kept(error: web.HTTPException) -> dict[str, str]:
    return {
        name: value
        for name, value in error.headers.items()
        if name.lower() not in {"content-type", "content-length"}
    }
