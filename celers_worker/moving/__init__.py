"""Tasks on their way: exports, imports, backups, copies from one database to another.

writing    an export, line by line          reading    the same back, and whether it is whole
exporting  a database → a file              importing  a file → a database
backups    files in a directory             copying    a database → a database
"""
