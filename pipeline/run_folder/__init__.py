"""What a run leaves behind: parts, single files, record and report, and whether they are whole."""
