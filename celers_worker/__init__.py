"""A task queue in the database you already have."""

__version__ = "0.1.0"
