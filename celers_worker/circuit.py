"""The public name of a handler's circuit: ``from celers_worker.circuit import circuit``."""

from celers_worker.core.circuit import Circuit as Circuit
from celers_worker.core.circuit import circuit as circuit
