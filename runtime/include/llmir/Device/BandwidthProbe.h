// BandwidthProbe: how fast this host reads memory right now, which is what the decode rate of a
// model is compared with. It measures; it decides nothing.

#ifndef LLMIR_DEVICE_BANDWIDTHPROBE_H
#define LLMIR_DEVICE_BANDWIDTHPROBE_H

#include "llmir/Base/Status.h"
#include "llmir/Device/WorkerTeam.h"

#include <cstddef>

namespace llmir {

struct BandwidthProbeOptions {
  /// Bytes read in one pass. Choose it well above the last-level cache, or as large as the model.
  size_t bytes = size_t(256) << 20;
  /// Timed passes (after one that touches the pages); the best one counts.
  int32_t passes = 5;
};

/// Gigabytes (1e9 bytes) per second that the team's workers together read from a buffer in huge
/// pages, each its own contiguous share. ResourceExhausted when there is no memory for the buffer.
StatusOr<double> probeReadBandwidth(WorkerTeam &team, const BandwidthProbeOptions &options = {});

} // namespace llmir

#endif // LLMIR_DEVICE_BANDWIDTHPROBE_H
