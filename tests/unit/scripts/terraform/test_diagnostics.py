"""scripts.terraform.diagnostics."""

from scripts.terraform import diagnostics


def test_the_boxes_that_terraform_draws_for_people_are_read_too() -> None:
    box = "\x1b[31m╷\x1b[0m\n│ \x1b[1mError: \x1b[0mNo such thing\n│ \n│   on main.tf line 3\n╵\n"
    [found] = diagnostics.errors(box)
    assert found == diagnostics.Diagnostic("No such thing", "on main.tf line 3", "")
