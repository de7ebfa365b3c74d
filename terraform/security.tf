# Who may talk to the hosts: each other, and SSH from the administrators' networks. Nobody else.

resource "aws_security_group" "nodes" {
  name        = "${local.prefix}-nodes"
  description = "Between the nodes of ${local.prefix}: everything"
  vpc_id      = local.vpc_id
  tags        = { Name = "${local.prefix}-nodes" }
}

resource "aws_vpc_security_group_ingress_rule" "between_nodes" {
  security_group_id            = aws_security_group.nodes.id
  description                  = "Between the nodes"
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_egress_rule" "between_nodes" {
  security_group_id            = aws_security_group.nodes.id
  description                  = "Between the nodes"
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "-1"
}

# Packages come over HTTP and HTTPS, S3 over HTTPS; DNS and time are the VPC's own and pass no security group.
resource "aws_vpc_security_group_egress_rule" "web" {
  for_each = { http = 80, https = 443 }

  security_group_id = aws_security_group.nodes.id
  description       = each.key
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

resource "aws_security_group" "ssh" {
  name        = "${local.prefix}-ssh"
  description = "SSH to ${local.prefix} from its administrators"
  vpc_id      = local.vpc_id
  tags        = { Name = "${local.prefix}-ssh" }
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each = toset(var.admin_cidrs)

  security_group_id = aws_security_group.ssh.id
  description       = "SSH from ${each.value}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
}
