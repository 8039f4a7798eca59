"""Snakemake whose scripts are forked from a Python that has the packages already.

    python workflow/warm_python.py ARGUMENTS OF SNAKEMAKE

Many jobs work for less time than it takes to import torch, pandas or matplotlib. Here a server imports what
is installed (nothing of headscarp), and Snakemake is told of a `python` that asks the server to fork and run
the script, with its own arguments, folder, environment and standard streams, and ends as that ends. Jobs that
run elsewhere, on a cluster or in an environment of conda, start as ever, and so do all where the system is no
Linux. Snakemake's own measures of a job (results/timings) are then of the waiting `python`, but for the
seconds; CPU time and memory stand in the job's log.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path

PACKAGES = (
    "captum.attr",
    "geopandas",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "optuna",
    "pystac",
    "rasterio.features",
    "scipy.ndimage",
    "scipy.stats",
    "skimage.segmentation",
    "sklearn.ensemble",
    "snakemake.logging",
    "torch",
)
PATIENCE = 5  # seconds between looks whether Snakemake lives
LARGEST_REQUEST = 1 << 17  # bytes
# The `python` of Snakemake; whatever is no script goes to the real one.
CLIENT = """#!{python} -IS
import json, os, socket, sys
if not sys.argv[1:] or not sys.argv[1].endswith(".py"):
    os.execv("{python}", ["{python}", *sys.argv[1:]])
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect("{address}")
request = dict(arguments=sys.argv[1:], folder=os.getcwd(), environment=dict(os.environ))
socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
sys.exit(int(connection.recv(4) or b"1"))
"""


def serve(server: socket.socket) -> None:
    """Fork once for every connection, as long as Snakemake lives."""
    started_by = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the jobs, and Snakemake ends the server
    for name in PACKAGES:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, reap)
    server.settimeout(PATIENCE)
    while os.getppid() == started_by:  # else Snakemake was killed
        try:
            connection, _ = server.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            server.close()
            status = run(connection)
            connection.send(str(status).encode())
            os._exit(status)
        connection.close()


def reap(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def run(connection: socket.socket) -> int:
    """Run the script of a request as Python runs a script; its exit status."""
    message, streams, *_ = socket.recv_fds(connection, LARGEST_REQUEST, 3)
    request = json.loads(message)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    status = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        address, client = str(Path(folder) / "socket"), Path(folder) / "python"
        client.write_text(CLIENT.format(python=sys.executable, address=address))
        client.chmod(0o755)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
            server.bind(address)
            server.listen()
            if (child := os.fork()) == 0:
                serve(server)
                os._exit(0)
        try:
            from snakemake.cli import main as snakemake

            sys.executable = str(client)
            snakemake(sys.argv[1:])
        finally:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)


if __name__ == "__main__":
    if sys.platform != "linux":
        os.execv(sys.executable, [sys.executable, "-m", "snakemake", *sys.argv[1:]])
    main()
