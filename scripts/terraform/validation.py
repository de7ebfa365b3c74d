"""Terraform's own verdict on settings: variables.tf has the only rules, and nobody else a copy of one."""

import json
import shutil
import tempfile
from pathlib import Path

from scripts import console, processes, tfvars
from scripts.errors import AwsError, InputError
from scripts.terraform import diagnostics, errors

# For commands that ask for admin_cidrs and open nothing: a network that is nobody's.
NOBODY = ["192.0.2.1/32"]
# A person's program drives it: no hints of what to type next, and nobody is asked for newer versions.
DRIVEN = {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}


def check(settings: str) -> None:
    """Have Terraform judge such a terraform.tfvars. Raises InputError with all of its reasons, MissingError without it.

    A folder that holds variables.tf and nothing else can be planned without provider, state or network.
    """
    with tempfile.TemporaryDirectory(prefix="orchard-settings-") as name:
        folder = Path(name)
        shutil.copy(tfvars.terraform_folder() / "variables.tf", folder)
        (folder / "terraform.tfvars").write_text(settings)
        done = processes.capture(
            ["terraform", "plan", "-json", "-input=false", "-lock=false"],
            cwd=folder,
            # By the environment, which terraform.tfvars comes before.
            env={"TF_VAR_admin_cidrs": json.dumps(NOBODY), "TF_WORKSPACE": "default", **DRIVEN},
        )
    if done.code == 0:
        return
    found = diagnostics.errors(done.out + done.err)
    reasons = sorted(filter(None, map(errors.of_setting, found)))
    if not reasons:
        why = f"{found[0].summary}: {found[0].detail}" if found else "it gave no reason"
        raise AwsError(f"Terraform could not judge the settings ({why[:400]}): see {console.log_file()}.")
    raise InputError("terraform.tfvars: " + "\n".join(reasons))
