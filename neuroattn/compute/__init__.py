"""Where to compute: device, memory, cluster."""
