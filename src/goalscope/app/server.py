"""The routes of the page, and the server on the loopback address."""

from __future__ import annotations

import asyncio
import secrets
import socket
import webbrowser
from collections.abc import Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from goalscope.app import asked as ask
from goalscope.app.asked import Asked
from goalscope.app.desk import Desk
from goalscope.app.guard import Guard
from goalscope.app.inside import inside_answer
from goalscope.app.mazes import level_answer, maze_answer
from goalscope.app.runs import REPORT_POLICY, report_of, runs_answer
from goalscope.app.saved import saved_answer

STATIC = Path(__file__).parent / "static"
FILES = {"/": "index.html", "/page.js": "page.js", "/page.css": "page.css", "/icon.svg": "icon.svg"}
"""every file that is served: no path is made of what is asked"""
MOST_SECONDS = 60.0
"""for an answer; then the page is told so"""
LOOPBACK = "127.0.0.1"

Answer = Callable[[Desk, Asked], dict[str, Any]]
ANSWERS: dict[str, Answer] = {
    "/api/policies": lambda desk, asked: {"policies": desk.policies(), "chosen": desk.name},
    "/api/level": level_answer,
    "/api/maze": maze_answer,
    "/api/save": saved_answer,
    "/api/inside": inside_answer,
    "/api/runs": runs_answer,
}


def page(desk: Desk, token: str, port: int) -> Guard:
    """The application: the page's files, and an answer to each question that the page asks.

    Args:
        desk: what the page may touch.
        token: of the link that opens it.
        port: that it is served on.
    """
    routes = [Route(path, partial(_file, name), methods=["GET"]) for path, name in FILES.items()]
    routes += [Route(path, _endpoint(desk, answer), methods=["POST"]) for path, answer in ANSWERS.items()]
    routes.append(Route("/report", partial(_report, desk), methods=["GET"]))
    app = Starlette(routes=routes, exception_handlers={HTTPException: _no_such})
    return Guard(app, token, port)


def serve(desk: Desk, port: int = 0, browser: bool = True, say: Callable[[str], None] = print) -> None:
    """Serves the page until Ctrl-C.

    Args:
        desk: what the page may touch.
        port: of the loopback address; 0 takes a free one.
        browser: open the link.
        say: is told the link once it can be opened.

    Raises:
        OSError: the port is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((LOOPBACK, port))
        except OSError as error:
            raise OSError(
                f"port {port} cannot be served ({error.strerror}): give another with --port"
            ) from error
        listening.listen(128)  # before the link is said, so that whoever is told can open it
        port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
        link = f"http://{LOOPBACK}:{port}/?token={token}"
        config = uvicorn.Config(
            _told(page(desk, token, port), partial(_open, link, browser, say)), log_level="error", access_log=False,
            lifespan="on", server_header=False, timeout_graceful_shutdown=2, h11_max_incomplete_event_size=32_768,
        )  # fmt: skip
        asyncio.run(uvicorn.Server(config).serve([listening]))


def _open(link: str, browser: bool, say: Callable[[str], None]) -> None:
    say(link)
    if browser:
        webbrowser.open(link)


def _told(guard: Guard, start: Callable[[], None]) -> Guard:
    """The same, calling `start` when the server begins."""

    @asynccontextmanager
    async def lifespan(app: Starlette):
        start()
        yield

    guard.app.router.lifespan_context = lifespan  # type: ignore[attr-defined]
    return guard


async def _file(name: str, request: Request) -> Response:
    return FileResponse(STATIC / name)


async def _report(desk: Desk, request: Request) -> Response:
    """The report of a run that the store lists, and no other file."""
    file = await anyio.to_thread.run_sync(report_of, desk, request.query_params.get("run", ""))
    if file is None:
        return JSONResponse({"error": "there is no such report among the runs of this page"}, 404)
    return FileResponse(
        file, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": REPORT_POLICY}
    )


def _endpoint(desk: Desk, answer: Answer) -> Callable[[Request], Any]:
    def answered(body: bytes) -> dict[str, Any]:
        found = ask.read(body)
        with desk.lock:
            return answer(desk, found)

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        try:
            working = anyio.to_thread.run_sync(answered, body, abandon_on_cancel=True)
            return JSONResponse(await asyncio.wait_for(working, MOST_SECONDS))
        except TimeoutError:
            return JSONResponse(
                {"error": f"no answer within {MOST_SECONDS:g} s: ask for a smaller level"}, 503
            )
        except (ValueError, KeyError, TypeError, OSError, ImportError) as error:
            message = error.args[0] if isinstance(error, KeyError) and error.args else error
            return JSONResponse({"error": str(message)}, 400)

    return endpoint


async def _no_such(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"error": "there is nothing at this address"}, status)
