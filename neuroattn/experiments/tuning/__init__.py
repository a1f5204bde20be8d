"""Attention-invariant tuning: whether attending a bar leaves the shape of a tuning curve."""

import pkgutil

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, [module.name for module in pkgutil.iter_modules(__path__)])
