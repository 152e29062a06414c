// The packing loops, one for each element width and one for each quantised format. They move bits
// and never round, so that a packed weight is exactly the checkpoint's.

#include "PanelPacking.h"
#include "llvm/Support/ErrorHandling.h"
#include <algorithm>
#include <cstring>

using namespace mlir::llm;
using ::llmir::GGUFTensor;
using ::llmir::GGUFType;
using ::llmir::kGroupSize;
using ::llmir::kPanelRows;
using ::llmir::PackedFormat;
using ::llmir::PackedLayout;

GGUFType mlir::llm::getCheckpointType(PackedFormat format) {
  switch (format) {
  case PackedFormat::F32:
    return GGUFType::F32;
  case PackedFormat::F16:
    return GGUFType::F16;
  case PackedFormat::BF16:
    return GGUFType::BF16;
  case PackedFormat::Q8_0:
    return GGUFType::Q8_0;
  case PackedFormat::Q4_0:
    return GGUFType::Q4_0;
  case PackedFormat::Q4_1:
    return GGUFType::Q4_1;
  }
  llvm_unreachable("every packed format has a checkpoint type");
}

template <typename T> static T load(const uint8_t *address) {
  T value;
  std::memcpy(&value, address, sizeof(T));
  return value;
}

template <typename T> static void store(uint8_t *address, T value) {
  std::memcpy(address, &value, sizeof(T));
}

namespace {
/// The rows of one panel that the tensor has.
struct PanelRows {
  const uint8_t *first;
  int64_t rowBytes;
  int64_t count;

  const uint8_t *row(int64_t index) const { return first + index * rowBytes; }
};
} // namespace

/// Copies elements of type T, which hold `perUnit` values along k each, to their places.
template <typename T>
static void packPlain(const PanelRows &rows, const PackedLayout &layout, int64_t units,
                      int64_t perUnit, uint8_t *destination) {
  // Tiles of one cache line a row, so that each line is read once and stays while it is used.
  constexpr int64_t tile = 64 / sizeof(T);
  const int64_t unitStride = layout.elementOffset(0, perUnit);
  for (int64_t begin = 0; begin < units; begin += tile) {
    int64_t end = std::min(begin + tile, units);
    for (int64_t row = 0; row < rows.count; ++row) {
      const uint8_t *source = rows.row(row);
      for (int64_t unit = begin; unit < end; ++unit)
        store(destination + unit * unitStride + row * int64_t(sizeof(T)),
              load<T>(source + unit * int64_t(sizeof(T))));
    }
  }
}

static void packBFloat16(const PanelRows &rows, const PackedLayout &layout, uint8_t *destination) {
  packPlain<uint32_t>(rows, layout, layout.cols / 2, 2, destination);
  if (layout.cols % 2 == 0)
    return;
  for (int64_t row = 0; row < rows.count; ++row)
    store(destination + layout.elementOffset(row, layout.cols - 1),
          load<uint16_t>(rows.row(row) + (layout.cols - 1) * 2));
}

static void packQ8(const PanelRows &rows, const PackedLayout &layout, uint8_t *destination) {
  constexpr int64_t blockBytes = 2 + kGroupSize;
  for (int64_t group = 0; group < layout.groups(); ++group) {
    uint8_t *scales = destination + layout.scaleOffset(group);
    uint8_t *codes = destination + layout.codeOffset(group);
    for (int64_t row = 0; row < rows.count; ++row) {
      const uint8_t *block = rows.row(row) + group * blockBytes;
      store(scales + row * 2, load<uint16_t>(block));
      for (int64_t quad = 0; quad < kGroupSize / 4; ++quad)
        store(codes + quad * 64 + row * 4, load<uint32_t>(block + 2 + quad * 4));
    }
  }
}

/// Rearranges the 16 bytes of a checkpoint block (byte b: code b below, code b + 16 above) into
/// four words of four bytes (byte i of word j: code 8j + i below, code 8j + 4 + i above).
static void packNibbles(const uint8_t *block, uint8_t *codes) {
  constexpr uint32_t low = 0x0f0f0f0fu;
  uint32_t words[4];
  std::memcpy(words, block, sizeof(words));
  store(codes, (words[0] & low) | (words[1] & low) << 4);
  store(codes + 64, (words[2] & low) | (words[3] & low) << 4);
  store(codes + 128, (words[0] >> 4 & low) | (words[1] & ~low));
  store(codes + 192, (words[2] >> 4 & low) | (words[3] & ~low));
}

