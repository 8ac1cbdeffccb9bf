"""The schema's revisions (Alembic): applied by ``upgrade``, proven equal to ``trackers.sql.tables`` by a test."""
