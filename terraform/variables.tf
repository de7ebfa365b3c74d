# Who and where

variable "cluster_name" {
  description = "Name of the cluster: part of the name of everything it consists of, and of its state's workspace."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.cluster_name))
    error_message = "cluster_name takes 2 to 20 lower-case letters, digits and hyphens, begins with a letter and does not end with a hyphen: it becomes part of a bucket's name."
  }

  validation {
    condition     = contains(["default", var.cluster_name], terraform.workspace)
    error_message = "This workspace holds another cluster's state. Select the cluster's own: terraform workspace select -or-create NAME, with NAME as in cluster_name."
  }
}

variable "owner" {
  description = "Who answers for the cluster, for the Owner tag: a name or an e-mail address."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9 _.:/=+@-]{1,128}$", var.owner))
    error_message = "owner takes 1 to 128 letters, digits, spaces and _ . : / = + - @, as AWS tags do."
  }
}

variable "region" {
  description = "AWS region that holds the machines and the data."
  type        = string
  default     = "eu-west-1"

  validation {
    condition     = contains(var.allowed_regions, var.region)
    error_message = "This region is not among allowed_regions. By default these are the regions in the European Union, so that pictures and results are stored and worked on under EU law (GDPR); to go elsewhere on purpose, add the region to allowed_regions."
  }
}

variable "allowed_regions" {
  description = "Regions in which a cluster may be created: those in the European Union unless you say otherwise."
  type        = list(string)
  default     = ["eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3"]

  validation {
    condition     = length(var.allowed_regions) > 0
    error_message = "allowed_regions names at least one region."
  }
}

# Machines

variable "master_instance_type" {
  description = "EC2 instance type of the master, which also runs the job's driver."
  type        = string
  default     = "m6i.large"

  validation {
    condition     = can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", var.master_instance_type))
    error_message = "master_instance_type is an EC2 instance type such as m6i.large."
  }
}

variable "worker_instance_types" {
  description = "EC2 instance types for the workers, the one you wish for first: where AWS has none of it left, `make up` takes the next. All workers are of one type."
  type        = list(string)
  default     = ["c7a.2xlarge", "c6i.2xlarge"]

  validation {
    condition     = length(var.worker_instance_types) > 0 && alltrue([for type in var.worker_instance_types : can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", type))])
    error_message = "worker_instance_types is a list of EC2 instance types, such as [\"c7a.2xlarge\", \"c6i.2xlarge\"]."
  }

  validation {
    condition     = length(distinct(var.worker_instance_types)) == length(var.worker_instance_types)
    error_message = "worker_instance_types names each type once."
  }
}

variable "worker_instance_type" {
  description = "The workers' one type, as earlier versions spelled it. null: worker_instance_types says it."
  type        = string
  default     = null

  validation {
    condition     = var.worker_instance_type == null ? true : can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", var.worker_instance_type))
    error_message = "worker_instance_type is an EC2 instance type such as c7a.2xlarge."
  }

  validation {
    # The list as it is by default was set by nobody.
    condition     = var.worker_instance_type == null || jsonencode(var.worker_instance_types) == jsonencode(["c7a.2xlarge", "c6i.2xlarge"])
    error_message = "worker_instance_type says nothing beside worker_instance_types: put all types into the list, and leave worker_instance_type out."
  }
}

variable "worker_count" {
  description = "Number of workers, 0 to 100. At 0 only the master runs."
  type        = number
  default     = 2

  validation {
    condition     = var.worker_count >= 0 && var.worker_count <= 100 && floor(var.worker_count) == var.worker_count
    error_message = "worker_count is a whole number from 0 to 100."
  }
}

variable "worker_spot" {
  description = "Workers on the spot market: cheaper by half and more, and AWS may take one away at any time. The master is never on it."
  type        = bool
  default     = false
}

variable "worker_spot_max_price" {
  description = "Highest price in USD per hour to pay for a spot worker. null: up to the on-demand price."
  type        = number
  default     = null

  validation {
    condition     = var.worker_spot_max_price == null ? true : var.worker_spot_max_price > 0
    error_message = "worker_spot_max_price is a positive number of USD per hour, or null."
  }

  validation {
    condition     = var.worker_spot_max_price == null || var.worker_spot
    error_message = "worker_spot_max_price says nothing while worker_spot is false: set worker_spot = true or leave the price out."
  }
}

variable "worker_tensorflow" {
  description = "TensorFlow, Keras and whatever else the master's environment has on workers, too: for --engine tensorflow, and programs of your own whose tasks import them. Each worker takes a minute and 1.5 GB of disk more."
  type        = bool
  default     = false
}

variable "spot_fallback" {
  description = "Where AWS has no spot worker of any type left, take workers on demand, at their price."
  type        = bool
  default     = false

  validation {
    condition     = !var.spot_fallback || var.worker_spot
    error_message = "spot_fallback says nothing while worker_spot is false: set worker_spot = true or leave it out."
  }
}

variable "placement" {
  description = "Which of the zones, types and markets that the settings allow the workers are to have. `make up` sets it, where the first has no room; a zone alone, where the network is there, stands for the first in it."
  type        = object({ zone = string, worker_instance_type = optional(string), worker_spot = optional(bool) })
  default     = null

  validation {
    condition = try(var.placement.worker_instance_type, null) == null ? true : (
      contains(var.worker_instance_type == null ? var.worker_instance_types : [var.worker_instance_type], var.placement.worker_instance_type)
      && (var.placement.worker_spot == var.worker_spot || var.spot_fallback)
    )
    error_message = "placement is among what the other settings allow; `make up` chooses it, so leave it out of terraform.tfvars."
  }
}

variable "ami_id" {
  description = "Machine image for every host. null: the newest official Debian 12 for the instance type's architecture."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null ? true : can(regex("^ami-[0-9a-z]+$", var.ami_id))
    error_message = "ami_id is an image id such as ami-0123456789abcdef0, or null for the newest Debian 12."
  }
}

variable "baked_images" {
  description = "Images that new hosts start from in place of Debian's own, by role, architecture and release (master-x86_64-debian12). `make up` sets it to those that `make bake` made of this checkout; ami_id comes first."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for role, image in var.baked_images : can(regex("^(master|worker)-(x86_64|arm64)-debian[0-9]+$", role)) && can(regex("^ami-[0-9a-z]+$", image))])
    error_message = "baked_images is chosen by `make up`: leave it out of terraform.tfvars."
  }
}

