"""Stand-ins for the services that Orchard talks to, each a real server on this machine."""
