"""What a protocol may ask of a model, and what the recorder needs of it: gated networks, and any other module."""

import pkgutil

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, [module.name for module in pkgutil.iter_modules(__path__)])
