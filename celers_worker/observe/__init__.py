"""Listeners to core.events: the only place that phrases logs and names metrics."""
