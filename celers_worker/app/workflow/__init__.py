"""Workflows as an application describes them, enqueues them and waits for them."""
