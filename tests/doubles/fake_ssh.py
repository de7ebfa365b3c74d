"""A double of OpenSSH: it connects at once, and listens on the ports that it is asked to forward.

Given a command and no tunnel, it says what it was told that the command says.
"""

import json
import sys

from tests.doubles.fake_hosts import FakeHosts

# Asked to forward, or to cease, through its control socket.
SSH = """
import json, os, socket, sys
words, says = sys.argv[2:], json.loads(sys.argv[1])
if "AWS_SECRET_ACCESS_KEY" in os.environ:
    sys.exit("it was handed a key of AWS's")
path = next((word.partition("=")[2] for word in words if word.startswith("ControlPath=")), None)
if path is None:
    for line in says["lines"]:
        print(line, flush=True)
        sys.stdin.read()
    print(says["complaint"], file=sys.stderr)
    sys.exit(says["code"])
if "-O" in words and "ControlMaster=yes" in words:
    sys.exit(0)  # as OpenSSH: a session of its own, which ends well and forwards nothing
if "-O" in words:
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(path)
        control.sendall(f"{words[words.index('-O') + 1]} {words[words.index('-L') + 1]}".encode())
        sys.exit(int(control.recv(1)))
listening, control = {}, socket.socket(socket.AF_UNIX)
control.bind(path)
control.listen()
while True:
    client, _ = control.accept()
    verb, _, forward = client.recv(1000).decode().partition(" ")
    address, port, *_ = forward.removeprefix("[").replace("]", "").rsplit(":", 3)
    try:
        if verb == "cancel":
            listening.pop((address, port)).close()
        else:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listening[address, port] = socket.create_server((address, int(port)), family=family)
        client.sendall(b"0")
    except OSError:
        client.sendall(b"1")
    client.close()
"""


class SshHosts(FakeHosts):
    """Hosts whose OpenSSH is this program.

    `says` are the lines of the command there, the first at once, each other one at the end of its input; then come
    `complaint` on standard error, and its exit `code`.
    """

    program = SSH
    says: tuple[str, ...] = ()
    complaint, code = "", 0

    def ssh_words(self, host: object) -> list[str]:
        assert host == self.cluster.master
        says = {"lines": self.says, "complaint": self.complaint, "code": self.code}
        return [sys.executable, "-c", self.program, json.dumps(says)]
