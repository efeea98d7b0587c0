"""`python -m service` is `exai`."""

import sys

from service.cli._main import main

if __name__ == "__main__":
    sys.exit(main())
