// Transpose: every size of element, shapes around the vector tiles, strides with gaps that stay as
// they are.

#include "Transpose.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

using namespace llmir;

TEST(TransposeTest, MovesEveryElementAndNothingElse) {
  for (int64_t size : {1, 2, 4})
    for (int64_t rows : {0, 1, 3, 4, 7, 8, 15, 16, 17, 33})
      for (int64_t columns : {0, 1, 5, 8, 16, 19, 64}) {
        int64_t sourceStride = columns * size + 3, targetStride = rows * size + 5;
        std::vector<uint8_t> source(static_cast<size_t>(rows * sourceStride + 1));
        for (size_t i = 0; i < source.size(); ++i)
          source[i] = static_cast<uint8_t>(i * 37 + 11);
        std::vector<uint8_t> target(static_cast<size_t>(columns * targetStride + 1), 0xee);
        std::vector<uint8_t> expected = target;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < columns; ++c)
            std::memcpy(expected.data() + c * targetStride + r * size,
                        source.data() + r * sourceStride + c * size, static_cast<size_t>(size));
        transpose({target.data(), targetStride}, {source.data(), sourceStride}, rows, columns,
                  size);
        ASSERT_EQ(target, expected) << rows << " x " << columns << " of " << size;
      }
}
