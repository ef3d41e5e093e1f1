"""Measurements, on private servers that do wait for the disk. They assert nothing.

databases     where it is measured: a new, empty database for each run
worker        a `celers worker` process, and what it cost
tasks         the application that enqueues and runs
enqueueing    scenario: how fast tasks are added
draining      scenario: how fast one worker runs what waits
latency       scenario: how soon an idle worker starts a task
report        the machine, the table, the JSON file
"""
