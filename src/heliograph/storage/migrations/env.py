"""What Alembic runs to migrate: the caller's connection, inside the caller's transaction (see `storage/schema.py`)."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
