// The norm's kernel against the naive one, for no row, one and several.

#include "../CompiledFunctions.h"

#include "llmir/Reference/TransformerKernels.h"

#include <gtest/gtest.h>

using namespace llmir;
using namespace llmir::testing;

// What compiled code reads its weights from.
extern "C" {
float norm_weight_1[1], norm_weight_20[20], norm_weight_576[576];
void _mlir_ciface_rms_norm_1(MemRef<2> *, MemRef<2> *);
void _mlir_ciface_rms_norm_20(MemRef<2> *, MemRef<2> *);
void _mlir_ciface_rms_norm_576(MemRef<2> *, MemRef<2> *);
}

namespace {
struct NormCase {
  int64_t columns;
  float *weight;
  void (*norm)(MemRef<2> *, MemRef<2> *);
};

class RMSNormTest : public ::testing::TestWithParam<NormCase> {};
} // namespace

TEST_P(RMSNormTest, EqualsTheNaiveKernel) {
  const NormCase &c = GetParam();
  std::mt19937 random{3};
  std::normal_distribution<float> normal;
  std::vector<double> weight;
  for (int64_t i = 0; i < c.columns; ++i)
    weight.push_back(c.weight[i] = normal(random));
  for (int64_t rows : {0, 1, 7}) {
    TensorBytes input = randomTensor(ElementType::F32, rows * c.columns, random);
    MemRef<2> x = describe<2>(input.data(), {rows, c.columns}), y;
    c.norm(&y, &x);
    ASSERT_EQ(y.sizes, (std::array<int64_t, 2>{rows, c.columns}));
    TensorBytes output(ElementType::F32, y);
    if (rows == 0)
      continue;
    reference::Matrix expected = reference::rmsNorm(input.toMatrix(c.columns), weight, 1e-5f);
    // f32 sums of up to 576 squares; the largest output is about 10.
    EXPECT_LE(reference::largestDifference(output.toMatrix(c.columns), expected), 5e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(Columns, RMSNormTest,
                         ::testing::Values(NormCase{1, norm_weight_1, _mlir_ciface_rms_norm_1},
                                           NormCase{20, norm_weight_20, _mlir_ciface_rms_norm_20},
                                           NormCase{576, norm_weight_576,
                                                    _mlir_ciface_rms_norm_576}),
                         [](const auto &info) { return std::to_string(info.param.columns); });
