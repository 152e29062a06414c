// Compiled dense attention, by every technique, against the naive one in double precision: ragged
// and padded, heads of odd sizes, groups larger than a block, windows, sinks, caps, slopes, learned
// sinks and masks, over sequences of no, one and many tokens.

#include "CompiledFunctions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace llmir;
using namespace llmir::testing;

namespace {

template <int Rank>
using DenseFunction = void (*)(MemRef<Rank> *, MemRef<Rank> *, MemRef<Rank> *, MemRef<Rank> *,
                               MemRef<1> *, MemRef<1> *, MemRef<4> *, MemRef<1> *);

constexpr const char *kTechniques[] = {"flash", "fused-softmax", "masked", "sliding-window",
                                       "three-pass"};

/// A line of the table of cases, and its compiled functions: one a technique.
struct DenseCase {
  const char *name, *form, *type;
  int64_t heads, kvHeads, keyDim, valueDim;
  int lengths, causal;
  int64_t window, sinks;
  double softCap;
  int alibi, sinkLogits;
  const char *mask;
  int maskSequences, maskHeads;
  void *functions[std::size(kTechniques)];

  bool isRagged() const { return form == std::string("ragged"); }
  bool hasMask() const { return mask != std::string("none"); }
};

void PrintTo(const DenseCase &denseCase, std::ostream *stream) { *stream << denseCase.name; }

} // namespace

#define DENSE_CASE(name, ...)                                                                      \
  extern "C" void _mlir_ciface_##name##_dense_flash();                                             \
  extern "C" void _mlir_ciface_##name##_dense_fused_softmax();                                     \
  extern "C" void _mlir_ciface_##name##_dense_masked();                                            \
  extern "C" void _mlir_ciface_##name##_dense_sliding_window();                                    \
  extern "C" void _mlir_ciface_##name##_dense_three_pass();
#include "DenseCases.inc"
#undef DENSE_CASE

