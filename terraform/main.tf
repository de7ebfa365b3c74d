# One cluster: who is asking, how things are named, what every resource carries.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  prefix    = "orchard-${var.cluster_name}"
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  tags = {
    Project   = "orchard"
    Cluster   = var.cluster_name
    Owner     = var.owner
    ManagedBy = "terraform"
  }
}

# E-mail before the bill, not with it.
resource "aws_budgets_budget" "monthly" {
  count = var.budget_email == null ? 0 : 1

  name         = local.prefix
  budget_type  = "COST"
  limit_amount = tostring(var.budget_usd_per_month)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  # The whole account's cost: a filter by tag counts nothing until that tag is activated for billing, and would never warn.

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }

    content {
      notification_type          = notification.key
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = [var.budget_email]
    }
  }
}
