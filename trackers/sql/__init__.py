"""The store's databases: SQLAlchemy Core, one noun a file, one writer thread a store."""
