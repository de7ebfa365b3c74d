"""Images made of hosts that live for it alone, and taken away."""
