"""The questions of the command line over HTTP and the Model Context Protocol, and a local page to negotiate at."""
