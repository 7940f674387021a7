"""Who sits at this terminal."""

import os
import pwd

from bot.engine.directory import TERMINAL


def person() -> str:
    """Return who sits here, by the real user id: su and sudo -u change it, an environment variable does not."""
    try:
        return f"{TERMINAL}{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a container may run as a number that has no name
        return f"{TERMINAL}{os.getuid()}"
