"""What is asked of AWS itself: clients, its errors as sentences, the bucket, prices, quotas, resources by tags."""
