"""What makes the reference pages, imported from where it lies: ``docs`` is no package."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from tests.docs.page import ROOT

sys.path.insert(0, str(ROOT / "docs"))
try:
    generate: ModuleType = importlib.import_module("generate")
    commands: ModuleType = importlib.import_module("making.commands")
    pages: ModuleType = importlib.import_module("making.pages")
    reference: ModuleType = importlib.import_module("making.reference")
    signature: ModuleType = importlib.import_module("making.signature")
    source: ModuleType = importlib.import_module("making.source")
    markdown: ModuleType = importlib.import_module("making.markdown")
finally:
    sys.path.remove(str(ROOT / "docs"))
