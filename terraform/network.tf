# A network of the cluster's own, or the subnet that was given.

locals {
  own_network = var.existing_subnet_id == null
  vpc_id      = local.own_network ? aws_vpc.cluster[0].id : data.aws_subnet.existing[0].vpc_id
  subnet_id   = local.own_network ? aws_subnet.public[0].id : var.existing_subnet_id
  zone        = local.own_network ? aws_subnet.public[0].availability_zone : data.aws_subnet.existing[0].availability_zone

  zones_with_all_types = sort(setintersection([for offer in data.aws_ec2_instance_type_offerings.zones : offer.locations]...))
}

data "aws_subnet" "existing" {
  count = local.own_network ? 0 : 1
  id    = var.existing_subnet_id
}

# Not every zone has every instance type.
data "aws_ec2_instance_type_offerings" "zones" {
  for_each      = toset([var.master_instance_type, var.worker_instance_type])
  location_type = "availability-zone"

  filter {
    name   = "instance-type"
    values = [each.value]
  }
}

resource "aws_vpc" "cluster" {
  # checkov:skip=CKV2_AWS_11:flow logs cost more than this network lives; it holds one person's cluster for hours
  count = local.own_network ? 1 : 0

  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = local.prefix }
}

# AWS lets hosts of the default group talk to each other and out; emptied, it lets nothing through.
resource "aws_default_security_group" "emptied" {
  count  = local.own_network ? 1 : 0
  vpc_id = aws_vpc.cluster[0].id
  tags   = { Name = "${local.prefix}-default-unused" }
}

resource "aws_subnet" "public" {
  count = local.own_network ? 1 : 0

  vpc_id            = aws_vpc.cluster[0].id
  cidr_block        = var.vpc_cidr
  availability_zone = try(local.zones_with_all_types[0], null)
  tags              = { Name = local.prefix }

  lifecycle {
    # A zone that begins to offer the types later is no reason to move a running cluster.
    ignore_changes = [availability_zone]

    precondition {
      condition     = length(local.zones_with_all_types) > 0
      error_message = "No availability zone in ${var.region} offers both ${var.master_instance_type} and ${var.worker_instance_type}. Choose other instance types or another region."
    }
  }
}

resource "aws_internet_gateway" "cluster" {
  count  = local.own_network ? 1 : 0
  vpc_id = aws_vpc.cluster[0].id
  tags   = { Name = local.prefix }
}

resource "aws_route_table" "public" {
  count  = local.own_network ? 1 : 0
  vpc_id = aws_vpc.cluster[0].id
  tags   = { Name = local.prefix }
}

resource "aws_route" "internet" {
  count                  = local.own_network ? 1 : 0
  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.cluster[0].id
}

resource "aws_route_table_association" "public" {
  count          = local.own_network ? 1 : 0
  route_table_id = aws_route_table.public[0].id
  subnet_id      = aws_subnet.public[0].id
}

# Pictures come from S3 inside AWS's network: faster, and free of transfer charges.
resource "aws_vpc_endpoint" "s3" {
  count             = local.own_network ? 1 : 0
  vpc_id            = aws_vpc.cluster[0].id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.public[0].id]
  tags              = { Name = "${local.prefix}-s3" }
}
