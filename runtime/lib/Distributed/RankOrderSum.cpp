// Sums in pieces that stay in the first-level cache, in f32 whatever the elements are.

#include "RankOrderSum.h"

#include "llmir/Base/Float16.h"

#include <algorithm>

namespace llmir {

namespace {

/// How elements of a type become f32 and come back.
struct F32Elements {
  using Storage = float;
  static float load(float value) { return value; }
  static float store(float value) { return value; }
};
struct F16Elements {
  using Storage = uint16_t;
  static float load(uint16_t value) { return halfToFloat(value); }
  static uint16_t store(float value) { return floatToHalf(value); }
};
struct BF16Elements {
  using Storage = uint16_t;
  static float load(uint16_t value) { return bfloat16ToFloat(value); }
  static uint16_t store(float value) { return floatToBFloat16(value); }
};

template <typename Elements>
void sumElements(std::span<const void *const> inputs, SumRange range,
                 std::span<void *const> outputs, int64_t outputFirst) {
  using Storage = typename Elements::Storage;
  constexpr int64_t piece = 1024;
  float sums[piece];
  for (int64_t begin = 0; begin < range.count; begin += piece) {
    int64_t length = std::min(piece, range.count - begin);
    auto *source = static_cast<const Storage *>(inputs[0]) + range.first + begin;
    for (int64_t i = 0; i < length; ++i)
      sums[i] = Elements::load(source[i]);
    for (const void *input : inputs.subspan(1)) {
      source = static_cast<const Storage *>(input) + range.first + begin;
      for (int64_t i = 0; i < length; ++i)
        sums[i] += Elements::load(source[i]);
    }
    for (void *output : outputs) {
      auto *target = static_cast<Storage *>(output) + outputFirst + begin;
      for (int64_t i = 0; i < length; ++i)
        target[i] = Elements::store(sums[i]);
    }
  }
}

} // namespace

void sumInRankOrder(std::span<const void *const> inputs, SumRange range,
                    std::span<void *const> outputs, int64_t outputFirst, ReduceType type) {
  switch (type) {
  case ReduceType::F32:
    return sumElements<F32Elements>(inputs, range, outputs, outputFirst);
  case ReduceType::F16:
    return sumElements<F16Elements>(inputs, range, outputs, outputFirst);
  case ReduceType::BF16:
    return sumElements<BF16Elements>(inputs, range, outputs, outputFirst);
  }
}

} // namespace llmir
