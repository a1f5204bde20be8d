"""What a protocol may ask of a model, and what the recorder needs of it: gated networks, and any other module."""
