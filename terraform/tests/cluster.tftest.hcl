# What the configuration plans, with a mocked AWS: no account, no network.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }

  mock_data "aws_ec2_instance_type_offerings" {
    defaults = { locations = ["eu-west-1b", "eu-west-1a"] }
  }

  mock_data "aws_ec2_instance_type" {
    defaults = {
      supported_architectures         = ["x86_64"]
      burstable_performance_supported = false
      ebs_optimized_support           = "default"
      memory_size                     = 8192
    }
  }

  mock_data "aws_ami" {
    defaults = { id = "ami-0debian12" }
  }

  mock_data "aws_subnet" {
    defaults = { vpc_id = "vpc-0theirs", availability_zone = "eu-west-1b" }
  }

  mock_data "aws_vpc" {
    defaults = { enable_dns_support = true, dhcp_options_id = "dopt-0theirs" }
  }

  mock_data "aws_vpc_dhcp_options" {
    defaults = { domain_name_servers = ["AmazonProvidedDNS"] }
  }

  mock_resource "aws_subnet" {
    defaults = { availability_zone = "eu-west-1a" }
  }

  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::orchard-test" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/orchard-test" }
  }

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:orchard-test" }
  }
}

variables {
  cluster_name        = "test"
  owner               = "tester"
  admin_cidrs         = ["203.0.113.7/32"]
  ssh_public_key_path = "tests/example.pub"
}

run "spot_workers_and_an_on_demand_master" {
  command = plan

  variables {
    worker_spot           = true
    worker_spot_max_price = 0.2
  }

  assert {
    condition     = alltrue([for worker in aws_instance.worker : worker.instance_market_options[0].market_type == "spot"])
    error_message = "every worker is on the spot market"
  }

  assert {
    condition     = alltrue([for worker in aws_instance.worker : worker.instance_market_options[0].spot_options[0].max_price == "0.2000"])
    error_message = "the price cap reaches every worker"
  }

  assert {
    condition     = alltrue([for worker in aws_instance.worker : worker.instance_initiated_shutdown_behavior == "terminate"])
    error_message = "a one-time spot instance cannot be stopped"
  }

  assert {
    condition     = length(aws_instance.master.instance_market_options) == 0
    error_message = "the master is never on the spot market"
  }
}

run "existing_subnet" {
  command = plan

  variables {
    existing_subnet_id = "subnet-0theirs"
    assign_public_ips  = false
  }

  assert {
    condition     = length(aws_vpc.cluster) + length(aws_subnet.public) + length(aws_internet_gateway.cluster) + length(aws_vpc_endpoint.s3) == 0
    error_message = "nothing is built around a subnet that exists"
  }

  assert {
    condition     = aws_security_group.nodes.vpc_id == "vpc-0theirs" && aws_security_group.ssh.vpc_id == "vpc-0theirs"
    error_message = "security groups go where the subnet is"
  }

  assert {
    condition     = aws_instance.master.subnet_id == "subnet-0theirs" && !aws_instance.master.associate_public_ip_address
    error_message = "hosts go into the given subnet, without public addresses when told so"
  }
}

run "arm_hosts" {
  command = plan

  variables {
    master_instance_type  = "m7g.large"
    worker_instance_types = ["c7g.2xlarge"]
  }

  override_data {
    target = data.aws_ec2_instance_type.of["master"]
    values = { supported_architectures = ["arm64"], ebs_optimized_support = "default", memory_size = 8192 }
  }

  override_data {
    target = data.aws_ec2_instance_type.of["worker"]
    values = { supported_architectures = ["arm64"], ebs_optimized_support = "default" }
  }

  assert {
    condition     = toset(keys(data.aws_ami.debian)) == toset(["arm64"])
    error_message = "the image is of the hosts' architecture"
  }

  assert {
    condition     = one([for filter in data.aws_ami.debian["arm64"].filter : filter.values if filter.name == "name"]) == toset(["debian-12-arm64-*"])
    error_message = "Debian's arm64 image for arm64 types"
  }
}

