"""Makes the same boto3 calls to two clouds, the test AWS and moto, and prints what each answered.

Reads {"endpoint": URL, "nodes": [ids], "steps": [[name, service, operation, parameters], ...]} from stdin. In
parameters `$1` is the first node, and `$command` the command that was sent last. Prints {"ours": [...], "moto": [...]},
an answer a step. What differs between any two clouds is taken out: ids, times, request ids, and the words of error
messages, which AWS does not document.
"""

import datetime
import json
import logging
import re
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer

GROUP = "g"
OWN = (  # what each cloud makes up for itself
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\br-[0-9a-f]{17}\b"), "<reservation>"),
    (re.compile(r"\bami-[0-9a-f]+"), "<image>"),
    (re.compile(r"\b10[.-]\d+[.-]\d+[.-]\d+\b"), "<address>"),
    (re.compile(r"^\d{4}-\d\d-\d\dT[0-9:.]+Z$"), "<time>"),
)
RUNNING = ("Pending", "InProgress", "Delayed")


class Cloud:
    """One of the two."""

    def __init__(self, endpoint, nodes):
        config = Config(parameter_validation=False, retries={"max_attempts": 1}, read_timeout=20)
        self.clients = {
            service: boto3.client(service, region_name="eu-west-1", endpoint_url=endpoint, config=config,
                                  aws_access_key_id="test", aws_secret_access_key="test")
            for service in ("ec2", "autoscaling", "ssm")
        }
        self.names = {"$%d" % n: node for n, node in enumerate(nodes, 1)}

    def call(self, service, operation, parameters):
        ask = getattr(self.clients[service], operation)
        try:
            return ask(**self.named(parameters))
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return {"error": error.response["Error"]["Code"], "status": status}
        except ResponseParserError:
            return {"error": "no answer of AWS"}

    def step(self, _, service, operation, parameters):
        answer = self.call(service, operation, parameters)
        end = time.monotonic() + 20
        while answer.get("Status") in RUNNING and time.monotonic() < end:
            time.sleep(0.05)
            answer = self.call(service, operation, parameters)
        if "Command" in answer:
            self.names["$command"] = answer["Command"]["CommandId"]
        return self.plain(answer)

    def named(self, value):
        """With ids in the place of their names."""
        if isinstance(value, dict):
            return {key: self.named(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.named(each) for each in value]
        return self.names.get(value, value) if isinstance(value, str) else value

    def plain(self, value):
        """With names in the place of ids, and without what differs in any case."""
        if isinstance(value, dict):
            return {key: self.plain(each) for key, each in value.items() if key != "ResponseMetadata"}
        if isinstance(value, list):
            return [self.plain(each) for each in value]
        if isinstance(value, datetime.datetime):
            return "<time>"
        if isinstance(value, str):
            for name, each in self.names.items():
                value = value.replace(each, name)
            for pattern, word in OWN:
                value = pattern.sub(word, value)
        return value


def moto_nodes(endpoint, count):
    """The same fleet at moto: running instances of a group, four to a reservation and zone, with names."""
    cloud = Cloud(endpoint, [])
    ec2, asg = cloud.clients["ec2"], cloud.clients["autoscaling"]
    zones = ["eu-west-1" + letter for letter in "abc"]
    nodes = []
    for start in range(0, count, 4):
        size = min(4, count - start)
        run = ec2.run_instances(ImageId="ami-12c6146b", MinCount=size, MaxCount=size, InstanceType="t3.micro",
                                Placement={"AvailabilityZone": zones[start // 4 % 3]})
        nodes += [instance["InstanceId"] for instance in run["Instances"]]
    ec2.create_launch_template(LaunchTemplateName="t",
                               LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "t3.micro"})
    asg.create_auto_scaling_group(
        AutoScalingGroupName=GROUP, MinSize=0, MaxSize=10000, DesiredCapacity=0, AvailabilityZones=zones,
        LaunchTemplate={"LaunchTemplateName": "t", "Version": "$Latest"})
    asg.attach_instances(AutoScalingGroupName=GROUP, InstanceIds=nodes)
    for number, node in enumerate(nodes, 1):
        ec2.create_tags(Resources=[node], Tags=[{"Key": "Name", "Value": "%s-%d" % (GROUP, number)}])
        # moto forgets this one of instances that are attached; it runs in this process.
        get_backend("ec2")[DEFAULT_ACCOUNT_ID]["eu-west-1"].tags[node]["aws:autoscaling:groupName"] = GROUP
    return nodes


def main():
    asked = json.load(sys.stdin)
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    endpoint = "http://%s:%d" % moto.get_host_and_port()
    clouds = {
        "ours": Cloud(asked["endpoint"], asked["nodes"]),
        "moto": Cloud(endpoint, moto_nodes(endpoint, len(asked["nodes"]))),
    }
    told = {name: [cloud.step(*step) for step in asked["steps"]] for name, cloud in clouds.items()}
    moto.stop()
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
