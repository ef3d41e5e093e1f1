"""Workflows in the database: written, moved on when a task ends, mended, asked about."""
