"""Checkup: what ``celers doctor`` looks at beyond the tables' form. One file a subject."""
