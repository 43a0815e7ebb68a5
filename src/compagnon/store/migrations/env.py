"""What Alembic runs: on the connection that it is handed, in that connection's transaction."""

from alembic import context

from compagnon.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a column only by making the table anew
    compare_type=True,
)
context.run_migrations()
