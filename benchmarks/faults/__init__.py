"""What callers feel when PostgreSQL fails: bare psycopg_pool, psycopg_pool with every setting, and ours.

    PYTHONPATH=. .venv/bin/python -m benchmarks.faults                    # the table, about 4 minutes a candidate
    PYTHONPATH=. .venv/bin/python -m benchmarks.faults --only frozen --candidates settings
    PYTHONPATH=. .venv/bin/python -m benchmarks.faults.increments 10000   # no lost and no double write
    PYTHONPATH=. .venv/bin/python -m benchmarks.faults.stale 30           # no stale read
    PYTHONPATH=. .venv/bin/python -m benchmarks.faults.soak 5             # memory, threads and files stay flat

All need root (Linux, iproute2): a primary and a streaming standby of the embedded PostgreSQL 18 run as an unprivileged
user, each in a network namespace of its own (``pgcf-a``, ``pgcf-b`` on 10.79.0.0/24), data below /var/tmp/pgcf-*. All
of it goes at the end, and what a killed run left goes when the next one starts. One lab at a time on a machine.

A run of the table: 4 threads call in a loop with a pause of 50 ms. When each has had 5 good calls the fault begins,
and they are watched until all are good and 2 s more, or until the row's patience is over. They live in a process of
their own: one that never returns is told as ``> N`` seconds and ends with its process.

A cell is ``errors / longest / all good``:

- errors: calls that raised, from the beginning of the fault on.
- longest: seconds of the longest call that ended after the fault began.
- all good: seconds until the last of the 4 had a good call which ended after the fault was over and which no error
  followed. They count from the fault's end (the server accepts connections, the frames flow); for a failover from its
  beginning, so that the time until the other server was promoted (``x``, in the notes below the table) is part of it.

Callers read (``SELECT 1`` on the primary) in all rows but the last, in which they write; ``--call write`` makes them
write everywhere. A candidate of the table may try reads again, but a write whose fate is unknown must raise.

Rows: what begins and ends each is in ``faults.py``. A crash is SIGKILL to all processes at once and a start whose
recovery is held for 1.7 s, with 57P03 meanwhile. In a failover 1 s passes until somebody decides to
promote. The goals are the orchestrator's column of the research that these rows come from, where it was
measured with a clock that started at the promotion: hence ``+ x``.

``lab.py``, ``server.py``, ``network.py``: the servers and what can be done to them. ``candidates.py``: the libraries,
one small class each; a new one needs nothing else. ``callers.py`` (the child), ``crowd.py`` (its parent),
``verdict.py`` (from records to numbers; pure). ``naive`` and ``reckless`` are there to be convicted: they show that the
tortures find what they look for.
"""
