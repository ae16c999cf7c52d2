"""How much longer a slow machine gets: one that is emulated, or that has much else to do.

Law: it is asked for here and nowhere else. What must come is given longer, and so is what must stay away, lest slowness
be taken for a refusal that nobody has spoken.
"""

import os

SETTING = "CALICOD_TEST_SLOWNESS"
SLOWNESS = float(os.environ.get(SETTING, "1"))
"""How many times slower than a common machine it is."""
if SLOWNESS < 1:
    raise ValueError(f"{SETTING} is {SLOWNESS:g}, expected 1 or more")


def seconds(common: float) -> float:
    """How long this machine is given for what a common one does in so many seconds."""
    return common * SLOWNESS
