"""What goes wrong on purpose: with hosts, with AWS, with S3, each by a name."""
