"""Which pictures there are and what is in one: listed, read loose or from a pack, decoded."""
