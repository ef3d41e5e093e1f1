"""Rules: no I/O, no clock, no asyncio."""
