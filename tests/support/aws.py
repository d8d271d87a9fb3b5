"""A stand-in for AWS on 127.0.0.1: moto for EC2 and Auto Scaling, `ssm.py` for Run Command, and bad weather.

Prints its port, and ends when its stdin closes, or after 30 minutes. Beside the AWS protocols it answers:

  GET  /stand-in/calls               {"CreateTags": 3, ...}: calls since the last reset
  POST /stand-in/reset               forgets calls, faults, page sizes and the clock's offset; fleets stay
  POST /stand-in/faults              {"action", "mode", "count": 1, "skip": 0, "seconds": 60, "node": null}: goes wrong
                                     `count` times (-1: for ever) after `skip` calls, of calls that name `node` only
  POST /stand-in/clock               {"seconds": 30}: how far the Date header is ahead of this machine
  POST /stand-in/pages               {"DescribeInstances": 2, ...}: no answer holds more (reservations of 4 instances)
  POST /stand-in/fleet               {"group": null, "nodes": 3, "tags": {}, "agents": true} -> {"nodes": [ids]}
  POST /stand-in/instance/ID         {"state", "reason", "lifecycle", "health", "agent"}: what it is from now on
  GET  /stand-in/tags/ID             its tags
  POST /stand-in/tags/ID             {"set": {}, "delete": []}
  GET  /stand-in/commands            every command sent, with comment, text and status

Fault modes of every action: deny, throttle, expired, conflict, 500, drop (the connection breaks, nothing is done),
hang (no answer, nothing is done), hang-after and 500-after (it is done, but the answer does not say so), slow (it is
done, and answered after `seconds`), late (it is answered at once and done after `seconds`), stale (of reads: the answer
that the same question had `seconds` ago, every `every`th time). Of SendCommand also: undeliverable, lost (it runs, and
SSM says that it was never delivered), unlisted (SSM does not list it for `seconds`), times-out (its executionTimeout is
`seconds`).
"""

import collections
import io
import json
import os
import re
import socket
import sys
import threading
import time
import urllib.parse
import uuid
from email.utils import formatdate

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import boto3
from botocore.config import Config
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.ec2.exceptions import TagLimitExceeded
from moto.ec2.models.tags import TagBackend
from moto.ec2.responses.tags import TagResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from ssm import Refusal, Ssm

REGION = "eu-west-1"
IMAGE = "ami-12c6146b"  # one that moto knows; looking one up takes a second
OURS = "roundsman-stand-in"  # in the user agent of calls that do not count
ERRORS = {  # mode -> (EC2, Auto Scaling, SSM), each (status, code, message)
    "deny": (
        (403, "UnauthorizedOperation", "You are not authorized to perform this operation. "
         "Encoded authorization failure message: 4GIOHlTkIaWH"),
        (403, "AccessDenied", "User: arn:aws:iam::123456789012:user/x is not authorized"),
        (400, "AccessDeniedException", "User: arn:aws:iam::123456789012:user/x is not authorized"),
    ),
    "throttle": (
        (503, "RequestLimitExceeded", "Request limit exceeded."),
        (400, "Throttling", "Rate exceeded"),
        (400, "ThrottlingException", "Rate exceeded"),
    ),
    "expired": (
        (400, "RequestExpired", "Request has expired."),
        (403, "ExpiredToken", "The security token included in the request is expired"),
        (400, "ExpiredTokenException", "The security token included in the request is expired"),
    ),
    "conflict": ((400, "ConcurrentTagAccess", "Tags are being changed by another request."),) * 3,
    "500": ((500, "InternalError", "An internal error has occurred"),) * 3,
}
PAGE_PARAMETER = {"DescribeInstances": "MaxResults", "DescribeTags": "MaxResults",
                  "DescribeAutoScalingGroups": "MaxRecords"}


def describe_tags(self):
    """moto answers in one page whatever is asked."""
    tags = self.ec2_backend.describe_tags(filters=self._filters_from_querystring())
    start, size = int(self._get_param("NextToken") or 0), int(self._get_param("MaxResults") or 1000)
    more = str(start + size) if start + size < len(tags) else None
    return ActionResult({"Tags": tags[start:start + size], "NextToken": more})


def create_tags(self, resource_ids, tags):
    """moto counts `aws:` tags towards the limit of 50; EC2 does not."""
    for resource in resource_ids:
        merged = {**self.tags.get(resource, {}), **tags}
        if sum(not key.startswith("aws:") for key in merged) > 50:
            raise TagLimitExceeded()
    for resource in resource_ids:
        self.tags[resource].update(tags)
    return True


def tag_what_exists(self, moto=TagResponse.create_tags):
    """moto tags instances that there are not."""
    for resource in self._get_param("Resources", []):
        if resource.startswith("i-"):
            self.ec2_backend.get_instance(resource)
    return moto(self)


TagResponse.describe_tags = describe_tags
TagResponse.create_tags = tag_what_exists
TagBackend.create_tags = create_tags


