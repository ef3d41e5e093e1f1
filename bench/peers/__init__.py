"""The peers measured beside ours."""
