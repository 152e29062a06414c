// The arithmetic of PackedLayout: see docs/PackedWeights.md.

#include "llmir/Support/PackedLayout.h"

namespace llmir {

const char *getName(PackedFormat format) {
  switch (format) {
  case PackedFormat::F32:
    return "f32";
  case PackedFormat::F16:
    return "f16";
  case PackedFormat::BF16:
    return "bf16";
  case PackedFormat::Q8_0:
    return "q8_0";
  case PackedFormat::Q4_0:
    return "q4_0";
  case PackedFormat::Q4_1:
    return "q4_1";
  }
  return "unknown";
}

static int64_t roundUpTo64(int64_t bytes) { return (bytes + 63) & ~int64_t(63); }

int64_t PackedLayout::panelBytes() const {
  switch (format) {
  case PackedFormat::F32:
    return cols * kPanelRows * 4;
  case PackedFormat::F16:
    return roundUpTo64(cols * kPanelRows * 2);
  case PackedFormat::BF16:
    return (cols + 1) / 2 * kPanelRows * 4;
  case PackedFormat::Q8_0:
  case PackedFormat::Q4_0:
  case PackedFormat::Q4_1: {
    int64_t blocks = (groups() + groupsPerBlock() - 1) / groupsPerBlock();
    return blocks * 64 + groups() * codeBytes();
  }
  }
  return 0;
}

int64_t PackedLayout::scaleOffset(int64_t group) const {
  return group / groupsPerBlock() * blockBytes() + group % groupsPerBlock() * 32;
}

int64_t PackedLayout::minimumOffset(int64_t group) const { return scaleOffset(group) + 32; }

int64_t PackedLayout::codeOffset(int64_t group) const {
  return group / groupsPerBlock() * blockBytes() + 64 + group % groupsPerBlock() * codeBytes();
}

int64_t PackedLayout::elementOffset(int64_t row, int64_t k) const {
  switch (format) {
  case PackedFormat::F32:
    return (k * kPanelRows + row) * 4;
  case PackedFormat::F16:
    return (k * kPanelRows + row) * 2;
  default:
    return (k / 2 * kPanelRows + row) * 4 + k % 2 * 2;
  }
}

} // namespace llmir
