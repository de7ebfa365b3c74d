# The cluster's end by AWS's own hand: the schedules stop the hosts when no host does it any more. `make up`, `make start`
# and `make keep` move them on through the API; docs/security.md says what their role may do.

locals {
  # An hour behind the keeper on the master, which ends runs kindly and saves logs first.
  last_call = "at(${formatdate("YYYY-MM-DD'T'hh:mm:ss", timeadd(timestamp(), "${ceil(var.max_age_hours * 60) + 60}m"))})"
  of_ec2    = "arn:${local.partition}:scheduler:::aws-sdk:ec2"
}

# Schedules carry no tags: by their group they are known for this cluster's.
resource "aws_scheduler_schedule_group" "cluster" {
  name = local.prefix
}

# Another age limit counts from now on. Enabled with a time that is past, a schedule might stop the hosts at once.
resource "terraform_data" "max_age" {
  input = var.max_age_hours
}

resource "aws_scheduler_schedule" "master" {
  # checkov:skip=CKV_AWS_297:the schedule holds instance ids and no secret; a key of one's own costs more than the schedule
  name                = "master"
  group_name          = aws_scheduler_schedule_group.cluster.name
  description         = "Stops the master of ${local.prefix} when its keeper has not"
  schedule_expression = local.last_call
  state               = var.max_age_hours == 0 ? "DISABLED" : "ENABLED"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "${local.of_ec2}:stopInstances"
    role_arn = aws_iam_role.scheduler.arn
    input    = jsonencode({ InstanceIds = [aws_instance.master.id] })

    # Tried again for an hour and no longer: by then the cluster may be started again.
    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 30
    }
  }

  lifecycle {
    # The time is moved through the API.
    ignore_changes       = [schedule_expression]
    replace_triggered_by = [terraform_data.max_age]
  }
}

# One for each: EC2 refuses a whole request for one instance that is gone, and workers go (spot, deaf ones).
resource "aws_scheduler_schedule" "worker" {
  # checkov:skip=CKV_AWS_297:the schedule holds instance ids and no secret; a key of one's own costs more than the schedule
  count = var.worker_count

  name                = "worker-${count.index + 1}"
  group_name          = aws_scheduler_schedule_group.cluster.name
  description         = "${local.placement.worker_spot ? "Terminates" : "Stops"} worker-${count.index + 1} of ${local.prefix} when no keeper has"
  schedule_expression = local.last_call
  state               = var.max_age_hours == 0 ? "DISABLED" : "ENABLED"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    # A one-time spot instance cannot be stopped.
    arn      = "${local.of_ec2}:${local.placement.worker_spot ? "terminateInstances" : "stopInstances"}"
    role_arn = aws_iam_role.scheduler.arn
    input    = jsonencode({ InstanceIds = [aws_instance.worker[count.index].id] })

    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 30
    }
  }

  lifecycle {
    ignore_changes       = [schedule_expression]
    replace_triggered_by = [terraform_data.max_age]
  }
}

data "aws_iam_policy_document" "scheduler_assumes" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    # For schedules of this group, and of nobody else's account.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceArn"
      values   = [aws_scheduler_schedule_group.cluster.arn]
    }
  }
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    sid       = "EndHostsOfThisCluster"
    actions   = concat(["ec2:StopInstances"], local.placement.worker_spot ? ["ec2:TerminateInstances"] : [])
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
}

resource "aws_iam_role" "scheduler" {
  name               = "${local.prefix}-scheduler"
  description        = "What the schedules of ${local.prefix} may do"
  assume_role_policy = data.aws_iam_policy_document.scheduler_assumes.json
}

resource "aws_iam_role_policy" "scheduler" {
  name   = "end-this-cluster"
  role   = aws_iam_role.scheduler.id
  policy = data.aws_iam_policy_document.scheduler.json
}
