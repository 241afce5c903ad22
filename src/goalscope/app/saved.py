"""What the maze view shows as one file of HTML: pictures, numbers, text and lines of Python, without script or network."""

from __future__ import annotations

from typing import Any

from goalscope.app.asked import Asked
from goalscope.app.desk import Desk
from goalscope.app.mazes import maze_answer
from goalscope.plots.svg import clean
from goalscope.report.templates import style


def saved_answer(desk: Desk, asked: Asked) -> dict[str, Any]:
    """The file of what `maze_answer` says of the same question: `name` and `html`."""
    found = maze_answer(desk, asked)
    parts = [_figure(panel["name"], panel["svg"], _said(panel)) for panel in found["panels"]]
    if found["difference"]:
        change = found["difference"]
        parts.append(_figure(change["name"], change["svg"] + change["key"], ""))
    effect = found["effect"]
    tables = [_table(effect["what"], effect["rows"]), _table(HELD_OUT, effect["held_out"])] if effect else []
    title = " beside ".join(panel["name"] for panel in found["panels"])
    html = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{clean(title)}</title><style>{style()}</style></head><body><main>
<h1>{clean(title)} in a maze</h1>
<section><div class="figures">{"".join(parts)}</div><div class="drawing">{found["key"]}</div>{"".join(tables)}</section>
<section><h2>The maze</h2><pre>{clean_lines(found["text"])}</pre>
<h2>The same numbers in Python</h2><pre>{clean_lines(found["python"])}</pre></section>
</main></body></html>
"""
    return {"name": "goalscope-maze.html", "html": html}


HELD_OUT = "P(reach the square), mean over mazes that the edit was not chosen on, 95% interval"


def clean_lines(text: str) -> str:
    """Several lines, each as text that HTML can hold."""
    return "\n".join(map(clean, text.split("\n")))


def _figure(name: str, drawing: str, said: str) -> str:
    words = f"<figcaption><strong>{clean(name)}</strong> {clean(said)}</figcaption>"
    return f'<figure><div class="drawing">{drawing}</div>{words}</figure>'


def _said(panel: dict[str, Any]) -> str:
    if panel["reach_start"] is None:
        return "There is no cheese."
    chance = f"P(reach the cheese within {panel['steps']} steps) = {panel['reach_start']:.6g}"
    return f"{chance}, exact: no sampling, so no interval."


def _table(caption: str, rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        limits = f" [{row['low']:.1%}, {row['high']:.1%}], {row['n']} mazes" if "low" in row else ""
        lines.append(
            f"<tr><th scope='row'>{clean(row['name'])}</th><td>{row['estimate']:.1%}{limits}</td></tr>"
        )
    return (
        f"<table><caption>{clean(caption)}</caption><tbody>{''.join(lines)}</tbody></table>" if lines else ""
    )