run "hosts_of_two_architectures" {
  command = plan

  variables {
    worker_instance_types = ["c7g.2xlarge"]
  }

  override_data {
    target = data.aws_ec2_instance_type.of["worker"]
    values = { supported_architectures = ["arm64"], ebs_optimized_support = "default" }
  }

  expect_failures = [aws_instance.worker]
}

run "a_burstable_master" {
  command = plan

  variables {
    master_instance_type = "t3.large"
  }

  override_data {
    target = data.aws_ec2_instance_type.of["master"]
    values = {
      supported_architectures         = ["x86_64"]
      burstable_performance_supported = true
      ebs_optimized_support           = "default"
      memory_size                     = 4096
    }
  }

  assert {
    condition     = [for credits in aws_instance.master.credit_specification : credits.cpu_credits] == ["standard"]
    error_message = "a burstable host buys no surplus of CPU"
  }

  assert {
    condition     = alltrue([for worker in aws_instance.worker : length(worker.credit_specification) == 0])
    error_message = "other types take no credits"
  }
}

run "given_image" {
  command = plan

  variables {
    ami_id   = "ami-0mine"
    ssh_user = "me"
  }

  assert {
    condition     = aws_instance.master.ami == "ami-0mine" && length(data.aws_ami.debian) == 0 && output.ssh_user == "me"
    error_message = "a given image is taken and none is looked up"
  }
}

run "budget_with_an_address" {
  command = plan

  variables {
    budget_email         = "person@example.com"
    budget_usd_per_month = 20
  }

  assert {
    condition     = aws_budgets_budget.monthly[0].limit_amount == "20" && aws_budgets_budget.monthly[0].limit_unit == "USD"
    error_message = "the budget is what was asked for"
  }

  assert {
    condition     = alltrue([for notice in aws_budgets_budget.monthly[0].notification : notice.subscriber_email_addresses == toset(["person@example.com"])])
    error_message = "each notice goes to the address"
  }
}

run "alarms_with_an_address" {
  command = plan

  variables {
    budget_email  = "person@example.com"
    max_age_hours = 160
  }

  assert {
    condition     = aws_sns_topic_subscription.mail[0].endpoint == "person@example.com" && length(aws_cloudwatch_metric_alarm.workers_missing) == 1
    error_message = "alarms go to the address"
  }

  assert {
    # CloudWatch looks back no further: its alarms' periods times their number are at most 604800 seconds.
    condition     = aws_cloudwatch_metric_alarm.too_old[0].period * aws_cloudwatch_metric_alarm.too_old[0].evaluation_periods <= 604800
    error_message = "the longest age limit fits into the week of CloudWatch"
  }
}

run "without_a_user" {
  command = plan

  variables {
    iam_user = false
  }

  assert {
    condition     = length(aws_iam_user.person) + length(aws_iam_user_policy.person) == 0 && output.iam_user_name == null
    error_message = "where an organisation refuses iam:CreateUser, nothing of it is asked for"
  }
}

run "without_cloudwatch" {
  command = plan

  variables {
    cloudwatch   = false
    budget_email = "person@example.com"
  }

  assert {
    condition     = length(aws_cloudwatch_dashboard.cluster) + length(aws_sns_topic.alarms) + length(aws_sns_topic_subscription.mail) + length(aws_cloudwatch_metric_alarm.too_old) + length(aws_cloudwatch_metric_alarm.workers_missing) == 0
    error_message = "nothing in CloudWatch, and no topic that nothing speaks to"
  }

  assert {
    condition     = !contains(flatten([for statement in data.aws_iam_policy_document.keeper.statement : statement.actions]), "cloudwatch:PutMetricData")
    error_message = "no right to write metrics that nobody reads"
  }
}

