"""Puts pip into a virtual environment of a Python without ensurepip, as Debian's is; the lock file vouches for it.

Usage: .venv/bin/python .ci/bootstrap_pip.py requirements.lock
"""

import hashlib
import html
import re
import runpy
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

INDEX = "https://pypi.org/simple/pip/"

lock = Path(sys.argv[1]).read_text()
version = re.search(r"^pip==(\S+)", lock, re.MULTILINE)
if version is None:
    sys.exit(f"{sys.argv[1]} does not pin pip")
wheel = f"pip-{version[1]}-py3-none-any.whl"
with urllib.request.urlopen(INDEX, timeout=60) as answer:
    page = answer.read().decode()
link = re.search(rf'href="([^"]*/{re.escape(wheel)}[^"]*)"', page)
if link is None:
    sys.exit(f"{INDEX} does not offer {wheel}")
url = urllib.parse.urljoin(INDEX, html.unescape(link[1]))
with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - what comes is held against the lock's hash
    content = answer.read()
if f"sha256:{hashlib.sha256(content).hexdigest()}" not in lock:
    sys.exit("the pip that was downloaded is not the one that the lock file pins")
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, wheel)
    path.write_bytes(content)
    sys.path.insert(0, str(path))
    sys.argv = ["pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", str(path)]
    runpy.run_module("pip", run_name="__main__")
