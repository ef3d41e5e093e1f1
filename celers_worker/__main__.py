"""``python -m celers_worker``."""

from celers_worker.cli import main

main()
