"""A worker of the selftest that settles whatever its lease: to see that it is caught."""

from celers_worker.selftest import worker
from tests.faults.mutants.mutants import MUTANTS

if __name__ == "__main__":
    MUTANTS["no_fence"].breaks()
    worker.main()
