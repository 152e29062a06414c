"""What the benchmarks ask of the machine: its limits, stolen time, and what it is."""

import json
import subprocess
from pathlib import Path


class Probe:
    """`llmir-benchmark --probe`: bandwidth of a working set, peaks of arithmetic units."""

    def __init__(self, build):
        self._program = build / "bin" / "llmir-benchmark"

    def _run(self, threads, *options):
        command = [str(self._program), "--probe", "--json", "--threads", str(threads), *options]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    def bandwidth(self, threads, size=512 << 20):
        """GB/s at which `threads` threads read `size` bytes in huge pages (else in small ones)."""
        found = self._run(threads, "--no-compute", "--sizes", str(size))["bandwidth"]
        return max(row["gigabytes_per_second"]["best"] for row in found)

    def peak(self, threads, kind):
        """(unit, 1e9 operations/s) of the fastest unit here whose name begins with `kind`."""
        units = self._run(threads, "--no-memory")["compute"]
        rates = {
            row["unit"]: row["giga_operations_per_second"]["best"]
            for row in units
            if row["unit"].startswith(kind) and row["giga_operations_per_second"]
        }
        return max(rates.items(), key=lambda item: item[1], default=("", None))


class StealMeter:
    """The share of processor time that the host took away since the last call."""

    def __init__(self):
        self._last = self._read()

    @staticmethod
    def _read():
        fields = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return fields[7], sum(fields)

    def share(self):
        steal, total = self._read()
        before_steal, before_total = self._last
        self._last = (steal, total)
        return (steal - before_steal) / max(1, total - before_total)


def processor_name():
    """The model name that /proc/cpuinfo gives."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def processor_features():
    """The vector and matrix units among /proc/cpuinfo's flags, as a line."""
    interesting = ("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16")
    interesting += ("amx_tile", "amx_int8", "amx_bf16", "asimddp", "i8mm", "bf16", "sve")
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("flags", "Features")):
            flags = set(line.split(":", 1)[1].split())
            return " ".join(flag for flag in interesting if flag in flags)
    return "unknown"
