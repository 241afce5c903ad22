"""The command `goalscope app`: a page on this machine in which policies can be taken in hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from goalscope.commands.parser import Option

NEEDED = "the page needs starlette and uvicorn: pip install 'goalscope[app]'"


def app(
    policy: Annotated[
        str, Option("Name, path of a checkpoint, or file.py:factory; it is shown first.")
    ] = "mouse-topright",
    runs: Annotated[Path, Option("Folder that holds the run folders, at any depth.")] = Path("runs"),
    port: Annotated[int, Option("Of the loopback address; 0 takes a free one.")] = 0,
    no_browser: Annotated[bool, Option("Print the link, and open no browser.", "--no-browser")] = False,
) -> None:
    """Serve a page on this machine: draw walls, drag mouse and cheese, and see at once what a policy would do."""
    if not 0 <= port <= 65535:
        raise ValueError(f"--port is 0 to 65535, got {port}")
    try:
        from goalscope.app.server import serve
    except ModuleNotFoundError as error:
        if error.name in ("starlette", "uvicorn", "anyio"):
            raise ImportError(NEEDED) from error
        raise
    from goalscope.app.desk import Desk
    from goalscope.policies.given import policy_of
    from goalscope.policies.names import packaged, snapshots

    given = policy_of(policy)
    known = [name for each in packaged() for name in (each.name, *snapshots(each.name))]
    desk = Desk(given, policy if policy in known else given.name, runs if runs.is_dir() else None)

    def say(link: str) -> None:
        print(f"{link}", flush=True)
        print("Open this link; Ctrl-C ends it.", file=sys.stderr, flush=True)

    serve(desk, port, not no_browser, say)
