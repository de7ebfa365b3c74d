"""The file systems that hosts start from, made once and kept."""
