"""What AWS's API says of a cluster at this moment: a verdict for each question, with the calls that it was read by."""
