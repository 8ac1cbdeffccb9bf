"""The first schema, as text of its own: what it makes never changes with the code.

Revision ID: 0001
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table and trigger."""
    text = Path(__file__).with_name(f"r0001_{op.get_bind().dialect.name}.sql").read_text(encoding="utf-8")
    for statement in text.split("\n;\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
