# The bucket: pictures, runs, logs. It outlives the cluster unless told otherwise.

locals {
  # S3 names are shared by all of AWS; account and region make this one ours.
  bucket_name = "${local.prefix}-${local.account}-${var.region}"
}

import {
  for_each = toset(var.bucket_adopt ? [local.bucket_name] : [])
  to       = aws_s3_bucket.data
  id       = each.value
}

resource "aws_s3_bucket" "data" {
  # checkov:skip=CKV_AWS_18:access logs would need a second bucket that outlives the cluster and costs without end
  # checkov:skip=CKV_AWS_144:the pictures are a copy of what the person uploaded; a second region doubles the bill
  # checkov:skip=CKV2_AWS_62:nothing listens to events of this bucket
  bucket        = local.bucket_name
  force_destroy = var.bucket_force_destroy
}

resource "aws_s3_bucket_public_access_block" "data" {
  bucket                  = aws_s3_bucket.data.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "data" {
  bucket = aws_s3_bucket.data.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "data" {
  bucket = aws_s3_bucket.data.id

  rule {
    # One data key for many small objects, not one KMS request for each.
    bucket_key_enabled = var.bucket_kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.bucket_kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.bucket_kms_key_arn
    }
  }
}

resource "aws_s3_bucket_versioning" "data" {
  bucket = aws_s3_bucket.data.id

  versioning_configuration {
    status = "Enabled"
  }
}

data "aws_iam_policy_document" "tls_only" {
  statement {
    sid       = "RefusePlainHttp"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.data.arn, "${aws_s3_bucket.data.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "tls_only" {
  bucket = aws_s3_bucket.data.id
  policy = data.aws_iam_policy_document.tls_only.json
  # S3 refuses changes to a policy while the public access block is being changed.
  depends_on = [aws_s3_bucket_public_access_block.data]
}

resource "aws_s3_bucket_lifecycle_configuration" "data" {
  count  = var.bucket_lifecycle ? 1 : 0
  bucket = aws_s3_bucket.data.id
  # Old versions are a rule's business only once versioning is on.
  depends_on = [aws_s3_bucket_versioning.data]

  rule {
    id     = "abort-incomplete-uploads"
    status = "Enabled"
    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  rule {
    id     = "delete-old-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.old_versions_days
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  # The log of a job that goes on is put anew each minute: nobody needs the ones before.
  rule {
    id     = "delete-old-versions-of-event-logs"
    status = "Enabled"

    filter {
      prefix = "events/"
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # A run's event log goes with it.
  dynamic "rule" {
    for_each = var.runs_expire_days > 0 ? { runs = "runs/", event-logs = "events/" } : {}

    content {
      id     = "delete-old-${rule.key}"
      status = "Enabled"

      filter {
        prefix = rule.value
      }

      expiration {
        days = var.runs_expire_days
      }
    }
  }
}
