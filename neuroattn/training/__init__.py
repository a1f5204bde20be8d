"""Training: options, loss, and the loop in one visible piece."""
