# While `make bake` goes on: a host for each image, in the cluster's network. Any other apply takes them away.

locals {
  # A host is not to have a smaller disk than its image: this is the least that root_volume_gb may be.
  image_gb = 16
  # Time for the slowest mirror; a laptop that is gone leaves nothing running for longer.
  bake_minutes = 90
}

resource "aws_instance" "bake" {
  # checkov:skip=CKV_AWS_88:packages and the administrator reach the host by its public address; only SSH from admin_cidrs is open
  # checkov:skip=CKV_AWS_126:detailed monitoring is charged for, and the host lives for minutes
  for_each = toset(var.baking ? ["master", "worker"] : [])

  # Debian's own each time: an image that is made of an image only grows.
  ami                         = local.debian.master
  instance_type               = var.master_instance_type
  subnet_id                   = local.subnet_id
  associate_public_ip_address = var.assign_public_ips
  vpc_security_group_ids      = [aws_security_group.nodes.id, aws_security_group.ssh.id]
  key_name                    = aws_key_pair.admin.key_name
  # For the bucket, which has what hosts need of others' repositories.
  iam_instance_profile = aws_iam_instance_profile.nodes.name
  ebs_optimized        = local.ebs_optimized.master
  # Whoever forgets it: it switches itself off, and is gone.
  instance_initiated_shutdown_behavior = "terminate"
  user_data                            = "#cloud-config\nruncmd:\n  - [systemd-run, --on-active=${local.bake_minutes}min, systemctl, poweroff]\n"
  tags                                 = { Name = "${local.prefix}-bake-${each.key}", Role = "bake" }

  dynamic "credit_specification" {
    for_each = local.burstable.master ? [1] : []

    content {
      cpu_credits = "standard"
    }
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type           = "gp3"
    volume_size           = local.image_gb
    encrypted             = true
    delete_on_termination = true
    tags                  = merge(local.tags, { Name = "${local.prefix}-bake-${each.key}" })
  }
}

output "bake" {
  description = "The hosts that images are made of, by role, each described as the master is; empty but during `make bake`."
  value = { for role, host in aws_instance.bake : role => {
    name       = "bake-${role}"
    id         = host.id
    private_ip = host.private_ip
    public_ip  = try(coalesce(host.public_ip), null)
  } }
}

output "debian_release" {
  description = "Debian's release that images are made of, part of their names."
  value       = local.debian_release
}
