"""``celers bench``: a user measures his own database, beside whatever else is in it.

scenarios   what is measured, in the order of a run
run         a queue of its own, erased afterwards; who would disturb it
tasks       the application that enqueues and runs
worker      the process that runs them, and ``process``, how it is started and ended
figures     what a measurement comes to

enqueueing draining latency knee: the measurements.

It costs the database what that many tasks cost, and no more stays than after any other deletes.
Nothing but the queue's own rows is written, with one exception that every worker makes: a task that
a foreign producer has inserted without a queue is given the queue it names.
"""
