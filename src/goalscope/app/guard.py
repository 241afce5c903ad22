"""Who is answered at all: this machine's own browser, by the link that was printed, at the page's own address.

A page of somebody else that is open in the same browser can send requests to 127.0.0.1 too. It knows no token, its Origin
is another, and a name of its own that it points at this machine (DNS rebinding) is another Host: all three are checked
before a request is read.
"""

from __future__ import annotations

import asyncio
import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 1_000_000
"""of a request's body"""
MOST_SECONDS = 10.0
"""for the body to arrive"""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""what the page may do: nothing from elsewhere, no script that is not a file of ours"""
HEADERS = {
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip


class Guard:
    """Lets through to an application what may ask, with a bounded body; everything else gets one line."""

    def __init__(self, app: ASGIApp, token: str, port: int):
        """The application, the token of the printed link, and the port that it is served on."""
        self.app, self.token = app, token
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.cookie = f"goalscope-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        refused = self._refused(scope)
        if refused is None:
            try:
                receive = await _bounded(scope, receive)
            except (ValueError, TimeoutError) as error:
                refused = PlainTextResponse(str(error), 413 if isinstance(error, ValueError) else 408)
        await (refused or self.app)(scope, receive, _with_headers(send))

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self.hosts:
            return PlainTextResponse(
                "this page answers at its own address only: open the link that was printed", 421
            )
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return PlainTextResponse("requests from other pages are not answered", 403)
        elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        link = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if elsewhere and not link:
            return PlainTextResponse("requests from other pages are not answered", 403)
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if given and scope["path"] == "/" and self._is_token(given):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
            return answer
        if not self._is_token(_cookie(headers.get("cookie", ""), self.cookie)):
            return PlainTextResponse(
                "open the link that `goalscope app` printed: it holds the token of this server", 401
            )
        return None

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


async def _bounded(scope: Scope, receive: Receive) -> Receive:
    """The whole body, read within the limits, as something to receive from.

    Raises:
        ValueError: it is too long. TimeoutError: it does not come.
    """
    said = Headers(scope=scope).get("content-length", "0")
    if not said.isdecimal() or int(said) > MOST_BYTES:
        raise ValueError(f"a request holds at most {MOST_BYTES:,} bytes")
    parts, more = [], True
    try:
        async with asyncio.timeout(MOST_SECONDS):
            while more:
                message = await receive()
                parts.append(message.get("body", b""))
                more = message.get("more_body", False)
                if sum(map(len, parts)) > MOST_BYTES:
                    raise ValueError(f"a request holds at most {MOST_BYTES:,} bytes")
    except TimeoutError as error:
        raise TimeoutError(f"the request did not arrive within {MOST_SECONDS:g} s") from error
    whole: list[Message] = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return again


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Content-Security-Policy", POLICY)
        await send(message)

    return sending
