"""How this person comes to AWS: the login, the certificates that are trusted, and what is said where it fails."""
