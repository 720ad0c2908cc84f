"""Builders of what is checked in: catalogs, pages, object code. Run as ``python -m tools.NAME`` from the repository."""
