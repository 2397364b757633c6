"""Audits the locked packages for published vulnerabilities: pip-audit, read honestly.

pip-audit calls a package that its advisory service does not answer for "skipped" and still ends
with "no known vulnerabilities". So its report is counted here: a finding fails the build; packages
that could not be audited, or a service that cannot be reached at all, are said loudly and do not
fail it, because a build must be possible where that service is not.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SECONDS = 300


def main() -> int:
    """Audit `requirements.lock`; returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip_audit", "-r", "requirements.lock", "--no-deps", "--disable-pip"]
        command += ["--progress-spinner", "off", "--format", "json", "--output", str(report)]
        try:
            finished = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
            complaint = finished.stderr.strip()
        except subprocess.TimeoutExpired:
            complaint = f"no answer within {SECONDS} s"
        packages = json.loads(report.read_text())["dependencies"] if report.exists() else []
    lines, failed = judge(packages, complaint)
    print("\n".join(lines))
    return 1 if failed else 0


def judge(packages: list[dict[str, Any]], complaint: str) -> tuple[list[str], bool]:
    """What to say of pip-audit's report, and whether the build fails."""
    audited = [package for package in packages if "vulns" in package]
    if not audited:
        loud = "WARNING: NOTHING WAS AUDITED: the advisory service cannot be reached or knows none of the packages."
        return [loud, f"  pip-audit says: {complaint or 'nothing'}"], False
    findings = [(package, finding) for package in audited for finding in package["vulns"]]
    lines = [f"audited {len(audited)} of {len(packages)} locked packages: {len(findings)} vulnerabilities"]
    for package, finding in findings:
        fixed = ", ".join(finding["fix_versions"]) or "no version yet"
        lines.append(f"VULNERABLE: {package['name']} {package['version']}: {finding['id']}, fixed in {fixed}")
    skipped = sorted(package["name"] for package in packages if "vulns" not in package)
    if skipped:
        lines.append(f"WARNING: not audited: {', '.join(skipped)}")
    return lines, bool(findings)


if __name__ == "__main__":
    sys.exit(main())
