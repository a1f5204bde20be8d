"""Whether everything of a recording is there: a streamed one that was interrupted has presentations without data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neuroattn.recording.damage import require_whole
from neuroattn.recording.layout import DONE, TRIALS

if TYPE_CHECKING:
    import xarray as xr


def require_complete(recording: xr.DataTree) -> None:
    """Raise unless every presentation of a recording was recorded, and has its coordinates and all files of its store.

    Parameters
    ----------
    recording
        The root of a recording. Without flags it was kept in memory, and is complete.

    Raises
    ------
    ValueError
        If flags are false, where the message says how many, or a file is gone.
    """
    if (store := Path(recording.encoding.get("source") or "")).is_dir():
        require_whole(store)
    if DONE not in recording.data_vars:
        return
    done = recording[DONE].to_numpy()
    missing = int((~done).sum())
    if missing or TRIALS in recording.data_vars:
        what = f"{missing:,} of {len(done):,} presentations" if missing else "the coordinates of its presentations"
        raise ValueError(
            f"recording must be complete, got one without {what}; make the same call of record again to complete it"
        )