run "without_an_age_limit" {
  command = plan

  variables {
    max_age_hours = 0
    budget_email  = "person@example.com"
  }

  assert {
    condition     = aws_scheduler_schedule.master.state == "DISABLED" && aws_scheduler_schedule.worker[0].state == "DISABLED"
    error_message = "no schedule stops a cluster that may grow old"
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.too_old) == 0
    error_message = "nothing is too old"
  }
}

run "spot_workers_are_terminated" {
  command = plan

  variables {
    worker_spot = true
  }

  assert {
    condition     = endswith(aws_scheduler_schedule.master.target[0].arn, ":ec2:stopInstances") && endswith(aws_scheduler_schedule.worker[0].target[0].arn, ":ec2:terminateInstances")
    error_message = "a one-time spot instance cannot be stopped"
  }

  assert {
    condition     = one(data.aws_iam_policy_document.scheduler.statement).actions == toset(["ec2:StopInstances", "ec2:TerminateInstances"])
    error_message = "the schedules' role may terminate where it has to"
  }
}

run "a_jump_host" {
  command = plan

  variables {
    ssh_proxy_jump = "me@jump.example.org:2222"
  }

  assert {
    condition     = output.ssh_proxy_command == "ssh -a -x -o BatchMode=yes -W '[%h]:%p' ssh://me@jump.example.org:2222"
    error_message = "SSH, Ansible and Fabric go through the jump host"
  }
}

run "encryption_with_a_given_key_and_expiring_runs" {
  command = plan

  variables {
    bucket_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/abc"
    runs_expire_days   = 90
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.data.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
    error_message = "objects are encrypted with the key"
  }

  assert {
    condition = jsonencode([for statement in data.aws_iam_policy_document.bucket_access.statement :
      [statement.resources, [for condition in statement.condition : [condition.variable, condition.values]]] if statement.sid == "UseItsKey"
    ]) == jsonencode([[["arn:aws:kms:eu-west-1:123456789012:key/abc"], [["kms:ViaService", ["s3.eu-west-1.amazonaws.com"]]]]])
    error_message = "the key is used through S3 of this region, this key alone"
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.data[0].rule : rule.expiration[0].days if rule.id == "delete-old-runs"] == [90]
    error_message = "runs go after the days given"
  }
}

run "no_zone_with_both_types" {
  command = plan

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["c7a.2xlarge"]
    values = { locations = ["eu-west-1c"] }
  }

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["c6i.2xlarge"]
    values = { locations = ["eu-west-1c"] }
  }

  expect_failures = [aws_subnet.public]
}

run "types_and_markets_in_order" {
  command = plan

  variables {
    worker_instance_types = ["c6i.2xlarge", "c5.2xlarge"]
    worker_spot           = true
    spot_fallback         = true
  }

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["c5.2xlarge"]
    values = { locations = ["eu-west-1c", "eu-west-1a"] }
  }

  assert {
    condition = jsonencode([for place in output.placements : [place.worker_spot, place.worker_instance_type, place.zone]]) == jsonencode([
      [true, "c6i.2xlarge", "eu-west-1b"], [true, "c6i.2xlarge", "eu-west-1a"], [true, "c5.2xlarge", "eu-west-1a"],
      [false, "c6i.2xlarge", "eu-west-1b"], [false, "c6i.2xlarge", "eu-west-1a"], [false, "c5.2xlarge", "eu-west-1a"],
    ])
    error_message = "zones that have the master's type, too; then types as they are listed; then on demand"
  }

  assert {
    condition     = aws_subnet.public[0].availability_zone == "eu-west-1b" && aws_instance.worker[0].instance_type == "c6i.2xlarge"
    error_message = "the first of them, unless told"
  }
}

run "a_region_that_lacks_the_defaults_first_type" {
  command = plan

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["c7a.2xlarge"]
    values = { locations = [] }
  }

  assert {
    condition     = alltrue([for worker in aws_instance.worker : worker.instance_type == "c6i.2xlarge"])
    error_message = "falls back to the next, and nobody has to set anything"
  }
}