namespace {

#define DENSE_CASE(name, ...)                                                                      \
  DenseCase{#name,                                                                                 \
            __VA_ARGS__,                                                                           \
            {reinterpret_cast<void *>(_mlir_ciface_##name##_dense_flash),                          \
             reinterpret_cast<void *>(_mlir_ciface_##name##_dense_fused_softmax),                  \
             reinterpret_cast<void *>(_mlir_ciface_##name##_dense_masked),                         \
             reinterpret_cast<void *>(_mlir_ciface_##name##_dense_sliding_window),                 \
             reinterpret_cast<void *>(_mlir_ciface_##name##_dense_three_pass)}},
const DenseCase kCases[] = {
#include "DenseCases.inc"
};
#undef DENSE_CASE

constexpr double kScale = 0.2f;
constexpr size_t kFlash = 0;

/// Tokens and keys of a sequence.
struct Lengths {
  int32_t tokens, keys;
};

class DenseAttentionTest : public ::testing::TestWithParam<DenseCase> {
protected:
  DenseAttentionTest() {
    for (int64_t head = 0; head < c.heads; ++head) {
      sinkLogits.push_back(0.5f - 0.25f * float(head));
      slopes.push_back(0.01f * float(head + 1)); // As the table of cases has them.
    }
  }

  /// Calls the compiled function of rank 3 or 4.
  template <int Rank>
  TensorBytes call(size_t technique, const TensorBytes &q, const TensorBytes &k,
                   const TensorBytes &v, std::array<int64_t, Rank> querySizes,
                   std::array<int64_t, Rank> keySizes, const std::vector<int32_t> &lengths,
                   const std::vector<int32_t> &keyLengths, MemRef<4> mask) {
    std::array<int64_t, Rank> valueSizes = keySizes, outputSizes = querySizes;
    valueSizes.back() = outputSizes.back() = c.valueDim;
    MemRef<Rank> query = describe<Rank>(q.data(), querySizes), output;
    MemRef<Rank> keys = describe<Rank>(k.data(), keySizes);
    MemRef<Rank> values = describe<Rank>(v.data(), valueSizes);
    MemRef<1> first = describe(lengths), second = describe(keyLengths);
    MemRef<1> sinks = describe<1>(sinkLogits.data(), {c.heads});
    reinterpret_cast<DenseFunction<Rank>>(c.functions[technique])(&output, &query, &keys, &values,
                                                                  &first, &second, &mask, &sinks);
    EXPECT_EQ(output.sizes, outputSizes);
    return TensorBytes(type, output);
  }

  /// Ragged attention of sequences whose rows lie one after another.
  TensorBytes attendRagged(size_t technique, const std::vector<Lengths> &batch,
                           const TensorBytes &q, const TensorBytes &k, const TensorBytes &v) {
    std::vector<int32_t> cu = {0}, cuKeys = {0};
    for (Lengths sequence : batch) {
      cu.push_back(cu.back() + sequence.tokens);
      cuKeys.push_back(cuKeys.back() + sequence.keys);
    }
    return call<3>(technique, q, k, v, {cu.back(), c.heads, c.keyDim},
                   {cuKeys.back(), c.kvHeads, c.keyDim}, cu, cuKeys, {});
  }

  reference::AttentionOptions options() const {
    reference::AttentionOptions options = {};
    options.window = c.window;
    options.numSinks = c.sinks;
    options.softCap = c.softCap;
    options.causal = c.causal != 0;
    if (c.alibi)
      options.alibiSlopes = slopes;
    if (c.sinkLogits)
      options.sinkLogits = sinkLogits;
    return options;
  }

  static reference::Matrix rowsOf(const TensorBytes &tensor, int64_t first, int64_t count,
                                  int64_t cols) {
    reference::Matrix matrix(count, cols);
    for (int64_t row = 0; row < count; ++row)
      for (int64_t col = 0; col < cols; ++col)
        matrix.at(row, col) = tensor.at((first + row) * cols + col);
    return matrix;
  }

  reference::Matrix expect(const TensorBytes &q, const TensorBytes &k, const TensorBytes &v,
                           int64_t firstToken, int64_t firstKey, Lengths lengths,
                           const reference::AttentionOptions &options) {
    return reference::attention(rowsOf(q, firstToken, lengths.tokens, c.heads * c.keyDim),
                                rowsOf(k, firstKey, lengths.keys, c.kvHeads * c.keyDim),
                                rowsOf(v, firstKey, lengths.keys, c.kvHeads * c.valueDim),
                                {c.heads, c.kvHeads, c.keyDim, c.valueDim, kScale}, options);
  }

  /// Products and sums in f32, and the rounding of the result: half a unit in its last place.
  /// Measured: at most 2e-6 in f32.
  void expectNear(const TensorBytes &actual, int64_t firstToken, const reference::Matrix &expected,
                  const std::string &what) {
    double unit = type == ElementType::F32 ? 0 : type == ElementType::F16 ? 0x1p-11 : 0x1p-8;
    double worst = 0;
    for (int64_t row = 0; row < expected.rows(); ++row)
      for (int64_t col = 0; col < expected.cols(); ++col) {
        double value = expected.at(row, col);
        double difference = std::abs(actual.at((firstToken + row) * expected.cols() + col) - value);
        if (!(difference <= worst + unit * std::abs(value)))
          worst = difference - unit * std::abs(value);
      }
    EXPECT_LE(worst, 1e-5) << what;
  }

  void expectRagged(const std::vector<Lengths> &batch) {
    int64_t tokens = 0, keys = 0;
    for (Lengths sequence : batch) {
      tokens += sequence.tokens;
      keys += sequence.keys;
    }
    TensorBytes q = randomTensor(type, tokens * c.heads * c.keyDim, random);
    TensorBytes k = randomTensor(type, keys * c.kvHeads * c.keyDim, random);
    TensorBytes v = randomTensor(type, keys * c.kvHeads * c.valueDim, random);
    std::vector<TensorBytes> outputs;
    for (size_t technique = 0; technique < std::size(kTechniques); ++technique)
      outputs.push_back(attendRagged(technique, batch, q, k, v));
    int64_t firstToken = 0, firstKey = 0;
    for (size_t s = 0; s < batch.size(); ++s) {
      reference::Matrix expected = expect(q, k, v, firstToken, firstKey, batch[s], options());
      for (size_t technique = 0; technique < std::size(kTechniques); ++technique)
        expectNear(outputs[technique], firstToken, expected,
                   std::string(kTechniques[technique]) + ", sequence " + std::to_string(s));
      firstToken += batch[s].tokens;
      firstKey += batch[s].keys;
    }
  }

  void expectPadded(int64_t batch, int64_t tokens, int64_t keys,
                    const std::vector<int32_t> &keyLengths) {
    TensorBytes q = randomTensor(type, batch * tokens * c.heads * c.keyDim, random);
    TensorBytes k = randomTensor(type, batch * keys * c.kvHeads * c.keyDim, random);
    TensorBytes v = randomTensor(type, batch * keys * c.kvHeads * c.valueDim, random);
    int64_t maskSequences = c.maskSequences ? batch : 1, maskHeads = c.maskHeads ? c.heads : 1;
    auto count = static_cast<size_t>(maskSequences * maskHeads * tokens * keys);
    std::vector<float> numbers;
    std::vector<uint8_t> booleans;
    bool isBoolean = c.mask == std::string("i1");
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < count; ++i) {
      bool isSeen = random() % 3 != 0;
      booleans.push_back(isSeen);
      numbers.push_back(!isSeen ? -INFINITY : isBoolean ? 0.0f : normal(random));
    }
    std::array<int64_t, 4> sizes = {maskSequences, maskHeads, tokens, keys};
    MemRef<4> mask =
        isBoolean ? describe<4>(booleans.data(), sizes) : describe<4>(numbers.data(), sizes);
    std::vector<TensorBytes> outputs;
    for (size_t technique = 0; technique < std::size(kTechniques); ++technique)
      outputs.push_back(call<4>(technique, q, k, v, {batch, tokens, c.heads, c.keyDim},
                                {batch, keys, c.kvHeads, c.keyDim}, {}, keyLengths, mask));
    for (int64_t s = 0; s < batch; ++s) {
      Lengths lengths{static_cast<int32_t>(tokens), static_cast<int32_t>(keys)};
      if (c.lengths)
        lengths.keys = keyLengths[static_cast<size_t>(s)];
      // The mask of this sequence, for the keys that count.
      std::vector<float> part;
      for (int64_t row = 0; row < maskHeads * tokens; ++row) {
        auto from = numbers.begin() + ((c.maskSequences ? s : 0) * maskHeads * tokens + row) * keys;
        part.insert(part.end(), from, from + lengths.keys);
      }
      reference::AttentionOptions options = this->options();
      if (c.hasMask())
        options.mask = {part, maskHeads};
      reference::Matrix expected = expect(q, k, v, s * tokens, s * keys, lengths, options);
      for (size_t technique = 0; technique < std::size(kTechniques); ++technique)
        expectNear(outputs[technique], s * tokens, expected,
                   std::string(kTechniques[technique]) + ", sequence " + std::to_string(s));
    }
  }

  const DenseCase &c = GetParam();
  ElementType type = *parseElementType(c.type);
  std::mt19937 random{11};
  std::vector<float> sinkLogits, slopes;
};

std::string nameOf(const ::testing::TestParamInfo<DenseCase> &info) { return info.param.name; }

} // namespace

TEST_P(DenseAttentionTest, EqualsTheNaiveAttention) {
  if (c.isRagged()) {
    std::vector<Lengths> batch = {{1, 1},   {0, 0}, {7, 7},     {64, 64},
                                  {65, 65}, {0, 0}, {131, 131}, {1, 1}};
    if (c.lengths)
      batch = {{1, 1}, {0, 5}, {5, 0}, {1, 200}, {33, 97}, {3, 1}, {64, 64}, {17, 130}, {0, 0}};
    expectRagged(batch);
    expectRagged({{1, 1}});
    expectRagged({{0, 0}});
    expectRagged({});
    return;
  }
  expectPadded(3, 37, 70, {70, 0, 41});
  expectPadded(2, 1, 129, {129, 1});
  expectPadded(1, 66, 64, {64});
  expectPadded(0, 3, 3, {});
}

TEST_P(DenseAttentionTest, EqualsTheNaiveAttentionOfManySequences) {
  if (c.heads * (c.keyDim + c.valueDim) > 1200)
    GTEST_SKIP() << "the naive attention takes too long";
  std::vector<Lengths> batch;
  for (int s = 0; s < 64; ++s) {
    // Mostly short ones; one of 300.
    auto keys = static_cast<int32_t>(s == 40 ? 300 : random() % 12 * (random() % 4));
    batch.push_back({c.lengths ? static_cast<int32_t>(random() % 4) : keys, keys});
  }
  if (c.isRagged())
    return expectRagged(batch);
  std::vector<int32_t> lengths;
  for (Lengths sequence : batch)
    lengths.push_back(std::min(sequence.keys, 35));
  expectPadded(64, 5, 35, lengths);
}

// What shares the batch, and how many tokens come at a time, does not change a byte.
TEST_P(DenseAttentionTest, GivesTheSameBytesForAnyBatchAndChunk) {
  if (!c.isRagged() || !c.lengths || !c.causal)
    GTEST_SKIP() << "chunks are of causal attention to keys with lengths of their own";
  constexpr int32_t tokens = 45, keys = 150;
  TensorBytes q = randomTensor(type, (tokens + 20) * c.heads * c.keyDim, random);
  TensorBytes k = randomTensor(type, (keys + 30) * c.kvHeads * c.keyDim, random);
  TensorBytes v = randomTensor(type, (keys + 30) * c.kvHeads * c.valueDim, random);
  TensorBytes whole = attendRagged(kFlash, {{tokens, keys}, {20, 30}}, q, k, v);
  int64_t cols = c.heads * c.keyDim, outputCols = c.heads * c.valueDim;
  for (int32_t chunk : {1, 4, 32})
    for (int32_t first = 0; first < tokens; first += chunk) {
      int32_t count = std::min(chunk, tokens - first);
      TensorBytes part(type, count * cols);
      std::vector<uint8_t> bytes = q.slice(first * cols, count * cols);
      std::copy(bytes.begin(), bytes.end(), part.writable());
      TensorBytes output =
          attendRagged(kFlash, {{count, keys - tokens + first + count}}, part, k, v);
      ASSERT_EQ(output.slice(0, count * outputCols),
                whole.slice(first * outputCols, count * outputCols))
          << "tokens " << first << " to " << first + count - 1;
    }
}

// A NaN in a key or value is in every output that sees it, and in none of those long before it.
TEST_P(DenseAttentionTest, PassesNaNsOn) {
  if (!c.isRagged() || !c.lengths || !c.causal || c.window > 0)
    GTEST_SKIP() << "tested with causal attention";
  constexpr int32_t tokens = 200;
  TensorBytes q = randomTensor(type, tokens * c.heads * c.keyDim, random);
  for (bool inKeys : {true, false}) {
    TensorBytes k = randomTensor(type, tokens * c.kvHeads * c.keyDim, random);
    TensorBytes v = randomTensor(type, tokens * c.kvHeads * c.valueDim, random);
    int64_t row = 130, cols = c.kvHeads * (inKeys ? c.keyDim : c.valueDim);
    for (int64_t head = 0; head < c.kvHeads; ++head)
      (inKeys ? k : v).set(row * cols + head * (cols / c.kvHeads), NAN);
    TensorBytes output = attendRagged(kFlash, {{tokens, tokens}}, q, k, v);
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t head = 0; head < c.heads; ++head) {
        double value = output.at((t * c.heads + head) * c.valueDim);
        // Rows that share registers with one that sees it may take over a value's NaN.
        if (t < row - 8) {
          ASSERT_FALSE(std::isnan(value)) << "token " << t;
        } else if (t >= row) {
          ASSERT_TRUE(std::isnan(value)) << "token " << t << " has " << value;
        }
      }
  }
}

INSTANTIATE_TEST_SUITE_P(Grid, DenseAttentionTest, ::testing::ValuesIn(kCases), nameOf);
