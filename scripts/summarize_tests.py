"""Adds up the results that scripts/test collected and prints what failed, what was skipped and why,
and the closing line `N passed, N failed, N skipped`. Exits 0 only if something passed and nothing
failed. A step that failed without a failing test of its own counts as one failed test.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path


class Summary:
    """Counts of outcomes, and lines about those that are not passes."""

    def __init__(self):
        self.counts = Counter(passed=0, failed=0, skipped=0)
        self.failures = []
        self.skips = Counter()

    def passed(self):
        self.counts["passed"] += 1

    def failed(self, what):
        self.counts["failed"] += 1
        self.failures.append(what)

    def skipped(self, what, reason):
        self.counts["skipped"] += 1
        self.skips[f"{what}: {' '.join(reason.split()) or 'no reason given'}"] += 1


def read_lit(path, summary):
    """lit's JSON: one record a test, with a code."""
    for test in json.loads(path.read_text())["tests"]:
        name, code = test["name"], test["code"]
        if code in ("PASS", "XFAIL", "FLAKYPASS"):
            summary.passed()
        elif code in ("UNSUPPORTED", "SKIPPED", "EXCLUDED"):
            summary.skipped(name, f"lit says {code.lower()}: a feature that it requires is missing")
        else:
            summary.failed(f"{name} ({code.lower()})")


def read_googletest(path, summary):
    """GoogleTest's JSON: suites of tests, each with a result and its failures."""
    suite_name = path.name.removesuffix(".gtest.json")
    for suite in json.loads(path.read_text())["testsuites"]:
        for test in suite["testsuite"]:
            name = f"{suite_name}: {suite['name']}.{test['name']}"
            if test.get("failures"):
                summary.failed(name)
            elif test["result"] == "SKIPPED" or test["status"] == "NOTRUN":
                reasons = [entry.get("message", "") for entry in test.get("skipped", [])]
                summary.skipped(name, " ".join(reasons))
            else:
                summary.passed()


def read_junit(path, summary):
    """pytest's JUnit XML: one testcase a test; errors of fixtures count as failures."""
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            summary.failed(name)
        elif case.find("skipped") is not None:
            summary.skipped(name, case.find("skipped").get("message", ""))
        else:
            summary.passed()


READERS = {".lit.json": read_lit, ".gtest.json": read_googletest, ".junit.xml": read_junit}


def read_results(folder, summary):
    """Reads every result file; a step that failed for another reason is itself a failure."""
    for status_file in sorted(folder.glob("*.status")):
        step = status_file.stem
        before = summary.counts["failed"]
        tests_before = summary.counts.total()
        for path in sorted(folder.iterdir()):
            for suffix, reader in READERS.items():
                if path.name == step + suffix or (
                    path.name.startswith(step + ".") and path.name.endswith(suffix)
                ):
                    reader(path, summary)
        for crash in sorted(folder.glob(step + ".*.crash")):
            summary.failed(f"{step}: {crash.read_text().strip()}")
        status = int(status_file.read_text())
        if status != 0 and summary.counts["failed"] == before:
            summary.failed(f"{step} (exit status {status})")
        elif step.startswith(("googletest", "lit", "pytest")):
            if summary.counts.total() == tests_before:
                summary.failed(f"{step} (no test ran)")


def main():
    folder = Path(sys.argv[1])
    summary = Summary()
    read_results(folder, summary)
    if summary.skips:
        print("skipped:")
        for line, count in sorted(summary.skips.items()):
            print(f"  {line}" + (f" ({count} times)" if count > 1 else ""))
    if summary.failures:
        print("failed:")
        for line in summary.failures:
            print(f"  {line}")
    counts = summary.counts
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 0 if counts["failed"] == 0 and counts["passed"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
