"""The old `qserver-console` in a terminal of its own: attach to the worker, evaluate a line, leave.

Command line: one JSON object with ``words``, the options of the program.  Prints what was seen as one line of JSON.
"""

import json
import os
import sys

import pexpect

#: Seconds until a text must have come.
PATIENCE = 30

if __name__ == "__main__":
    words = json.loads(sys.argv[1])["words"]
    programs = os.path.dirname(sys.executable)
    env = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "TMPDIR": os.getcwd()}
    console = pexpect.spawn(
        f"{programs}/qserver-console", words, timeout=PATIENCE, encoding="utf-8", env=env, dimensions=(30, 120)
    )
    console.expect(r"In \[")
    console.send("print('seen', 6 * 7, RE.state)\r")
    console.expect("seen 42 idle")
    console.send("exit\r")
    console.expect(pexpect.EOF)
    console.close()
    print(json.dumps({"status": console.exitstatus}))
