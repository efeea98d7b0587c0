"""The predecessor's variables: each one's advice names a setting that there is."""

import re

from service.inherited import INSTEAD
from service.settings import OPTIONS

VARIABLES = {name for option in OPTIONS for name in option.variables}
OF_WALLETS = {"KIMI_BASE_URL", "GLM_BASE_URL"}


def test_what_is_advised_exists() -> None:
    """A person who follows the advice is not warned again."""
    advised = set(re.findall(r"[A-Z][A-Z_]*_[A-Z_]+", " ".join(INSTEAD.values())))
    assert set() == advised - VARIABLES - OF_WALLETS


def test_no_setting_is_called_meaningless() -> None:
    """A variable that is read is not in the list of those that are not."""
    assert set() == (VARIABLES | OF_WALLETS) & set(INSTEAD)
