"""Rows on their way between databases and files: what there is, how it is read, how it arrives."""
