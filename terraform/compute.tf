# The hosts: one master, any number of workers, all from Debian's own image.

locals {
  instance_types  = { master = var.master_instance_type, worker = local.placement.worker_instance_type }
  public_key_path = abspath(pathexpand(coalesce(var.ssh_public_key_path, "${path.root}/../.orchard/${var.cluster_name}/id_ed25519.pub")))

  # What the roles are made for.
  debian_release = "12"

  # Spark's master, the job's driver, the history server and JupyterLab beside each other.
  least_master_mib = 3.5 * 1024

  # A name that is spelt wrong is named. Those of the default are not, and not every region has each of them.
  not_to_be_had = [
    for type in local.worker_types : type
    if length(data.aws_ec2_instance_type_offerings.zones[type].locations) == 0 && !contains(["c7a.2xlarge", "c6i.2xlarge"], type)
  ]

  architecture = {
    for role, type in local.instance_types :
    role => contains(data.aws_ec2_instance_type.of[role].supported_architectures, "arm64") ? "arm64" : "x86_64"
  }
  # Beyond its credits a burstable type (t3, t4g) goes on at full speed for a surcharge, unless told to be standard.
  burstable = { for role, type in data.aws_ec2_instance_type.of : role => type.burstable_performance_supported }
  # A t2 or an m3 has no such lane to its disks, and is refused where one is asked for.
  ebs_optimized = { for role, type in data.aws_ec2_instance_type.of : role => type.ebs_optimized_support != "unsupported" }
  debian = {
    for role, architecture in local.architecture :
    role => var.ami_id == null ? data.aws_ami.debian[architecture].id : var.ami_id
  }
  # An image of another architecture than the type's, or of another release, is none of these names.
  ami = {
    for role, architecture in local.architecture :
    role => var.ami_id == null ? lookup(var.baked_images, "${role}-${architecture}-debian${local.debian_release}", local.debian[role]) : var.ami_id
  }
}

data "aws_ec2_instance_type" "of" {
  for_each      = local.instance_types
  instance_type = each.value
}

data "aws_ami" "debian" {
  for_each = var.ami_id == null ? toset(values(local.architecture)) : []

  most_recent = true
  # Debian's own account, as its wiki's page Cloud/AmazonEC2Image names it: names can be copied, owners cannot.
  owners = ["136693071363"]

  filter {
    name   = "name"
    values = ["debian-${local.debian_release}-${each.value == "arm64" ? "arm64" : "amd64"}-*"]
  }

  filter {
    name   = "architecture"
    values = [each.value]
  }
}

resource "aws_key_pair" "admin" {
  key_name   = local.prefix
  public_key = fileexists(local.public_key_path) ? trimspace(file(local.public_key_path)) : ""

  lifecycle {
    precondition {
      condition     = fileexists(local.public_key_path)
      error_message = "There is no public key at ${local.public_key_path}. `make up` creates one; or set ssh_public_key_path to yours, or run ssh-keygen -t ed25519 -f ${trimsuffix(local.public_key_path, ".pub")}"
    }
  }
}

resource "aws_instance" "master" {
  # checkov:skip=CKV_AWS_88:packages and the administrator reach the host by its public address; only SSH from admin_cidrs is open
  # checkov:skip=CKV_AWS_126:detailed monitoring is charged for; Spark's own metrics say more
  ami                         = local.ami.master
  instance_type               = var.master_instance_type
  subnet_id                   = local.subnet_id
  associate_public_ip_address = var.assign_public_ips
  vpc_security_group_ids      = [aws_security_group.nodes.id, aws_security_group.ssh.id]
  key_name                    = aws_key_pair.admin.key_name
  iam_instance_profile        = aws_iam_instance_profile.nodes.name
  ebs_optimized               = local.ebs_optimized.master
  # A shutdown from inside (idle, out of time) keeps the disk; the cluster can be started again.
  instance_initiated_shutdown_behavior = "stop"
  tags                                 = { Name = "${local.prefix}-master", Role = "master" }

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
    volume_size           = var.root_volume_gb
    encrypted             = true
    delete_on_termination = true
    tags                  = merge(local.tags, { Name = "${local.prefix}-master" })
  }

  # A budget that may not be made is to fail before anything is paid for.
  depends_on = [aws_budgets_budget.monthly]

  lifecycle {
    # A newer Debian, or a stop (which gives the public address back), is no reason to replace a running host.
    ignore_changes = [ami, associate_public_ip_address]

    precondition {
      condition     = data.aws_ec2_instance_type.of["master"].memory_size >= local.least_master_mib
      error_message = "master_instance_type ${var.master_instance_type} has ${data.aws_ec2_instance_type.of["master"].memory_size / 1024} GiB of memory, and a master needs ${local.least_master_mib / 1024}: choose a larger type, such as t3.medium or m6i.large."
    }

    precondition {
      condition     = var.zone == null ? true : local.zone == var.zone
      error_message = "This cluster lives in zone ${local.zone} and zone says ${coalesce(var.zone, "none")}: a cluster stays where it is. Leave zone out, or take the cluster down and up again."
    }

    precondition {
      condition     = local.resolves_names
      error_message = "existing_subnet_id: VPC ${local.vpc_id} leaves names to AWS's own resolver and has it off (enableDnsSupport), so hosts would find neither S3 nor a package. Switch it on: aws ec2 modify-vpc-attribute --vpc-id ${local.vpc_id} --enable-dns-support; or name DNS servers of yours in the VPC's DHCP options."
    }
  }
}

