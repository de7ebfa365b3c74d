# A network of the cluster's own, or the subnet that was given; and the places in it where workers may be made.

locals {
  own_network = var.existing_subnet_id == null
  vpc_id      = local.own_network ? aws_vpc.cluster[0].id : data.aws_subnet.existing[0].vpc_id
  subnet_id   = local.own_network ? aws_subnet.public[0].id : var.existing_subnet_id
  zone        = local.own_network ? aws_subnet.public[0].availability_zone : data.aws_subnet.existing[0].availability_zone

  # Whoever names DNS servers of their own in the DHCP options needs AWS's no more.
  resolves_names = local.own_network ? true : data.aws_vpc.existing[0].enable_dns_support || !contains(flatten(data.aws_vpc_dhcp_options.existing[*].domain_name_servers), "AmazonProvidedDNS")
}

locals {
  worker_types = var.worker_instance_type == null ? var.worker_instance_types : [var.worker_instance_type]
  fixed_zone   = local.own_network ? var.zone : data.aws_subnet.existing[0].availability_zone

  # For each type of workers the zones that offer it beside the master's, in an order that is this cluster's own: the
  # first in the alphabet is the one that everybody picks.
  zones = {
    for type in local.worker_types : type => [
      for drawn in sort([
        for zone in setintersection(data.aws_ec2_instance_type_offerings.zones[var.master_instance_type].locations, data.aws_ec2_instance_type_offerings.zones[type].locations) :
        "${sha256("${local.account} ${var.cluster_name} ${zone}")} ${zone}" if local.fixed_zone == null || local.fixed_zone == zone
      ]) : split(" ", drawn)[1]
    ]
  }
  # All that the settings allow, in the order in which `make up` tries it: zones, then types, then on demand.
  placements = flatten([
    for spot in var.worker_spot && var.spot_fallback ? [true, false] : [var.worker_spot] : [
      for type in local.worker_types : [
        for zone in local.zones[type] : { zone = zone, worker_instance_type = type, worker_spot = spot }
      ]
    ]
  ])
  first_wish = { zone = local.fixed_zone, worker_instance_type = local.worker_types[0], worker_spot = var.worker_spot }
  # A network that is there has one zone, which may not have the first type.
  in_zone   = [for place in local.placements : place if place.zone == try(var.placement.zone, place.zone)]
  placement = try(var.placement.worker_instance_type, null) == null ? try(local.in_zone[0], local.placements[0], local.first_wish) : var.placement
}

data "aws_subnet" "existing" {
  count = local.own_network ? 0 : 1
  id    = var.existing_subnet_id
}

data "aws_vpc" "existing" {
  count = local.own_network ? 0 : 1
  id    = data.aws_subnet.existing[0].vpc_id
}

data "aws_vpc_dhcp_options" "existing" {
  # AWS says "default" of a VPC without any.
  count           = length([for vpc in data.aws_vpc.existing : vpc if !vpc.enable_dns_support && vpc.dhcp_options_id != "default"])
  dhcp_options_id = data.aws_vpc.existing[0].dhcp_options_id
}

# Not every zone has every instance type.
data "aws_ec2_instance_type_offerings" "zones" {
  for_each      = toset(concat([var.master_instance_type], local.worker_types))
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
  availability_zone = local.placement.zone
  tags              = { Name = local.prefix }

  lifecycle {
    # A zone that begins to offer the types later is no reason to move a running cluster; `make up` moves one that is not.
    ignore_changes = [availability_zone]

    precondition {
      condition     = length(local.placements) > 0
      error_message = "${var.zone == null ? "No availability zone in ${var.region}" : "Zone ${var.zone} is none that"} offers both ${var.master_instance_type} and ${join(" or ", local.worker_types)}. Choose other instance types or another ${var.zone == null ? "region" : "zone"}."
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
