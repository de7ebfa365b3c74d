"""Which pictures there are and how each is had: listed, shared out into tasks, read loose or from a pack."""
