"""Outside price lists and quotes -> offers of a problem file; names are mapped by ``aliases.csv``."""
