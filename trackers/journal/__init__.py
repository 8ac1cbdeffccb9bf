"""The journal: where what was logged waits while the database is away, or from the start when offline."""

from trackers.journal.again import Again as Again
from trackers.journal.again import add_refused as add_refused
from trackers.journal.again import write_refused as write_refused
from trackers.journal.entry import Entry as Entry
from trackers.journal.entry import encode as encode
from trackers.journal.file import ASIDE as ASIDE
from trackers.journal.file import Journal as Journal
from trackers.journal.file import Line as Line
from trackers.journal.left import LeftRun as LeftRun
from trackers.journal.left import list_left as list_left
from trackers.journal.left import read_left as read_left
from trackers.journal.place import journal_folder as journal_folder
from trackers.journal.place import list_journals as list_journals
from trackers.journal.place import other_journals as other_journals
from trackers.journal.place import owner_of as owner_of

__all__ = [
    "ASIDE",
    "Again",
    "Entry",
    "Journal",
    "LeftRun",
    "Line",
    "add_refused",
    "encode",
    "journal_folder",
    "list_journals",
    "list_left",
    "other_journals",
    "owner_of",
    "read_left",
    "write_refused",
]
