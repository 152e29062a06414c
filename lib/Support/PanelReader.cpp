// One loop for each element type; see PanelReader.h.

#include "llmir/Support/PanelReader.h"

#include "llmir/Base/Float16.h"

#include <algorithm>
#include <cstring>

namespace llmir {

bool isFloatingPointGGUFType(GGUFType type) {
  return type == GGUFType::F32 || type == GGUFType::F16 || type == GGUFType::BF16;
}

/// Reads one row of `T`s, each made a float by `convert`, into its column of the group.
template <typename T, typename Convert>
static void readRow(const uint8_t *source, int64_t count, int64_t row, PanelGroup &group,
                    Convert convert) {
  for (int64_t k = 0; k < count; ++k) {
    T element;
    std::memcpy(&element, source + k * static_cast<int64_t>(sizeof(T)), sizeof(T));
    group[k][row] = convert(element);
  }
}

int64_t readPanelGroup(const GGUFTensor &tensor, int64_t panel, int64_t k, int64_t groupSize,
                       PanelGroup &group) {
  int64_t firstRow = panel * kPanelRows;
  int64_t rows = std::min(kPanelRows, tensor.numRows() - firstRow);
  int64_t elementBytes = describe(tensor.type).bytes;
  for (int64_t row = 0; row < rows; ++row) {
    const uint8_t *source =
        tensor.data.data() + ((firstRow + row) * tensor.numColumns() + k) * elementBytes;
    if (tensor.type == GGUFType::F32)
      readRow<float>(source, groupSize, row, group, [](float value) { return value; });
    else if (tensor.type == GGUFType::F16)
      readRow<uint16_t>(source, groupSize, row, group, halfToFloat);
    else
      readRow<uint16_t>(source, groupSize, row, group, bfloat16ToFloat);
  }
  for (int64_t element = 0; element < groupSize; ++element)
    std::fill(group[element].begin() + rows, group[element].end(), 0.0f);
  return rows;
}

} // namespace llmir