run "a_type_that_the_region_does_not_have" {
  command = plan

  variables {
    worker_instance_types = ["c6i.2xlarge", "c6i.2xlrage"]
  }

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["c6i.2xlrage"]
    values = { locations = [] }
  }

  expect_failures = [aws_instance.worker]
}

run "an_order_of_zones_of_the_clusters_own" {
  command = plan

  variables {
    cluster_name = "pears"
  }

  assert {
    condition     = jsonencode(distinct([for place in output.placements : place.zone])) == jsonencode(["eu-west-1a", "eu-west-1b"])
    error_message = "another name, another order: not everybody begins with the same zone"
  }
}

run "another_placement" {
  command = plan

  variables {
    worker_instance_types = ["c6i.2xlarge", "c5.2xlarge"]
    worker_spot           = true
    worker_spot_max_price = 0.2
    spot_fallback         = true
    placement             = { zone = "eu-west-1a", worker_instance_type = "c5.2xlarge", worker_spot = false }
  }

  assert {
    condition     = aws_subnet.public[0].availability_zone == "eu-west-1a"
    error_message = "the network is where it was told to be"
  }

  assert {
    condition = alltrue([for worker in aws_instance.worker :
      worker.instance_type == "c5.2xlarge" && length(worker.instance_market_options) == 0 && worker.instance_initiated_shutdown_behavior == "stop"
    ])
    error_message = "workers on demand are stopped, not terminated"
  }

  assert {
    condition     = endswith(aws_scheduler_schedule.worker[0].target[0].arn, ":ec2:stopInstances") && one(data.aws_iam_policy_document.scheduler.statement).actions == toset(["ec2:StopInstances"])
    error_message = "nor may their schedules terminate anything"
  }

  assert {
    condition     = terraform_data.applied.input.worker_instance_type == "c5.2xlarge" && !terraform_data.applied.input.worker_spot
    error_message = "prices are told of the kind that was chosen"
  }
}

run "the_zone_of_a_network_that_is_there" {
  command = plan

  variables {
    worker_instance_types = ["c6i.2xlarge", "c5.2xlarge"]
    placement             = { zone = "eu-west-1a" }
  }

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["c6i.2xlarge"]
    values = { locations = ["eu-west-1b"] }
  }

  assert {
    condition     = aws_subnet.public[0].availability_zone == "eu-west-1a" && aws_instance.worker[0].instance_type == "c5.2xlarge"
    error_message = "of the types that are allowed, the first that is to be had there"
  }
}

run "a_placement_that_is_not_allowed" {
  command = plan

  variables {
    worker_spot = true
    placement   = { zone = "eu-west-1a", worker_instance_type = "c6i.2xlarge", worker_spot = false }
  }

  expect_failures = [var.placement]
}

run "a_zone_that_was_asked_for" {
  command = plan

  variables {
    zone = "eu-west-1a"
  }

  assert {
    condition     = aws_subnet.public[0].availability_zone == "eu-west-1a" && jsonencode(distinct([for place in output.placements : place.zone])) == jsonencode(["eu-west-1a"])
    error_message = "there and nowhere else"
  }
}

run "a_zone_without_the_types" {
  command = plan

  variables {
    zone = "eu-west-1c"
  }

  expect_failures = [aws_subnet.public]
}

run "the_type_as_it_was_spelled" {
  command = plan

  variables {
    worker_instance_type = "m6i.2xlarge"
  }

  assert {
    condition     = alltrue([for worker in aws_instance.worker : worker.instance_type == "m6i.2xlarge"])
    error_message = "settings of earlier versions are as good as ever"
  }
}

run "a_master_without_memory" {
  command = plan

  variables {
    master_instance_type = "t3.small"
  }

  override_data {
    target = data.aws_ec2_instance_type.of["master"]
    values = { supported_architectures = ["x86_64"], ebs_optimized_support = "default", memory_size = 2048 }
  }

  expect_failures = [aws_instance.master]
}

