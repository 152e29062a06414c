"""What the benchmark asks of the machine: read bandwidth, stolen time, and the processor's name."""

import subprocess
from pathlib import Path


class BandwidthProbe:
    """The read-bandwidth program, compiled for this host."""

    def __init__(self, folder):
        self._program = Path(folder) / "read_bandwidth"
        source = Path(__file__).with_name("read_bandwidth.c")
        subprocess.run(
            ["cc", "-O3", "-march=native", "-pthread", str(source), "-o", str(self._program)],
            check=True,
        )

    def measure(self, threads):
        """GB/s that `threads` threads read."""
        done = subprocess.run(
            [str(self._program), str(threads)], check=True, capture_output=True, text=True
        )
        return float(done.stdout.split()[0])


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
