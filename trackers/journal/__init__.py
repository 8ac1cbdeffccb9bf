"""The journal: where what was logged waits while the database is away, or from the start when offline."""

from trackers.journal.again import Again as Again
from trackers.journal.again import add_refused as add_refused
from trackers.journal.again import write_refused as write_refused
from trackers.journal.entry import Entry as Entry
from trackers.journal.entry import encode as encode
from trackers.journal.file import ASIDE as ASIDE
from trackers.journal.file import Journal as Journal
from trackers.journal.file import Line as Line
from trackers.journal.file import NewerEntryError as NewerEntryError
from trackers.journal.place import journal_folder as journal_folder
from trackers.journal.place import list_journals as list_journals
from trackers.journal.place import other_journals as other_journals
from trackers.journal.place import owner_of as owner_of
from trackers.journal.resumable import alone_in as alone_in
from trackers.journal.resumable import find_left as find_left
from trackers.journal.resumable import find_waiting as find_waiting
from trackers.journal.resumable import is_uid as is_uid

__all__ = [
    "ASIDE",
    "Again",
    "Entry",
    "Journal",
    "Line",
    "NewerEntryError",
    "add_refused",
    "alone_in",
    "encode",
    "find_left",
    "find_waiting",
    "is_uid",
    "journal_folder",
    "list_journals",
    "other_journals",
    "owner_of",
    "write_refused",
]
