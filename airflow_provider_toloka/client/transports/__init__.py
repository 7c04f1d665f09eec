"""What carries flows over the network."""
