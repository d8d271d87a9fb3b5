"""SSM Run Command that really runs commands: on this machine, each instance with a directory of its own.

moto's own SendCommand succeeds at once and runs nothing, and three of the actions are missing there.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid

STATE_DIR = "/var/lib/roundsman"
DOCUMENTS = {"AWS-RunShellScript", "roundsman"}
TERMINAL = {"Success", "Failed", "TimedOut", "Cancelled"}


class Refusal(Exception):
    """An error answer of SSM: a code and a message, HTTP 400."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


class Invocation:
    """One command on one instance."""

    def __init__(self, command, instance):
        self.command, self.instance = command, instance
        self.status = self.details = "Pending"
        self.code, self.stdout, self.stderr = -1, "", ""
        self.process, self.started = None, ""
        self.listed_from = time.time()

    def end(self, status, details, code=-1):
        if self.status not in TERMINAL:
            self.status, self.details, self.code = status, details, code

    def listing(self, details):
        command = self.command
        output = self.stdout[:2500]
        if self.stderr:
            output = (self.stdout + "\n----------ERROR-------\n" + self.stderr)[:2500]
        plugin = {
            "Name": "aws:runShellScript", "Status": self.status, "StatusDetails": self.details,
            "ResponseCode": self.code, "Output": output,
        }
        return {
            "CommandId": command["id"], "InstanceId": self.instance, "Comment": command["comment"],
            "DocumentName": command["document"], "RequestedDateTime": command["at"],
            "Status": self.status, "StatusDetails": self.details,
            "CommandPlugins": [plugin] if details and self.status not in ("Pending", "Delayed") else [],
        }


