# What the nodes may do, and what the person's own laptop may do: this bucket; and the nodes may end their own cluster.
# docs/security.md says who uses each right.

locals {
  any_instance = "arn:${local.partition}:ec2:${var.region}:${local.account}:instance/*"
  of_this_cluster = {
    for key in ["Project", "Cluster"] : "aws:ResourceTag/${key}" => local.tags[key]
  }
}

data "aws_iam_policy_document" "bucket_access" {
  statement {
    sid = "ListThisBucket"
    # Uploads that a dead executor has left: s3a's committer looks for them at the end of each job, and ends them.
    actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [aws_s3_bucket.data.arn]
  }

  statement {
    sid       = "UseItsObjects"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.data.arn}/*"]
  }

  dynamic "statement" {
    for_each = var.bucket_kms_key_arn[*]

    content {
      sid       = "UseItsKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      # For objects, and not for whatever else the key may lock.
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${var.region}.${data.aws_partition.current.dns_suffix}"]
      }
    }
  }
}

data "aws_iam_policy_document" "ec2_assumes" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "nodes" {
  name               = "${local.prefix}-nodes"
  description        = "What the hosts of ${local.prefix} may do"
  assume_role_policy = data.aws_iam_policy_document.ec2_assumes.json
}

resource "aws_iam_role_policy" "nodes" {
  name   = "this-bucket-only"
  role   = aws_iam_role.nodes.id
  policy = data.aws_iam_policy_document.bucket_access.json
}

# For the keeper on the master, which ends the cluster. Whatever else runs on a host has the same role.
data "aws_iam_policy_document" "keeper" {
  statement {
    sid       = "EndHostsOfThisCluster"
    actions   = ["ec2:StopInstances", "ec2:TerminateInstances"]
    resources = [local.any_instance]

    dynamic "condition" {
      for_each = local.of_this_cluster

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }

  statement {
    sid     = "SeeInstances"
    actions = ["ec2:DescribeInstances"]
    # EC2 binds no describe call to a resource or a tag.
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = var.cloudwatch ? [1] : []

    content {
      sid     = "WriteMetrics"
      actions = ["cloudwatch:PutMetricData"]
      # Metrics are no resources; their namespace is what bounds the right.
      resources = ["*"]

      condition {
        test     = "StringEquals"
        variable = "cloudwatch:namespace"
        values   = [local.namespace]
      }
    }
  }
}

resource "aws_iam_role_policy" "keeper" {
  name   = "end-this-cluster"
  role   = aws_iam_role.nodes.id
  policy = data.aws_iam_policy_document.keeper.json
}

resource "aws_iam_instance_profile" "nodes" {
  name = "${local.prefix}-nodes"
  role = aws_iam_role.nodes.name
}

# For notebooks on the person's own laptop. Its access key is made on demand, outside Terraform: a key here would lie in the state.
resource "aws_iam_user" "person" {
  count = var.iam_user ? 1 : 0

  # checkov:skip=CKV_AWS_273:a lone account has no single sign-on; the user reaches this bucket only and its key is made on demand
  name = "${local.prefix}-person"
  # Keys made on demand must not keep destroy from ending.
  force_destroy = true
}

resource "aws_iam_user_policy" "person" {
  count = var.iam_user ? 1 : 0

  # checkov:skip=CKV_AWS_40:one user, one bucket; a group of one would only hide where the right comes from
  name   = "this-bucket-only"
  user   = aws_iam_user.person[0].name
  policy = data.aws_iam_policy_document.bucket_access.json
}

# Clusters that an earlier Orchard made have the user without a number.
moved {
  from = aws_iam_user.person
  to   = aws_iam_user.person[0]
}

moved {
  from = aws_iam_user_policy.person
  to   = aws_iam_user_policy.person[0]
}
