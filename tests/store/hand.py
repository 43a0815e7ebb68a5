"""Changes that somebody makes by hand who may do everything with the database."""

from sqlalchemy import text


def by_hand(store, *statements):
    """What somebody does who may do everything."""
    with store.write() as connection:
        postgres = connection.dialect.name == "postgresql"
        if postgres:
            connection.execute(text("alter table events disable trigger all"))
        else:
            for trigger in ("events_no_update", "events_no_delete"):
                connection.execute(text(f"drop trigger if exists {trigger}"))
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        for statement in statements:
            connection.execute(text(statement))
        # Put back, so that only what was done between is to be seen.
        if postgres:
            connection.execute(text("alter table events enable trigger all"))
        else:
            for verb in ("UPDATE", "DELETE"):
                connection.exec_driver_sql(
                    f"CREATE TRIGGER events_no_{verb.lower()} BEFORE {verb} ON events "
                    "BEGIN SELECT RAISE(ABORT, 'events are append-only'); END"
                )
