# The cluster in CloudWatch: a dashboard of what its keeper writes and, with budget_email, e-mails when it does not end.

locals {
  namespace = "Orchard"
  has_mail  = var.cloudwatch && var.budget_email != null
  # EC2 looks at a host once a minute, free of charge: nearly a whole hour of looks is an hour that it ran.
  looks_an_hour = 50

  charts = {
    "Workers and cores" = ["WorkersAlive", "Cores"]
    "Tasks at work"     = ["TasksRunning"]
    "Pictures done"     = ["PicturesDone", "BadPictures"]
    "Pictures a second" = ["ImagesPerSecond"]
    "Minutes idle"      = ["IdleMinutes"]
    "GB free on disk"   = ["FreeDiskGB"]
    "USD since start"   = ["USDSinceStart"]
  }
}

resource "aws_cloudwatch_dashboard" "cluster" {
  count = var.cloudwatch ? 1 : 0

  dashboard_name = local.prefix
  dashboard_body = jsonencode({
    widgets = [for index, title in keys(local.charts) : {
      type   = "metric"
      x      = index % 2 * 12
      y      = floor(index / 2) * 6
      width  = 12
      height = 6
      properties = {
        title   = title
        region  = var.region
        view    = "timeSeries"
        stat    = "Maximum"
        period  = 60
        metrics = [for metric in local.charts[title] : [local.namespace, metric, "Cluster", var.cluster_name]]
        yAxis   = { left = { min = 0 } }
      }
    }]
  })
}

resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26:CloudWatch may not use AWS's own key for SNS, and a key of one's own costs a dollar a month; an alarm names the cluster and no secret
  count = local.has_mail ? 1 : 0
  name  = local.prefix
}

resource "aws_sns_topic_subscription" "mail" {
  count = local.has_mail ? 1 : 0

  topic_arn = aws_sns_topic.alarms[0].arn
  protocol  = "email"
  endpoint  = var.budget_email
}

# By EC2's own metric of the master: it is there when every keeper is dead.
resource "aws_cloudwatch_metric_alarm" "too_old" {
  count = local.has_mail && var.max_age_hours > 0 ? 1 : 0

  alarm_name          = "${local.prefix}-too-old"
  alarm_description   = "The master of ${local.prefix} has been running for two hours more than max_age_hours: neither its keeper nor AWS's schedule has stopped it."
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed"
  dimensions          = { InstanceId = aws_instance.master.id }
  statistic           = "SampleCount"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = local.looks_an_hour
  period              = 3600
  evaluation_periods  = ceil(var.max_age_hours) + 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms[0].arn]
}

resource "aws_cloudwatch_metric_alarm" "workers_missing" {
  count = local.has_mail && var.worker_count > 0 ? 1 : 0

  alarm_name          = "${local.prefix}-workers-missing"
  alarm_description   = "For ten minutes ${local.prefix} has had fewer than its ${var.worker_count} workers."
  namespace           = local.namespace
  metric_name         = "WorkersAlive"
  dimensions          = { Cluster = var.cluster_name }
  statistic           = "Maximum"
  comparison_operator = "LessThanThreshold"
  threshold           = var.worker_count
  period              = 300
  evaluation_periods  = 2
  # A cluster that is stopped says nothing, and that is no alarm.
  treat_missing_data = "notBreaching"
  alarm_actions      = [aws_sns_topic.alarms[0].arn]
}
