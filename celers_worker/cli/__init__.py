"""The command line ``celers``: each command parses, calls one function and prints.

program     the global options, and the commands, imported when one is asked for
invocation  what the global options say: the configuration and the store
failure     errors → one line on stderr and an exit code
output      tables, JSON, notes
choosing    options that choose tasks, and their types
asking      confirmation before what cannot be undone
batches     long work: progress, Ctrl-C between two commits
application the application that commands load, and the database it may name
task_view   a task as a row, a page, a document
examination what celers check finds

worker migrate enqueue task dlq queue workers handlers bench check init: a command or a group of
commands each.
"""

from celers_worker.cli.program import celers as main

__all__ = ["main"]