class Ssm:
    """All commands, and the agents that run them."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="roundsman-test-aws-")
        self.mark = str(uuid.uuid4())
        self.lock = threading.RLock()
        self.agents = {}  # instance id -> ping status
        self.commands = {}  # command id -> command, oldest first

    # What a request asks for. `fault` is a mode that the test laid in for this send.

    def send_command(self, ask, fault, seconds):
        if ask.get("DocumentName") not in DOCUMENTS:
            raise Refusal("InvalidDocument", "Document with name %s does not exist." % ask.get("DocumentName"))
        for instance in ask.get("InstanceIds", []):
            if instance not in self.agents:
                raise Refusal("InvalidInstanceId", "Instances not in a valid state for account")
        if not ask.get("InstanceIds"):
            raise Refusal("InvalidParameters", "the stand-in takes instance ids only")
        if len(ask.get("Comment", "")) > 100:
            raise Refusal("ValidationException", "Comment is longer than 100 characters")
        if not 30 <= ask.get("TimeoutSeconds", 3600) <= 2592000:
            raise Refusal("ValidationException", "TimeoutSeconds is not between 30 and 2592000")
        command = {
            "id": str(uuid.uuid4()), "comment": ask.get("Comment", ""), "document": ask["DocumentName"],
            "parameters": ask.get("Parameters", {}), "delivery": ask.get("TimeoutSeconds", 3600),
            "at": time.time(), "fault": fault, "seconds": seconds,
        }
        command["invocations"] = {i: Invocation(command, i) for i in ask["InstanceIds"]}
        with self.lock:
            self.commands[command["id"]] = command
        for invocation in command["invocations"].values():
            if fault == "unlisted":
                invocation.listed_from = time.time() + seconds
            threading.Thread(target=self.deliver, args=(invocation,), daemon=True).start()
        return {"Command": self.listing(command)}

    def list_command_invocations(self, ask, *_):
        now, found = time.time(), []
        for command in list(self.commands.values()):
            if ask.get("CommandId") in (None, command["id"]):
                for invocation in command["invocations"].values():
                    wanted = ask.get("InstanceId") in (None, invocation.instance)
                    if wanted and invocation.listed_from <= now:
                        found.append(invocation.listing(ask.get("Details", False)))
        return page("CommandInvocations", found, ask, 50)

    def get_command_invocation(self, ask, *_):
        command = self.commands.get(ask["CommandId"])
        invocation = command and command["invocations"].get(ask["InstanceId"])
        if not invocation or invocation.listed_from > time.time():
            raise Refusal("InvocationDoesNotExist", "")
        return {
            "CommandId": command["id"], "InstanceId": invocation.instance, "Comment": command["comment"],
            "Status": invocation.status, "StatusDetails": invocation.details, "ResponseCode": invocation.code,
            "ExecutionStartDateTime": invocation.started, "StandardOutputContent": invocation.stdout[:24000],
            "StandardErrorContent": invocation.stderr[:8000],
        }

    def list_commands(self, ask, *_):
        after = next((f["value"] for f in ask.get("Filters", []) if f["key"] == "InvokedAfter"), None)
        after = time.mktime(time.strptime(after, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone if after else 0
        found = [
            self.listing(command) for command in reversed(list(self.commands.values()))
            if ask.get("CommandId") in (None, command["id"])
            and (ask.get("InstanceId") is None or ask["InstanceId"] in command["invocations"])
            and command["at"] >= after
        ]
        return page("Commands", found, ask, 50)

    def cancel_command(self, ask, *_):
        command = self.commands.get(ask["CommandId"])
        if not command:
            raise Refusal("InvalidCommandId", "")
        for invocation in command["invocations"].values():
            if ask.get("InstanceIds") and invocation.instance not in ask["InstanceIds"]:
                continue
            with self.lock:
                invocation.end("Cancelled", "Cancelled")
                kill_group(invocation.process)
        return {}

    def describe_instance_information(self, ask, *_):
        wanted = None
        for each in ask.get("Filters", []) + ask.get("InstanceInformationFilterList", []):
            values = each.get("Values") or each.get("valueSet") or []
            if len(values) > 50:
                raise Refusal("InvalidFilterValue", "at most 50 values")
            wanted = set(values)
        found = [
            {"InstanceId": instance, "PingStatus": ping, "PlatformType": "Linux", "ResourceType": "EC2Instance"}
            for instance, ping in sorted(self.agents.items()) if wanted is None or instance in wanted
        ]
        return page("InstanceInformationList", found, ask, 50)

    # What happens on the instances.

    def deliver(self, invocation):
        command = invocation.command
        if command["fault"] == "undeliverable":
            return invocation.end("Failed", "Undeliverable")
        if command["fault"] == "late":
            time.sleep(command["seconds"])
        deadline = command["at"] + command["delivery"]
        while self.agents.get(invocation.instance) != "Online":
            if time.time() > deadline:
                return invocation.end("TimedOut", "Delivery Timed Out")
            if invocation.status in TERMINAL:
                return None
            time.sleep(0.05)
        with self.lock:
            if invocation.status in TERMINAL:
                return None
            self.start(invocation)
        if command["fault"] == "lost":
            # It runs on, and SSM says that it was never delivered.
            return invocation.end("TimedOut", "DeliveryTimedOut")
        return self.watch(invocation)

    def start(self, invocation):
        home = os.path.join(self.root, invocation.instance)
        work = os.path.join(home, "commands", invocation.command["id"])
        os.makedirs(work)
        text = "\n".join(invocation.command["parameters"].get("commands", []))
        text = text.replace(STATE_DIR, os.path.join(home, "state"))
        script = os.path.join(work, "_script.sh")
        with open(script, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        env = {"PATH": os.environ["PATH"], "HOME": home, "ROUNDSMAN_STAND_IN": self.mark}
        with open(os.path.join(work, "stdout"), "wb") as out, open(os.path.join(work, "stderr"), "wb") as err:
            invocation.process = subprocess.Popen(
                ["sh", script], stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=work, env=env,
                start_new_session=True,
            )
        invocation.status = invocation.details = "InProgress"
        invocation.started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        invocation.work = work

    def watch(self, invocation):
        limit = float(invocation.command["parameters"].get("executionTimeout", ["3600"])[0])
        if invocation.command["fault"] == "times-out":
            limit = invocation.command["seconds"]
        try:
            code = invocation.process.wait(timeout=limit)
            ended = ("Success", "Success", 0) if code == 0 else ("Failed", "Failed", code if code > 0 else 128 - code)
        except subprocess.TimeoutExpired:
            kill_group(invocation.process)
            invocation.process.wait()
            ended = ("TimedOut", "Execution Timed Out", 137)
        invocation.stdout = read(os.path.join(invocation.work, "stdout"))
        invocation.stderr = read(os.path.join(invocation.work, "stderr"))
        with self.lock:
            invocation.end(*ended)

    def listing(self, command):
        states = [(i.status, i.details) for i in command["invocations"].values()]
        status, details = states[0]
        if len(states) > 1:
            status = details = "Success" if any(s == "Success" for s, _ in states) else status
        return {
            "CommandId": command["id"], "Comment": command["comment"], "DocumentName": command["document"],
            "Parameters": command["parameters"], "InstanceIds": list(command["invocations"]),
            "RequestedDateTime": command["at"], "Status": status, "StatusDetails": details,
            "TimeoutSeconds": command["delivery"], "TargetCount": len(states),
            "ExpiresAfter": command["at"] + command["delivery"]
            + float(command["parameters"].get("executionTimeout", ["3600"])[0]),
        }

    def close(self):
        """Ends everything that was started here, detached processes too: their environment bears our mark."""
        wanted = ("ROUNDSMAN_STAND_IN=" + self.mark).encode()
        for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
            try:
                with open("/proc/%s/environ" % pid, "rb") as file:
                    if wanted in file.read().split(b"\0"):
                        os.kill(int(pid), signal.SIGKILL)
            except OSError:
                continue  # gone, or somebody else's
        for command in self.commands.values():
            for invocation in command["invocations"].values():
                kill_group(invocation.process)
        shutil.rmtree(self.root, ignore_errors=True)


def kill_group(process):
    # A process that was waited for has given its number back; never signal that.
    if process is not None and process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def read(path):
    with open(path, "rb") as file:
        return file.read().decode("utf-8", "replace")


def page(name, found, ask, most):
    size = min(ask.get("MaxResults") or most, most)
    start = int(ask.get("NextToken") or 0)
    answer = {name: found[start:start + size]}
    if start + size < len(found):
        answer["NextToken"] = str(start + size)
    return answer
