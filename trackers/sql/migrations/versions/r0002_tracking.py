"""The tracker on its own: runs that are deleted in two steps.

One function for each noun that changes; the order of new columns is that of ``trackers.sql.tables``.

Revision ID: 0002
"""

from alembic import op
from sqlalchemy import BigInteger, Column

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change every noun."""
    _runs()


def _runs() -> None:
    op.add_column("trackers_runs", Column("deleted_at", BigInteger))
    op.add_column("trackers_experiments", Column("archived_at", BigInteger))
