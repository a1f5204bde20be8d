"""Commands, run in this process as their users meet them."""

from __future__ import annotations

import contextlib
import io
import os
from unittest import mock

import pytest


def ended(main, *arguments, cwd=".", **environment):
    """Return exit status, standard output and standard error of a command, run in a folder and an environment."""
    with (
        mock.patch.dict(os.environ, environment),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        pytest.raises(SystemExit) as left,
    ):
        main(list(map(str, arguments)))
    return left.value.code, out.getvalue(), err.getvalue()
