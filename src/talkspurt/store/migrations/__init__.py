"""Alembic's environment, inside the package so that an installed server can bring its database up to date."""
