"""Subjects whose tuning and attention are known: what a protocol reports of them must be what was planted.

Each is a small module with a cue, drawn by a seed, that goes through every protocol that it can answer; its docstring
has the closed form of what must be found, and ``subject.expected(protocol)`` the numbers. To try a protocol::

    subject = neuroattn.subjects.planted.response_gain()
    units = neuroattn.run("activity_scaling", models=[subject]).units.query("excluded_by == ''")
    for measure, (low, high) in subject.expected("activity_scaling").items():
        assert units[measure].dropna().between(low - 1e-3, high + 1e-3).all(), measure

From the command line they are ``planted-KIND`` or ``planted-KIND-SEED``, as in
``--models planted-response_gain planted-null-3``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
