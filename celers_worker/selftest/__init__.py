"""``celers selftest``: workers are broken on purpose, on a user's own database.

run        a place of its own, a campaign in it, the report
campaign   workers and enqueuers at work, and what is done to them
faults     each way to harm them that needs no rights on the machine or the server
actors     processes as the campaign sees them; ``worker`` and ``enqueuer``: what they run
tasks      the application, whose handlers note each run; ``notes``: where
evidence   all that is known afterwards; ``checker``: held to the promises

Nothing of it stays: the place is erased, also what a run that was killed has left.
"""
