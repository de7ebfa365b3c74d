"""What is handed in of a run: a page of links that expire, and a page of evidence read from AWS's own answers."""
