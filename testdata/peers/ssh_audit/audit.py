"""ssh-audit for tests: `server HOST PORT` judges the server there, `client` the one that comes.

For a client it listens on 127.0.0.1 and a port of the system's choice, which it prints first as
`PORT n`. It prints one line for each thing that is wrong, of four fields with a tab between: `fail` or
`warn`, the list of KEXINIT, the algorithm, and what is wrong with it; `note`, two empty fields and what
it says about the whole.
"""

import contextlib
import io
import json
import socket
import sys

from ssh_audit import ssh_audit


class OnLoopback(socket.socket):
    """Listens where tests do, and not on every address of the machine."""

    def bind(self, address):
        if self.family != socket.AF_INET:
            raise OSError("not wanted")
        super().bind(("127.0.0.1", 0))
        print("PORT", self.getsockname()[1], file=sys.__stdout__, flush=True)


def judge(arguments):
    """What ssh-audit prints. It says by its status how bad it is; that it failed, by no JSON."""
    sys.argv = ["ssh-audit", "--json", "--skip-rate-test", "--timeout", "20", *arguments]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        ssh_audit.main()
    text = output.getvalue()
    return json.loads(text[text.index("{") :])


def main():
    role, *rest = sys.argv[1:]
    if role == "server":
        host, port = rest
        found = judge(["--port", port, host])
    else:
        socket.socket = OnLoopback
        found = judge(["--client-audit"])
    for family in ["kex", "key", "enc", "mac"]:
        for row in found[family]:
            for level in ["fail", "warn"]:
                for text in row["notes"].get(level, []):
                    print(level, family, row["algorithm"], text, sep="\t")
    for text in found["additional_notes"]:
        print("note", "", "", text, sep="\t")


main()
