"""Where Terraform's AWS provider comes from in tests: a file-system mirror on this machine, if there is one."""

from pathlib import Path

PROVIDER = Path("registry.terraform.io/hashicorp/aws")
PREFIXES = (Path.home() / ".terraform.d", Path("/usr/share"), Path("/usr/local/share"), Path("/usr/lib"), Path("/opt"))
DEPTH = 3  # folders between a prefix and the mirror


def find_mirror() -> Path | None:
    """The folder that holds `registry.terraform.io/hashicorp/aws`, or None."""
    for prefix in PREFIXES:
        for depth in range(DEPTH + 1):
            found = next(prefix.glob(f"{'*/' * depth}{PROVIDER}"), None)
            if found:
                return found.parents[len(PROVIDER.parts) - 1]
    return None


def cli_config(folder: Path) -> dict[str, str]:
    """The environment that lets `terraform init` take the provider from the mirror, if there is one.

    The configuration file that it names is written into `folder`.
    """
    mirror = find_mirror()
    file = folder / "terraform.rc"
    file.write_text(
        f"""provider_installation {{
  filesystem_mirror {{
    path    = "{mirror}"
    include = ["{PROVIDER}"]
  }}
  direct {{
    exclude = ["{PROVIDER}"]
  }}
}}
"""
        if mirror
        else ""
    )
    return {"TF_CLI_CONFIG_FILE": str(file)}