run "types_without_a_lane_to_their_disks" {
  command = plan

  variables {
    worker_instance_types = ["t2.xlarge"]
  }

  override_data {
    target = data.aws_ec2_instance_type.of["worker"]
    values = { supported_architectures = ["i386", "x86_64"], ebs_optimized_support = "unsupported" }
  }

  assert {
    condition     = alltrue([for worker in aws_instance.worker : !worker.ebs_optimized]) && aws_instance.master.ebs_optimized
    error_message = "AWS refuses a t2 that asks for one"
  }
}

run "a_given_network_without_names" {
  command = plan

  variables {
    existing_subnet_id = "subnet-0theirs"
  }

  override_data {
    target = data.aws_vpc.existing[0]
    values = { enable_dns_support = false, dhcp_options_id = "dopt-0theirs" }
  }

  expect_failures = [aws_instance.master]
}

run "a_given_network_with_dns_servers_of_its_own" {
  command = plan

  variables {
    existing_subnet_id = "subnet-0theirs"
  }

  override_data {
    target = data.aws_vpc.existing[0]
    values = { enable_dns_support = false, dhcp_options_id = "dopt-0theirs" }
  }

  override_data {
    target = data.aws_vpc_dhcp_options.existing[0]
    values = { domain_name_servers = ["10.0.0.2"] }
  }

  assert {
    condition     = aws_instance.master.subnet_id == "subnet-0theirs"
    error_message = "it needs none of AWS's"
  }
}

run "no_public_key" {
  command = plan

  variables {
    ssh_public_key_path = "tests/nowhere.pub"
  }

  expect_failures = [aws_key_pair.admin]
}

# Applied, so that outputs are whole; last, because later runs would plan against their state.

run "defaults" {
  command = apply

  assert {
    condition     = length(aws_instance.worker) == 2 && length(output.workers) == 2
    error_message = "two workers by default"
  }

  assert {
    condition     = [for worker in output.workers : worker.name] == ["worker-1", "worker-2"]
    error_message = "workers are numbered from 1"
  }

  assert {
    condition     = alltrue([for host in concat([aws_instance.master], aws_instance.worker) : length(host.instance_market_options) == 0])
    error_message = "nothing is on the spot market unless asked"
  }

  assert {
    condition = alltrue([for host in concat([aws_instance.master], aws_instance.worker) :
      host.metadata_options[0].http_tokens == "required" && host.metadata_options[0].http_put_response_hop_limit == 1
    ])
    error_message = "IMDSv2 only, one hop"
  }

  assert {
    condition = alltrue([for host in concat([aws_instance.master], aws_instance.worker) :
      host.root_block_device[0].encrypted && host.root_block_device[0].volume_type == "gp3" && host.root_block_device[0].tags.Cluster == "test"
    ])
    error_message = "root volumes are encrypted gp3 and tagged"
  }

  assert {
    condition     = aws_subnet.public[0].availability_zone == output.placements[0].zone
    error_message = "the first of the zones that offer the types"
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.ssh : [rule.cidr_ipv4, rule.from_port, rule.to_port]] == [["203.0.113.7/32", 22, 22]]
    error_message = "SSH from the administrator's network and nothing else"
  }

  assert {
    condition     = aws_s3_bucket.data.bucket == "orchard-test-123456789012-eu-west-1" && !aws_s3_bucket.data.force_destroy
    error_message = "the bucket is named by cluster, account and region, and outlives the cluster"
  }

  assert {
    condition     = aws_scheduler_schedule.master.state == "ENABLED" && length(aws_scheduler_schedule.worker) == var.worker_count && one(data.aws_iam_policy_document.scheduler.statement).actions == toset(["ec2:StopInstances"])
    error_message = "AWS itself stops what grows too old, and its schedules may do nothing else"
  }

  assert {
    condition     = length(aws_cloudwatch_dashboard.cluster) == 1 && length(aws_sns_topic.alarms) + length(aws_cloudwatch_metric_alarm.too_old) + length(aws_cloudwatch_metric_alarm.workers_missing) == 0
    error_message = "a dashboard, and no alarm without an address"
  }

  assert {
    condition     = length(aws_budgets_budget.monthly) == 0
    error_message = "no budget without an address"
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.data[0].rule : rule.id] == ["abort-incomplete-uploads", "delete-old-versions", "delete-old-versions-of-event-logs"]
    error_message = "runs are kept by default"
  }

  assert {
    condition     = endswith(output.ssh_key_path, "/tests/example")
    error_message = "the private key lies beside the public one"
  }
}

