"""What runs in a worker: one file for each asyncio task, and what they share."""
