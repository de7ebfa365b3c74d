"""Whether this machine, its network and the account are ready: what each of them needs is known here alone."""
