"""The whole cloud on this machine for a person: up for a story or until it is ended, and broken on demand."""
