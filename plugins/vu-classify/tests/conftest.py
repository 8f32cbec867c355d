from __future__ import annotations

import sys
from pathlib import Path

# The small worlds that the tests share are a module.
sys.path.insert(0, str(Path(__file__).parent))