# What makes a worker another machine: changing it replaces workers, which hold nothing worth keeping.
resource "terraform_data" "worker_kind" {
  input = {
    instance_type = local.placement.worker_instance_type
    spot          = local.placement.worker_spot
    max_price     = local.placement.worker_spot ? var.worker_spot_max_price : null
  }
}

# What was asked for when the workers were made: `make up` leaves them as they are until this changes.
resource "terraform_data" "wish" {
  input = {
    instance_types = local.worker_types
    spot           = var.worker_spot
  }
}

resource "aws_instance" "worker" {
  # checkov:skip=CKV_AWS_88:packages and the administrator reach the host by its public address; only SSH from admin_cidrs is open
  # checkov:skip=CKV_AWS_126:detailed monitoring is charged for; Spark's own metrics say more
  count = var.worker_count

  ami                         = local.ami.worker
  instance_type               = local.placement.worker_instance_type
  subnet_id                   = local.subnet_id
  associate_public_ip_address = var.assign_public_ips
  vpc_security_group_ids      = [aws_security_group.nodes.id, aws_security_group.ssh.id]
  key_name                    = aws_key_pair.admin.key_name
  iam_instance_profile        = aws_iam_instance_profile.nodes.name
  ebs_optimized               = local.ebs_optimized.worker
  # A one-time spot instance cannot be stopped.
  instance_initiated_shutdown_behavior = local.placement.worker_spot ? "terminate" : "stop"
  tags                                 = { Name = "${local.prefix}-worker-${count.index + 1}", Role = "worker" }

  dynamic "instance_market_options" {
    for_each = local.placement.worker_spot ? [1] : []

    content {
      market_type = "spot"

      spot_options {
        max_price                      = var.worker_spot_max_price == null ? null : format("%.4f", var.worker_spot_max_price)
        spot_instance_type             = "one-time"
        instance_interruption_behavior = "terminate"
      }
    }
  }

  dynamic "credit_specification" {
    for_each = local.burstable.worker ? [1] : []

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
    volume_size           = var.root_volume_gb
    encrypted             = true
    delete_on_termination = true
    tags                  = merge(local.tags, { Name = "${local.prefix}-worker-${count.index + 1}" })
  }

  # A budget that may not be made is to fail before anything is paid for.
  depends_on = [aws_budgets_budget.monthly]

  lifecycle {
    # What worker_kind decides is read back in other words (0.2 as 0.200000) and is not to replace a host.
    ignore_changes       = [ami, associate_public_ip_address, instance_market_options]
    replace_triggered_by = [terraform_data.worker_kind]

    precondition {
      # Wheels, Java and the features' last digits are an architecture's own.
      condition     = local.architecture.worker == local.architecture.master
      error_message = "worker_instance_types: ${local.placement.worker_instance_type} has a processor of type ${local.architecture.worker} and master_instance_type ${var.master_instance_type} one of type ${local.architecture.master}, and all hosts share one environment. Choose both alike, such as m7g.large beside c7g.2xlarge."
    }

    precondition {
      condition     = length(local.not_to_be_had) == 0
      error_message = "worker_instance_types: ${var.region} does not have ${join(", ", local.not_to_be_had)}. Take out what is not to be had."
    }

    precondition {
      condition     = contains(data.aws_ec2_instance_type_offerings.zones[local.placement.worker_instance_type].locations, local.zone)
      error_message = "Zone ${local.zone}, in which this cluster lives, does not offer ${local.placement.worker_instance_type}. Choose other worker_instance_types, or take the cluster down and up again."
    }
  }
}
