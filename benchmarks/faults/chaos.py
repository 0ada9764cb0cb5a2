"""Random faults for the tortures: each is over when its function returns."""

from __future__ import annotations

import random
import time

from .lab import Lab


def terminate(lab: Lab, dice: random.Random) -> None:
    """Terminate the application's backends."""
    lab.terminate()


def restart(lab: Lab, dice: random.Random) -> None:
    """Restart the primary, fast."""
    lab.primary.stop("fast")
    lab.primary.start()


def crash(lab: Lab, dice: random.Random) -> None:
    """Kill the primary with -9, start it."""
    lab.primary.kill()
    lab.primary.start()


def cut(lab: Lab, dice: random.Random) -> None:
    """Cut the primary's network for 1 to 2 s."""
    lab.black_hole(lab.primary)
    time.sleep(dice.uniform(1, 2))
    lab.heal(lab.primary)


def cut_and_crash(lab: Lab, dice: random.Random) -> None:
    """Crash the primary behind a cut: answers on their way are lost for good."""
    lab.black_hole(lab.primary)
    time.sleep(dice.uniform(0.05, 0.3))
    crash(lab, dice)
    lab.heal(lab.primary)


def unconfirmed(lab: Lab, dice: random.Random) -> None:
    """Terminate backends that have committed and wait for a synchronous standby: 57P01, and yet it is written."""
    lab.standby.freeze()
    time.sleep(dice.uniform(0.1, 0.3))
    lab.terminate()
    lab.standby.thaw()


ANY = (terminate, restart, crash, cut)
WRITES = (*ANY, cut_and_crash, unconfirmed)
