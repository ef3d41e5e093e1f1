"""PostgreSQL: what it does in one statement where the base needs two, and LISTEN/NOTIFY."""
