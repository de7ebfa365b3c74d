"""What is done on the hosts: SSH with pinned keys, Ansible, Spark's master, tunnels, Spark Connect, logs."""
