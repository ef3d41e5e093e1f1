"""The process in which a handler with ``runs="process"`` runs, started by services/children.py."""
