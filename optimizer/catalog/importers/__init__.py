"""Outside price lists -> an ``offers.csv`` that ``--catalogs DIR`` uses; names are mapped by ``aliases.csv``."""
