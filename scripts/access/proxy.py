"""The proxy that this person's programs go by, where there is one."""

import os
import re

PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def named_proxy() -> str:
    """The variable and the proxy that it names, without the password that may stand in it."""
    for name in PROXIES:
        if value := os.environ.get(name):
            return f"{name}={re.sub(r'//[^/@]*@', '//', value)}"
    return ""
