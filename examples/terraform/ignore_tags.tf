# Terraform removes tags that it does not know, Roundsman's among them: a lock that vanishes under a run, a node that
# was "never served". This tells the provider to leave them alone, on every resource that it manages.
provider "aws" {
  region = "eu-west-1"

  ignore_tags {
    keys         = ["lock", "hold", "roundsman-probe"]
    key_prefixes = ["last-", "took-", "fail-"]
  }
}
