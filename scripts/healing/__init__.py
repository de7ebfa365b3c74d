"""Workers that are lost while somebody follows a run, made anew beside it."""
