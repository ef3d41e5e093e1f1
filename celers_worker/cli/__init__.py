"""The command line ``celers``: each command parses, calls one function and prints.

program     the global options, and the commands, imported when one is asked for
invocation  what the global options say: the configuration and the store
failure     errors → one line on stderr and an exit code
output      tables, JSON, notes
choosing    options that choose tasks, and their types
asking      confirmation before what cannot be undone
batches     long work: progress, Ctrl-C between two commits
application the application that commands load, and the database it may name
schedule_view, schedule_add  a schedule in the same ways, and adding one
moving      which rows are moved, and what became of them
task_view   a task as a row, a page, a document
workflow_view  a workflow likewise, and as a drawing
examination what celers check finds
enqueue_lines  a task for each line of standard input

task_change task_history queue_figures maintain_view: what is too much for their group's file

worker migrate enqueue task dlq queue workflow schedule workers handlers stats health maintain
export import_ backup restore copy bench doctor check init: a command or a group of commands each.
"""

from celers_worker.cli.program import celers as main

__all__ = ["main"]
