"""Pictures that somebody made to do harm: mutations of every format, taken or refused, from a seed."""
