from calicod.intercept.interceptor import HOOKS
from calicod.model.hook import Hook


def test_netfilters_hook_numbers_are_those_of_its_header():
    # linux/netfilter.h: NF_INET_PRE_ROUTING 0, NF_INET_LOCAL_IN 1, NF_INET_FORWARD 2, NF_INET_LOCAL_OUT 3,
    # NF_INET_POST_ROUTING 4
    numbers = {0: Hook.PREROUTING, 1: Hook.INPUT, 2: Hook.FORWARD, 3: Hook.OUTPUT, 4: Hook.OUTPUT}
    assert dict(HOOKS) == numbers
