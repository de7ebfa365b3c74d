terraform {
  # 1.10 brought the S3 backend's own lock file (use_lockfile).
  required_version = ">= 1.10, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.region
  # The default of 25 retries an exhausted quota or capacity for many minutes before it says so.
  max_retries = 5

  default_tags {
    tags = local.tags
  }
}
