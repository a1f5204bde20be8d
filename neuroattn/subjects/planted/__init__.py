"""Subjects whose tuning and attention are known: what a protocol reports of them must be what was planted."""

import pkgutil

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, [module.name for module in pkgutil.iter_modules(__path__)])
