"""The same function on many tasks, in several processes or on several machines; what comes back does not depend on how many.

`pool.py` processes of this machine, by the standard library; `cluster.py` a Ray cluster (`goalscope[ray]`); both give
`(number of the task, what the function gave or a Failed)` as they finish, and a task whose process dies is done again.
`task.py` what a process does with one task; `interrupts.py` Ctrl-C once and twice.
"""
