"""What Orchard is measured against, each a program of its own, and the last results."""