variable "baking" {
  description = "Have the hosts that images are made of. `make bake` sets it, and takes them away again."
  type        = bool
  default     = false
}

variable "root_volume_gb" {
  description = "Size in GB of each host's encrypted gp3 root volume: system, environment, Spark's shuffle files."
  type        = number
  default     = 30

  validation {
    condition     = var.root_volume_gb >= 16 && var.root_volume_gb <= 16384 && floor(var.root_volume_gb) == var.root_volume_gb
    error_message = "root_volume_gb is a whole number from 16 to 16384: below 16 the system and the environment leave no room for Spark."
  }
}

# Access

variable "admin_cidrs" {
  description = "IPv4 networks from which SSH is taken, for example [\"203.0.113.7/32\"]. Nothing else is open."
  type        = list(string)

  validation {
    condition     = length(var.admin_cidrs) > 0
    error_message = "admin_cidrs names at least one network: without one nobody reaches the cluster. Your own address: https://checkip.amazonaws.com"
  }

  validation {
    condition     = alltrue([for cidr in var.admin_cidrs : can(cidrnetmask(cidr))])
    error_message = "admin_cidrs takes IPv4 networks with their prefix length, such as 203.0.113.7/32."
  }

  validation {
    # Two halves of 0.0.0.0/0 are the same hole, so the rule is about width.
    condition     = alltrue([for cidr in var.admin_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, true)])
    error_message = "admin_cidrs refuses 0.0.0.0/0 and every network wider than /8: SSH open to the internet is found within minutes. Give your own address as /32."
  }
}

variable "iam_user" {
  description = "Make an IAM user with rights on the bucket alone, for whose laptop `make credentials` makes a key. false: where your organisation refuses iam:CreateUser; everything else works without."
  type        = bool
  default     = true
}

variable "ssh_public_key_path" {
  description = "OpenSSH public key that may log in; the private key lies beside it without .pub. null: .orchard/CLUSTER/id_ed25519.pub in the checkout, which `make up` creates."
  type        = string
  default     = null

  validation {
    condition     = var.ssh_public_key_path == null ? true : endswith(var.ssh_public_key_path, ".pub")
    error_message = "ssh_public_key_path names the public key, a file that ends in .pub."
  }
}

variable "ssh_proxy_jump" {
  description = "Jump host on the way to the cluster's hosts, USER@HOST or USER@HOST:PORT, reached by your own SSH settings. SSH, Ansible and Fabric all go through it; name its network in admin_cidrs. null: straight to the hosts."
  type        = string
  default     = null

  validation {
    condition     = var.ssh_proxy_jump == null ? true : can(regex("^([A-Za-z_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?$", var.ssh_proxy_jump))
    error_message = "ssh_proxy_jump is one host, such as me@jump.example.org or me@jump.example.org:2222, or null."
  }
}

variable "ssh_user" {
  description = "Login user of the machine image: admin on Debian's. Change it only together with ami_id."
  type        = string
  default     = "admin"

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.ssh_user))
    error_message = "ssh_user is a Linux user name."
  }
}

# Network

variable "vpc_cidr" {
  description = "Private IPv4 network of the cluster's own VPC. Unused with existing_subnet_id."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 24, false)
    error_message = "vpc_cidr is an IPv4 network from /16 to /24, such as 10.42.0.0/16."
  }
}

