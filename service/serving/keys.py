"""The key under which an HTTP request carries its caller, from the guard to whoever answers it."""

from aiohttp import web

from service.serving.auth import Caller

CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
"""Set by the guard on every route that needs `read`."""
