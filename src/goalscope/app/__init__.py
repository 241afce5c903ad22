"""The server of the page, `goalscope app`; the page's own sources are in `app/` at the root, built into `static`.

`server.py` the routes, `guard.py` who is answered at all, `asked.py` what a request may hold, `desk.py` what the page may
touch: policies by name, and a folder of runs; `mazes.py` a maze through one policy or two, `edited.py` the same policy
edited inside, `inside.py` what its sites hold, `drawn.py` pictures, `lines.py` the same numbers as lines of Python;
`saved.py` a maze as one file, `runs.py` all findings as one table.
"""
