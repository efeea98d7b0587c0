"""The floor: a bare relay. A frame in by WebSocket, one POST out, the text back; nothing is kept, judged or told.

Both sides are aiohttp, on the loop that the service uses. Of a stream each read's text is passed on at once.
"""

import asyncio
import sys
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

URL: web.AppKey[str] = web.AppKey("URL", str)
HTTP: web.AppKey[aiohttp.ClientSession] = web.AppKey("HTTP", aiohttp.ClientSession)
_encode, _decode = msgspec.json.encode, msgspec.json.decode


async def _serve(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=("mcp",), compress=False)
    await socket.prepare(request)
    async for message in socket:
        asked: dict[str, Any] = _decode(message.data)
        meta = asked["params"].get("_meta") or {}
        text = await _relay(request.app, socket, asked, stream="progressToken" in meta)
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": {"content": [{"type": "text", "text": text}]}}
        await socket.send_str(_encode(answer).decode())
    return socket


async def _relay(
    app: web.Application, socket: web.WebSocketResponse, asked: dict[str, Any], *, stream: bool
) -> str:
    prompt = asked["params"]["arguments"]["prompt"]
    body = {"model": "kimi-k2.6", "messages": [{"role": "user", "content": prompt}], "stream": stream}
    sent = _encode(body)
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sim-rich-bench"}
    async with app[HTTP].post(app[URL], data=sent, headers=headers) as answer:
        if not stream:
            whole = _decode(await answer.read())
            return str(whole["choices"][0]["message"]["content"])
        parts, rest = [], b""
        async for chunk in answer.content.iter_any():
            *events, rest = (rest + chunk).split(b"\n\n")
            text = "".join(_text(event) for event in events)
            parts.append(text)
            await socket.send_str(_encode({"message": text}).decode())
        return "".join(parts)


def _text(event: bytes) -> str:
    choices = _decode(event[len(b"data: ") :])["choices"] if event.startswith(b"data: {") else []
    return str(choices[0]["delta"].get("content", "")) if choices else ""


async def main(upstream: str) -> None:
    """Serve until killed; the port is the first line said."""
    app = web.Application()
    app[URL] = f"{upstream}/chat/completions"
    app[HTTP] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    app.add_routes([web.get("/mcp", _serve)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
