"""Small programs that run. A package, so that no other ``examples`` on the path can hide it."""
