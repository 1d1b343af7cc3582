"""``python -m tests.advisories``: known vulnerabilities in the packages that production runs.

Where the advisory service can't be reached, one line says so and the check passes: no silent all-clear.
"""

import json
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"
OPTIONS = ("--format", "json", "--progress-spinner", "off", "--no-deps", "--disable-pip", "--timeout", "10")


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", *OPTIONS, "-r", str(REQUIREMENTS)]
    try:
        audit = subprocess.run(command, capture_output=True, text=True, timeout=300)
        found = json.loads(audit.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        found = []
    audited = [package for package in found if "skip_reason" not in package]
    if not audited:
        print("evncare: packages not audited: the advisory service is not reachable from here")
        return 0
    skipped = [package["name"] for package in found if "skip_reason" in package]
    print(f"{len(audited)} packages audited" + (f", not audited: {', '.join(skipped)}" if skipped else ""))
    vulnerable = [package for package in audited if package["vulns"]]
    for package in vulnerable:
        for vulnerability in package["vulns"]:
            mended = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            print(f"! {package['name']} {package['version']}: {vulnerability['id']}, mended in {mended}")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
