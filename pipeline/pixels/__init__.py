"""What one picture's bytes become: bounded, decoded, in the right colours, upright."""