variable "existing_subnet_id" {
  description = "Subnet to put the hosts in instead of a VPC of their own. It needs a way to the internet (packages) and to S3."
  type        = string
  default     = null

  validation {
    condition     = var.existing_subnet_id == null ? true : can(regex("^subnet-[0-9a-z]+$", var.existing_subnet_id))
    error_message = "existing_subnet_id is a subnet id such as subnet-0123456789abcdef0, or null for a network of the cluster's own."
  }
}

variable "zone" {
  description = "Availability zone of the cluster's own network. null: the first that has room, of those that offer the types, in an order of the cluster's own."
  type        = string
  default     = null

  validation {
    condition     = var.zone == null ? true : startswith(var.zone, var.region) && can(regex("^[a-z0-9-]+[a-z]$", var.zone))
    error_message = "zone is an availability zone of the region, such as eu-west-1b, or null."
  }

  validation {
    condition     = var.zone == null || var.existing_subnet_id == null
    error_message = "zone says nothing with existing_subnet_id, for a subnet lies in one zone: leave it out."
  }
}

variable "assign_public_ips" {
  description = "Give each host a public address. Off only with existing_subnet_id, where you reach private addresses yourself (VPN)."
  type        = bool
  default     = true

  validation {
    condition     = var.assign_public_ips || var.existing_subnet_id != null
    error_message = "assign_public_ips = false needs existing_subnet_id: in a VPC of its own a host without a public address reaches nothing and nobody reaches it."
  }
}

# Data

variable "bucket_force_destroy" {
  description = "Let destroy delete the bucket with all objects and versions in it. Apply it first: destroy goes by what was applied."
  type        = bool
  default     = false
}

variable "bucket_adopt" {
  description = "Take over the bucket that an earlier cluster of this name left behind. `make up` sets it when that bucket exists."
  type        = bool
  default     = false
}

variable "bucket_kms_key_arn" {
  description = "KMS key that encrypts the bucket's objects. null: S3's own keys (SSE-S3), free of charge."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.bucket_kms_key_arn))
    error_message = "bucket_kms_key_arn is the ARN of a key, such as arn:aws:kms:eu-west-1:123456789012:key/..., or null."
  }
}

variable "bucket_lifecycle" {
  description = "Lifecycle rules on the bucket. Without them nothing in it ever expires, aborted uploads included."
  type        = bool
  default     = true
}

variable "old_versions_days" {
  description = "Days for which overwritten and deleted objects can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.old_versions_days >= 1 && floor(var.old_versions_days) == var.old_versions_days
    error_message = "old_versions_days is a whole number of days, at least 1."
  }
}

variable "runs_expire_days" {
  description = "Days after which what lies under runs/ and events/ is deleted. 0: never."
  type        = number
  default     = 0

  validation {
    condition     = var.runs_expire_days >= 0 && floor(var.runs_expire_days) == var.runs_expire_days
    error_message = "runs_expire_days is a whole number of days, or 0 to keep runs for ever."
  }
}

# Ends

variable "idle_minutes" {
  description = "Minutes with nothing at work after which the cluster saves its logs and stops. 0: never."
  type        = number
  default     = 30

  validation {
    condition     = var.idle_minutes == 0 || (var.idle_minutes >= 0.5 && var.idle_minutes <= 1440)
    error_message = "idle_minutes is a number of minutes from 0.5 to 1440, or 0 to never stop an idle cluster."
  }
}

variable "max_age_hours" {
  description = "Hours after `make up`, `start`, `scale` or `keep` at which the cluster stops whatever is at work: a run is ended kindly and can go on later. 0: never."
  type        = number
  default     = 12

  validation {
    # An alarm that is two hours later has to fit into the week that CloudWatch looks back.
    condition     = var.max_age_hours == 0 || (var.max_age_hours >= 0.1 && var.max_age_hours <= 160)
    error_message = "max_age_hours is a number of hours from 0.1 to 160, or 0 to never stop a cluster for its age."
  }
}

variable "deaf_minutes" {
  description = "Minutes after which a worker that cannot reach its master powers itself off. 0: never."
  type        = number
  default     = 20

  validation {
    condition     = var.deaf_minutes == 0 || (var.deaf_minutes >= 0.5 && var.deaf_minutes <= 1440)
    error_message = "deaf_minutes is a number of minutes from 0.5 to 1440, or 0 to never power off a worker."
  }
}

# Money

variable "budget_email" {
  description = "Address for AWS's e-mails at 80 % of the monthly budget and at a forecast of 100 %. null: no budget is created."
  type        = string
  default     = null

  validation {
    condition     = var.budget_email == null ? true : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", var.budget_email))
    error_message = "budget_email is an e-mail address, or null for no budget."
  }
}

variable "budget_usd_per_month" {
  description = "Monthly budget in USD for the whole account."
  type        = number
  default     = 50

  validation {
    condition     = var.budget_usd_per_month > 0
    error_message = "budget_usd_per_month is a positive number of USD."
  }
}

variable "cloudwatch" {
  description = "Metrics of the cluster in CloudWatch (namespace Orchard), a dashboard, and with budget_email two alarms. `make plan` tells the price."
  type        = bool
  default     = true
}
