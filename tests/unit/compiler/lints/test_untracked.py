from tests.unit.compiler.build import compilation, host, policy


def test_an_untracked_policy_is_told_for_each_host_endpoint_that_ignores_it():
    untracked = policy("p", apply_on_forward=True, do_not_track=True)
    found = compilation(untracked, policy("q"), host("all", "*"), host("one", "eth0")).diagnostics

    assert [(d.code, d.name, d.path, d.message) for d in found] == [
        ("W070", "p", "spec.doNotTrack", "doNotTrack is ignored on HostEndpoint all, which names no interface")
    ]
