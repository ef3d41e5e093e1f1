"""Which signals a worker and a supervisor understand."""

from __future__ import annotations

import os
import signal

#: What ends them.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: What else they can be told: to read the configuration again, to say where the running tasks are,
#: to claim no more, to claim again.
TOLD_SIGNALS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTSTP, signal.SIGCONT)


def on_terminal() -> bool:
    """Whether the standard input is a terminal that is still there.

    If it was and is not any more, SIGHUP means what it always did.
    """
    try:
        return os.tcgetpgrp(0) > 0
    except OSError:
        return False
