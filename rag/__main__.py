"""`python -m rag` is `rag`."""

import sys

from rag.interfaces.cli.main import main

sys.exit(main())
