"""Subjects whose tuning and attention are known: what a protocol reports of them must be what was planted."""
