"""The little of `curl` that the pages use, for machines without it: curl -sS [-X METHOD] URL [--json BODY]."""

from __future__ import annotations

import argparse
import urllib.request

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("-s", action="store_true")
parser.add_argument("-S", action="store_true")
parser.add_argument("-X", dest="method")
parser.add_argument("--json", dest="body")
given = parser.parse_args()
request = urllib.request.Request(
    given.url,
    method=given.method,
    data=None if given.body is None else given.body.encode(),
    headers={"Content-Type": "application/json"},
)
with urllib.request.urlopen(request, timeout=30) as answer:
    print(answer.read().decode())
