"""What worker processes are forked from: all modules loaded, and a call held.

So none compiles anew what that call has asked of SQLite. (What it asks of PostgreSQL each compiles for itself.)
"""

import gc
import tempfile
from pathlib import Path

from benchmarks.effects import kills, trial
from benchmarks.effects.plan import customers, draw

kills.silence_logs()
with tempfile.TemporaryDirectory() as _folder:
    _template = Path(_folder) / "template"
    trial.make_template_files(_template)
    trial.run_virtual_call(draw(1, customers(_template / trial.SHOP_FILE)), _template, Path(_folder) / "call")
    trial.tables_of.cache_clear()
gc.freeze()
