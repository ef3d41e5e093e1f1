"""Measurements, on private servers that do wait for the disk. They assert nothing.

servers       where it is measured: private ones, in {postgres,mariadb,sqlite}.py
database      a new, empty database for each measurement, and what its server spends
worker        a `celers worker` process, and what it cost
tasks         the application that enqueues and runs
passage       tasks that wait go through a worker

scenarios:
enqueueing    how fast tasks are added
draining      how fast one worker runs what waits
latency       how soon an idle worker starts a task
idling        what a worker costs that has nothing to do
cost          CPU and write-ahead log of a task
surroundings  whether tasks of tomorrow, the archive, priorities and queues make it cost more
snapshot      whether a snapshot does that somebody holds open
backlog       whether it is slower when more tasks wait
processes     how much faster several worker processes are
contention    whether several processes on one SQLite file complain
notifying     what NOTIFY costs those who enqueue
memory        how large a worker is, and whether it grows

cpu           the time that processes used
figures       what a scenario measures, and its units
report        the machine, the table, the JSON file
curves        the points of curves in such files
plots         `python -m bench.plots`: draws them
dashboard     `python -m bench.dashboard`: the dashboard of a real worker     mixed    its tasks
peers         the same work by other queues
"""
