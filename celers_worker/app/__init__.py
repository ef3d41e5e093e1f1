"""What an application imports: Celers declares handlers, enqueues tasks and waits for them."""

from celers_worker.app.celers import Celers
from celers_worker.app.claims import ClaimedTask, Claims
from celers_worker.app.declared import DeclaredTask
from celers_worker.app.handle import EnqueuedTask

__all__ = ["Celers", "ClaimedTask", "Claims", "DeclaredTask", "EnqueuedTask"]
