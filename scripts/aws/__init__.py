"""What is asked of AWS itself: clients, its refusals in words, the bucket, prices, resources by their tags."""
