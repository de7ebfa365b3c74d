# What the operator's side reads. These names are its interface: add, do not rename.

# A look at AWS (apply -refresh-only) writes outputs anew, by settings that nobody has applied: what was applied is here.
resource "terraform_data" "applied" {
  input = {
    master_instance_type = var.master_instance_type
    worker_instance_type = local.placement.worker_instance_type
    worker_spot          = local.placement.worker_spot
    worker_tensorflow    = var.worker_tensorflow
    root_volume_gb       = var.root_volume_gb
    cloudwatch           = var.cloudwatch
    ends = {
      idle_minutes  = var.idle_minutes
      max_age_hours = var.max_age_hours
      deaf_minutes  = var.deaf_minutes
    }
  }
}

output "cluster_name" {
  description = "Name of the cluster."
  value       = var.cluster_name
}

output "account" {
  description = "Account that all of this is in: credentials of another one are refused."
  value       = local.account
}

output "region" {
  description = "Region of the hosts and the bucket."
  value       = var.region
}

output "bucket" {
  description = "Name of the S3 bucket for pictures and runs."
  value       = aws_s3_bucket.data.id
}

output "master" {
  description = "The master: name, instance id, addresses (public_ip is null without one)."
  value = {
    name       = "master"
    id         = aws_instance.master.id
    private_ip = aws_instance.master.private_ip
    public_ip  = try(coalesce(aws_instance.master.public_ip), null)
  }
}

output "workers" {
  description = "The workers in order, as the master is described; empty when worker_count is 0."
  value = [for index, worker in aws_instance.worker : {
    name       = "worker-${index + 1}"
    id         = worker.id
    private_ip = worker.private_ip
    public_ip  = try(coalesce(worker.public_ip), null)
  }]
}

output "ssh_user" {
  description = "User to log in as on each host."
  value       = var.ssh_user
}

output "ssh_key_path" {
  description = "Private key that logs in, on the machine that applied."
  value       = trimsuffix(local.public_key_path, ".pub")
}

output "ssh_proxy_command" {
  description = "Command through which SSH, Ansible and Fabric alike reach the hosts; null (and so absent) without ssh_proxy_jump."
  # The jump host is the person's own: reached by their own SSH settings, and handed no agent and no display.
  value = var.ssh_proxy_jump == null ? null : "ssh -a -x -o BatchMode=yes -W '[%h]:%p' ssh://${var.ssh_proxy_jump}"
}

output "iam_user_name" {
  description = "IAM user for a laptop and its notebooks; it has no access key until one is asked for. Null (and so absent) with iam_user = false."
  value       = one(aws_iam_user.person[*].name)
}

output "master_instance_type" {
  description = "Instance type of the master, for the price."
  value       = terraform_data.applied.output.master_instance_type
}

output "worker_instance_type" {
  description = "Instance type of each worker, for the price."
  value       = terraform_data.applied.output.worker_instance_type
}

output "worker_spot" {
  description = "Whether the workers are on the spot market, for the price."
  value       = terraform_data.applied.output.worker_spot
}

output "worker_tensorflow" {
  description = "Whether workers have TensorFlow."
  # What an earlier Orchard applied knows nothing of it.
  value = try(terraform_data.applied.output.worker_tensorflow, false)
}

output "placements" {
  description = "Zones, types and markets that the settings allow the workers, in the order in which `make up` tries them."
  value       = local.placements
}

output "root_volume_gb" {
  description = "Size in GB of each host's root volume, for the price."
  value       = terraform_data.applied.output.root_volume_gb
}

output "ends" {
  description = "When the cluster ends by itself, for its keeper: idle_minutes, max_age_hours, deaf_minutes; 0 is never."
  value       = terraform_data.applied.output.ends
}

output "cloudwatch" {
  description = "Whether the keeper writes metrics."
  value       = terraform_data.applied.output.cloudwatch
}

output "tags" {
  description = "Tags that everything of this cluster carries."
  value       = local.tags
}
