"""Calico's four actions."""

from calicod.model.action import Action


def test_there_are_four_actions_spelt_as_calico_spells_them():
    assert [action.value for action in Action] == ["Allow", "Deny", "Log", "Pass"]
