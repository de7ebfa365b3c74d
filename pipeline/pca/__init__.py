"""The principal component analysis and the form in which Spark ML keeps it."""