run "another_zone_than_the_clusters" {
  command = plan

  variables {
    zone = "eu-west-1a"
  }

  expect_failures = [aws_instance.master]
}

run "zero_workers" {
  command = apply

  variables {
    worker_count = 0
  }

  assert {
    condition     = length(aws_instance.worker) == 0 && output.workers == []
    error_message = "no worker, and the outputs still hold"
  }

  assert {
    condition     = length(aws_scheduler_schedule.worker) + length(aws_cloudwatch_metric_alarm.workers_missing) == 0
    error_message = "no schedule for nobody, and nobody is missing"
  }

  assert {
    condition     = output.master.id == aws_instance.master.id
    error_message = "the master is there"
  }
}

run "hosts_that_images_are_made_of_are_there_only_while_it_goes_on" {
  command = plan

  assert {
    condition     = length(aws_instance.bake) == 0
    error_message = "An apply makes no host of a bake unless it is asked to."
  }
}

run "they_are_encrypted_as_small_as_may_be_and_end_by_themselves" {
  command = plan

  variables {
    baking       = true
    baked_images = { master-x86_64-debian12 = "ami-0ofmaster", worker-x86_64-debian12 = "ami-0ofworker" }
  }

  assert {
    condition     = toset(keys(aws_instance.bake)) == toset(["master", "worker"])
    error_message = "A host for each image."
  }

  assert {
    condition     = alltrue([for host in aws_instance.bake : host.root_block_device[0].encrypted && host.root_block_device[0].volume_size == 16])
    error_message = "The snapshot of an encrypted disk is encrypted, and no host may have a smaller disk than its image."
  }

  assert {
    condition     = alltrue([for host in aws_instance.bake : host.instance_initiated_shutdown_behavior == "terminate" && strcontains(host.user_data, "--on-active=90min")])
    error_message = "A host of a bake that is forgotten switches itself off, and is gone then."
  }

  assert {
    condition     = alltrue([for host in aws_instance.bake : host.ami == "ami-0debian12"])
    error_message = "An image is made of Debian's, not of an image."
  }
}

run "hosts_start_from_images_of_their_role_and_architecture" {
  command = plan

  variables {
    baked_images = { master-x86_64-debian12 = "ami-0ofmaster", worker-arm64-debian12 = "ami-0arm", worker-x86_64-debian12 = "ami-0ofworker", worker-x86_64-debian13 = "ami-0later" }
  }

  assert {
    condition     = alltrue([for worker in aws_instance.worker : worker.ami == "ami-0ofworker"])
    error_message = "An image of another architecture or release is passed over."
  }

  # The master was applied above.
  assert {
    condition     = aws_instance.master.ami == "ami-0debian12"
    error_message = "A host that is there is not made anew for an image."
  }
}

run "an_image_of_the_persons_own_comes_before_baked_ones" {
  command = plan

  variables {
    ami_id       = "ami-0mine"
    baked_images = { master-x86_64-debian12 = "ami-0ofmaster", worker-x86_64-debian12 = "ami-0ofworker" }
  }

  assert {
    condition     = alltrue([for worker in aws_instance.worker : worker.ami == "ami-0mine"])
    error_message = "ami_id is the person's word."
  }
}
