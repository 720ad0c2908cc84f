"""Which release this is, and which edition of the JSON report it writes. Packaging reads the version from here."""

VERSION = "0.2.0"
"""Of the tool."""

SCHEMA_VERSION = 2
"""Of the JSON report: rises where a key changes its meaning or goes; new keys do not raise it."""