static void packQ4(const PanelRows &rows, const PackedLayout &layout, uint8_t *destination) {
  bool hasMinimum = layout.hasMinimum();
  int64_t blockBytes = (hasMinimum ? 4 : 2) + kGroupSize / 2;
  for (int64_t group = 0; group < layout.groups(); ++group) {
    uint8_t *scales = destination + layout.scaleOffset(group);
    uint8_t *minima = hasMinimum ? destination + layout.minimumOffset(group) : nullptr;
    uint8_t *codes = destination + layout.codeOffset(group);
    for (int64_t row = 0; row < rows.count; ++row) {
      const uint8_t *block = rows.row(row) + group * blockBytes;
      store(scales + row * 2, load<uint16_t>(block));
      if (hasMinimum)
        store(minima + row * 2, load<uint16_t>(block + 2));
      packNibbles(block + (hasMinimum ? 4 : 2), codes + row * 4);
    }
  }
}

GGUFTensor mlir::llm::cutPanel(const GGUFTensor &tensor, const SourcePart &part, int64_t panel,
                               std::vector<uint8_t> &storage) {
  int64_t rows = tensor.numRows(), columns = tensor.numColumns();
  int64_t rowBytes = static_cast<int64_t>(tensor.data.size()) / rows;
  int64_t firstRow = 0, firstByte = 0, cutBytes = rowBytes;
  if (part.dim == 0) {
    rows /= part.shards;
    firstRow = part.index * rows;
  } else {
    columns /= part.shards;
    cutBytes /= part.shards;
    firstByte = part.index * cutBytes;
  }
  int64_t count = std::min(kPanelRows, rows - panel * kPanelRows);
  storage.resize(count * cutBytes);
  const uint8_t *source =
      tensor.data.data() + (firstRow + panel * kPanelRows) * rowBytes + firstByte;
  for (int64_t row = 0; row < count; ++row)
    std::memcpy(storage.data() + row * cutBytes, source + row * rowBytes, cutBytes);
  return {tensor.name, tensor.type, {count, columns}, storage};
}

GGUFTensor mlir::llm::cutVector(const GGUFTensor &tensor, const SourcePart &part) {
  int64_t elements = tensor.numColumns() / part.shards;
  size_t bytes = tensor.data.size() / part.shards;
  return {tensor.name, tensor.type, {elements}, tensor.data.subspan(part.index * bytes, bytes)};
}

void mlir::llm::packPanel(const GGUFTensor &tensor, const PackedLayout &layout, int64_t panel,
                          uint8_t *destination) {
  std::memset(destination, 0, layout.panelBytes());
  int64_t numRows = tensor.numRows();
  int64_t rowBytes = static_cast<int64_t>(tensor.data.size()) / numRows;
  int64_t firstRow = panel * kPanelRows;
  PanelRows rows{tensor.data.data() + firstRow * rowBytes, rowBytes,
                 std::min(kPanelRows, numRows - firstRow)};
  switch (layout.format) {
  case PackedFormat::F32:
    return packPlain<uint32_t>(rows, layout, layout.cols, 1, destination);
  case PackedFormat::F16:
    return packPlain<uint16_t>(rows, layout, layout.cols, 1, destination);
  case PackedFormat::BF16:
    return packBFloat16(rows, layout, destination);
  case PackedFormat::Q8_0:
    return packQ8(rows, layout, destination);
  case PackedFormat::Q4_0:
  case PackedFormat::Q4_1:
    return packQ4(rows, layout, destination);
  }
}

::llmir::Status mlir::llm::packVector(const GGUFTensor &tensor, uint8_t *destination) {
  // The destination is a buffer of bytes whose start has the alignment of a packed weight.
  return ::llmir::dequantizeBlocks(
      tensor.type, tensor.data,
      std::span<float>(reinterpret_cast<float *>(destination), tensor.numColumns()));
}