class StandIn:
    """The WSGI application."""

    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.ssm = Ssm()
        self.port, self.clients = None, {}
        self.reset({})

    def reset(self, _):
        self.calls, self.faults = collections.Counter(), []
        self.answers = collections.defaultdict(list)
        self.pages, self.ahead = {}, 0
        return {}

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ.get("PATH_INFO", "/")

        def answer(status, headers, *rest):
            headers = [h for h in headers if h[0].lower() not in ("date", "x-amzn-requestid")]
            return start_response(status, headers + [("x-amzn-RequestId", str(uuid.uuid4()))], *rest)

        if path.startswith("/stand-in/"):
            return self.admin(environ["REQUEST_METHOD"], path[len("/stand-in/"):], body, answer)
        action, service = action_of(environ, body)
        if OURS in environ.get("HTTP_USER_AGENT", ""):
            return self.act(action, service, environ, body, None, answer)
        self.calls[action] += 1
        fault = self.fault(action, body)
        mode = fault.get("mode", "")
        if mode == "stale":
            return self.stale(action, service, environ, body, fault, answer)
        if mode in ERRORS:
            return refuse(service, *ERRORS[mode][("ec2", "asg", "ssm").index(service)], answer)
        if mode == "drop":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        if mode == "hang":
            time.sleep(fault["seconds"])
            return refuse(service, *ERRORS["500"][0], answer)
        if mode == "late" and service != "ssm":
            threading.Timer(fault["seconds"], self.quietly, (action, service, dict(environ), body)).start()
            return empty(service, action, answer)
        if mode.endswith("-after"):
            self.quietly(action, service, dict(environ), body)
            if mode == "hang-after":
                time.sleep(fault["seconds"])
            return refuse(service, *ERRORS["500"][0], answer)
        if mode == "slow":
            held = []
            told = list(self.act(action, service, environ, body, None, lambda *said: held.append(said)))
            time.sleep(fault["seconds"])
            answer(*held[0])
            return told
        return self.act(action, service, environ, body, fault, answer)

    def act(self, action, service, environ, body, fault, answer):
        if service == "ssm":
            return self.run_command(action, json.loads(body or b"{}"), fault or {}, answer)
        size, parameter = self.pages.get(action), PAGE_PARAMETER.get(action)
        if size and parameter:
            body = re.sub(rb"(^|&)%s=\d+" % parameter.encode(), b"", body) + b"&%s=%d" % (parameter.encode(), size)
        environ = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return self.moto(environ, answer)

    def stale(self, action, service, environ, body, fault, answer):
        """Asks and keeps the answer, and gives the newest that is old enough, else the oldest."""
        held = []
        fresh = b"".join(self.act(action, service, environ, body, None, lambda *said: held.append(said)))
        answers = self.answers[body]
        answers.append((time.monotonic(), held[0], fresh))
        old = [each for each in answers if each[0] <= time.monotonic() - fault["seconds"]]
        fault["seen"] = fault.get("seen", 0) + 1
        chosen = (old or answers[:1])[-1] if fault["seen"] % fault.get("every", 1) == 0 else answers[-1]
        answer(*chosen[1])
        return [chosen[2]]

    def quietly(self, action, service, environ, body):
        """Does it, and keeps the answer to itself."""
        b"".join(self.act(action, service, environ, body, None, lambda *_: None))

    def fault(self, action, body):
        for fault in self.faults:
            about = fault["node"] is None or fault["node"].encode() in body
            if fault["action"] != action or not about:
                continue
            if fault["skip"]:
                fault["skip"] -= 1
            elif fault["count"] != 0:
                fault["count"] -= 1
                return fault
        return {}

    def run_command(self, action, ask, fault, answer):
        if action in self.pages:
            ask["MaxResults"] = self.pages[action]
        handler = getattr(self.ssm, re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower(), None)
        if handler is None:
            return refuse("ssm", 400, "UnknownOperationException", "the stand-in has no " + action, answer)
        try:
            told = handler(ask, fault.get("mode", ""), fault.get("seconds", 0))
        except Refusal as refusal:
            return refuse("ssm", 400, refusal.code, refusal.message, answer)
        return send(answer, 200, json.dumps(told), "application/x-amz-json-1.1")

    def admin(self, method, path, body, answer):
        what, _, name = path.partition("/")
        handler = getattr(self, "%s_%s" % (method.lower(), what), None)
        if what == "reset":
            handler = self.reset
        try:
            told = handler(*filter(None, [name]), *([json.loads(body or b"{}")] if method == "POST" else []))
            return send(answer, 200, json.dumps(told), "application/json")
        except Exception as error:  # a mistake in a test: say it there
            return send(answer, 400, json.dumps({"error": repr(error)}), "application/json")

    def get_calls(self):
        return dict(self.calls)

    def post_faults(self, ask):
        self.faults.append({"count": 1, "skip": 0, "seconds": 60, "node": None, **ask})
        return {}

    def post_clock(self, ask):
        self.ahead = ask["seconds"]
        return {}

    def post_pages(self, ask):
        self.pages = ask
        return {}

    def get_tags(self, node):
        return dict(self.ec2().tags.get(node, {}))

    def post_tags(self, node, ask):
        tags = self.ec2().tags[node]
        tags.update(ask.get("set", {}))
        for key in ask.get("delete", []):
            tags.pop(key, None)
        return dict(tags)

    def get_commands(self):
        return [
            {**self.ssm.listing(command), "Text": "\n".join(command["parameters"].get("commands", []))}
            for command in list(self.ssm.commands.values())
        ]

    def post_fleet(self, ask):
        ec2, asg = self.client("ec2"), self.client("autoscaling")
        group, count, tags = ask.get("group"), ask["nodes"], ask.get("tags", {})
        zones = [REGION + letter for letter in "abc"]
        ids = []
        while len(ids) < count:
            zone = zones[len(ids) // 4 % 3]
            batch = min(4, count - len(ids))
            run = ec2.run_instances(ImageId=IMAGE, MinCount=batch, MaxCount=batch, InstanceType="t3.micro",
                                    Placement={"AvailabilityZone": zone})
            ids += [instance["InstanceId"] for instance in run["Instances"]]
        for number, node in enumerate(ids, 1):
            own = {"Name": "%s-%d" % (group or "node", number), **tags}
            self.ec2().tags[node].update(own)
        if group:
            if not asg.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]:
                template = "t-" + uuid.uuid4().hex
                ec2.create_launch_template(LaunchTemplateName=template,
                                           LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "t3.micro"})
                asg.create_auto_scaling_group(
                    AutoScalingGroupName=group, MinSize=0, MaxSize=10000, DesiredCapacity=0, AvailabilityZones=zones,
                    LaunchTemplate={"LaunchTemplateName": template, "Version": "$Latest"})
            for start in range(0, len(ids), 20):
                asg.attach_instances(AutoScalingGroupName=group, InstanceIds=ids[start:start + 20])
            for node in ids:
                self.ec2().tags[node]["aws:autoscaling:groupName"] = group
        if ask.get("agents", True):
            self.ssm.agents.update({node: "Online" for node in ids})
        return {"nodes": ids}

    def post_instance(self, node, ask):
        instance = self.ec2().get_instance(node)
        if "state" in ask:
            instance._state.name = ask["state"]
        if "reason" in ask:
            instance.state_reason.code = ask["reason"]
        if "agent" in ask:
            self.ssm.agents[node] = ask["agent"]
            if ask["agent"] is None:
                del self.ssm.agents[node]
        for group in get_backend("autoscaling")[DEFAULT_ACCOUNT_ID][REGION].autoscaling_groups.values():
            for member in group.instance_states:
                if member.instance.id == node:
                    member.lifecycle_state = ask.get("lifecycle", member.lifecycle_state)
                    member.health_status = ask.get("health", member.health_status)
        return {}

    def ec2(self):
        return get_backend("ec2")[DEFAULT_ACCOUNT_ID][REGION]

    def client(self, service):
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service, region_name=REGION, endpoint_url="http://127.0.0.1:%d" % self.port,
                aws_access_key_id="stand-in", aws_secret_access_key="stand-in",
                config=Config(user_agent_extra=OURS, retries={"max_attempts": 1}))
        return self.clients[service]


