"""Attention-invariant tuning: whether attending a bar leaves the shape of a tuning curve."""