def action_of(environ, body):
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target.startswith("AmazonSSM."):
        return target.split(".", 1)[1], "ssm"
    form = urllib.parse.parse_qs(body.decode("utf-8", "replace"))
    service = "asg" if form.get("Version") == ["2011-01-01"] else "ec2"
    return form.get("Action", ["?"])[0], service


def refuse(service, status, code, message, answer):
    if service == "ssm":
        return send(answer, status, json.dumps({"__type": code, "message": message}), "application/x-amz-json-1.1")
    error = "<Error><Code>%s</Code><Message>%s</Message></Error>" % (code, message)
    if service == "asg":
        text = "<ErrorResponse>%s<RequestId>stand-in</RequestId></ErrorResponse>" % error
    else:
        text = "<Response><Errors>%s</Errors><RequestID>stand-in</RequestID></Response>" % error
    return send(answer, status, text, "text/xml")


def empty(service, action, answer):
    name = action + "Response"
    return send(answer, 200, "<%s><return>true</return></%s>" % (name, name), "text/xml")


def send(answer, status, text, kind):
    body = text.encode()
    answer("%d Answer" % status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


class Quiet(WSGIRequestHandler):
    """HTTP/1.1, so that connections are kept as they are with AWS; no log."""

    protocol_version = "HTTP/1.1"

    def date_time_string(self, timestamp=None):
        return formatdate(time.time() + self.server.app.ahead, usegmt=True)

    def log(self, *_):
        pass


def main():
    stand_in = StandIn()
    server = make_server("127.0.0.1", 0, stand_in, threaded=True, request_handler=Quiet)
    stand_in.port = server.server_port

    def end():
        stand_in.ssm.close()
        os._exit(0)

    limit = threading.Timer(1800, end)
    limit.daemon = True
    limit.start()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.buffer.read()
    end()


if __name__ == "__main__":
    main()
