// The interpreter against numbers worked out by hand and against the naive kernels, of which it
// shares only the storage of caches.

#include "InterpreterFixture.h"

#include "llmir/Reference/AttentionKernels.h"
#include "llmir/Reference/TransformerKernels.h"

#include <cmath>

using namespace llmir;
using namespace llmir::testing;
using mlir::llm::CacheState;
using mlir::llm::CacheValue;
using mlir::llm::FunctionInputs;
using mlir::llm::Scalar;

namespace {
using InterpreterTest = InterpreterFixture;
constexpr double kTolerance = 1e-12;
} // namespace

TEST_F(InterpreterTest, IntegersWrapAndCompare) {
  parse(R"(func.func @f(%a: i8, %b: i8) -> (i8, i1, i1, i8, i8, i32) {
    %0 = arith.addi %a, %b : i8
    %1 = arith.cmpi slt, %a, %b : i8
    %2 = arith.cmpi ult, %a, %b : i8
    %3 = arith.divsi %a, %b : i8
    %4 = arith.remsi %a, %b : i8
    %5 = arith.extui %a : i8 to i32
    return %0, %1, %2, %3, %4, %5 : i8, i1, i1, i8, i8, i32
  })");
  auto results = run({integer(-100), integer(-57)});
  const int64_t expected[] = {99, 1, 1, 1, -43, 156};
  for (size_t i = 0; i < results.size(); ++i)
    EXPECT_EQ(std::get<Scalar>(results[i]).integer, expected[i]) << "result " << i;
}

TEST_F(InterpreterTest, FloatsCompareAsThePredicatesSay) {
  parse(R"(func.func @f(%a: f32, %b: f32) -> (i1, i1, i1, i1, i1) {
    %0 = arith.cmpf oge, %a, %b : f32
    %1 = arith.cmpf ult, %a, %b : f32
    %2 = arith.cmpf one, %a, %b : f32
    %3 = arith.cmpf uno, %a, %b : f32
    %4 = arith.cmpf ueq, %a, %b : f32
    return %0, %1, %2, %3, %4 : i1, i1, i1, i1, i1
  })");
  auto check = [&](double a, double b, std::array<int64_t, 5> expected) {
    auto results = run({real(a), real(b)});
    for (size_t i = 0; i < results.size(); ++i)
      EXPECT_EQ(std::get<Scalar>(results[i]).integer, expected[i]) << a << ", " << b << ", " << i;
  };
  check(1, 2, {0, 1, 1, 0, 0});
  check(2, 2, {1, 0, 0, 0, 1});
  check(3, 2, {1, 0, 1, 0, 0});
  check(NAN, 2, {0, 1, 0, 1, 1});
}

TEST_F(InterpreterTest, NarrowFloatsAreRounded) {
  parse(R"(func.func @f(%a: f32) -> (f16, f32) {
    %0 = arith.truncf %a : f32 to f16
    %1 = arith.extf %0 : f16 to f32
    return %0, %1 : f16, f32
  })");
  // Half way between two f16 numbers: to the even one.
  auto results = run({real(2049.0)});
  EXPECT_EQ(std::get<Scalar>(results[1]).real, 2048.0);
}

TEST_F(InterpreterTest, MistakesEndTheRun) {
  parse(R"(func.func @f(%i: index, %a: i32) -> (f32, i32) {
    %t = arith.constant dense<1.0> : tensor<4xf32>
    %c = arith.constant 12 : i32
    %d = arith.divsi %c, %a : i32
    %e = tensor.extract %t[%i] : tensor<4xf32>
    return %e, %d : f32, i32
  })");
  run({integer(3), integer(5)});
  EXPECT_TRUE(mlir::failed(interpreter->run(function(), {integer(4), integer(5)})));
  EXPECT_EQ(interpreter->error().message, "expected an index inside of the tensor");
  EXPECT_FALSE(interpreter->error().unsupported);
  EXPECT_TRUE(mlir::failed(interpreter->run(function(), {integer(0), integer(0)})));
  EXPECT_EQ(interpreter->error().message, "expected a divisor other than 0");
}

TEST_F(InterpreterTest, EndlessLoopsEnd) {
  parse(R"(func.func @f(%a: i1) {
    cf.br ^loop
  ^loop:
    cf.br ^loop
  })");
  EXPECT_TRUE(mlir::failed(interpreter->run(function(), {integer(1)})));
  EXPECT_EQ(interpreter->error().message, "expected the program to end, but it runs on");
}

TEST_F(InterpreterTest, RotatesAndNormalisesAsTheNaiveKernels) {
  parse(R"(
    llm.weight @norm : tensor<24xf32>
    llm.weight @w : tensor<10x24xf32>
    func.func @f(%x: tensor<?x24xf32>, %q: tensor<?x3x10xf32>, %positions: tensor<?xi32>)
        -> (tensor<?x10xf32>, tensor<?x3x10xf32>, tensor<?x3x10xf32>) {
      %y = llm.linear %x, @w norm(@norm, 1.0e-3) : (tensor<?x24xf32>) -> tensor<?x10xf32>
      %a = llm.rope %q positions(%positions) theta(1.0e+4) rotary_dim(8) half
          : tensor<?x3x10xf32>, tensor<?xi32>
      %b = llm.rope %q positions(%positions) theta(1.0e+4) rotary_dim(10) interleaved
          : tensor<?x3x10xf32>, tensor<?xi32>
      return %y, %a, %b : tensor<?x10xf32>, tensor<?x3x10xf32>, tensor<?x3x10xf32>
    })");
  FunctionInputs made = inputs(3);
  auto results = run(made.arguments);
  ASSERT_EQ(results.size(), 3u);
  auto weightOf = [&](llvm::StringRef name) {
    return weights.load(module->lookupSymbol<mlir::llm::WeightOp>(name));
  };
  reference::Matrix norm = matrixOf(weightOf("norm"), 24), w = matrixOf(weightOf("w"), 24);
  reference::Matrix x = matrixOf(tensorOf(made.arguments[0]), 24);
  reference::Matrix y =
      reference::linear(reference::rmsNorm(x, norm.row(0), static_cast<float>(1e-3)), w);
  EXPECT_LE(reference::largestDifference(matrixOf(tensorOf(results[0]), 10), y), kTolerance);
  std::vector<int32_t> positions;
  const auto &numbers = tensorOf(made.arguments[2]);
  for (int64_t i = 0; i < numbers.size(); ++i)
    positions.push_back(static_cast<int32_t>(numbers.integer(i)));
  reference::Matrix q = matrixOf(tensorOf(made.arguments[1]), 30);
  for (auto [i, rotaryDim, style] : {std::tuple(1, 8, reference::RopeStyle::Half),
                                     std::tuple(2, 10, reference::RopeStyle::Interleaved)}) {
    reference::Matrix expected = reference::rope(q, positions, {10, rotaryDim, 10000.0, style, {}});
    EXPECT_LE(reference::largestDifference(matrixOf(tensorOf(results[i]), 30), expected),
              kTolerance);
  }
}

TEST_F(InterpreterTest, AttendsAsTheNaiveKernel) {
  parse(R"(
    !kv = !llm.paged_kv_cache<f32, 2, 2, 12, 5, 256, key_storage = i8, value_storage = f16,
                              key_scales = token, value_head_dim = 6, window = 20, sinks = 3>
    func.func @f(%q: tensor<?x4x12xf32>, %kv: !kv, %table: tensor<?x?xi32>, %lens: tensor<?xi32>,
                 %cu: tensor<?xi32>, %sinks: tensor<4xf32>) -> tensor<?x4x6xf32> {
      %o = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu) sink_logits(%sinks)
          {num_heads = 4 : i32, head_dim = 12 : i32, scale = 0.25 : f32, layer = 1 : i32,
           soft_cap = 2.0 : f32}
          : (tensor<?x4x12xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<4xf32>)
          -> tensor<?x4x6xf32>
      return %o : tensor<?x4x6xf32>
    })");
  for (uint64_t seed : {1, 2, 3, 4}) {
    FunctionInputs made = inputs(seed);
    auto results = run(made.arguments);
    ASSERT_EQ(results.size(), 1u);
    const CacheState &cache = *std::get<CacheValue>(made.arguments[1]).state;
    reference::Matrix q = matrixOf(tensorOf(made.arguments[0]), 48);
    reference::Matrix actual = matrixOf(tensorOf(results[0]), 24);
    std::vector<float> sinks;
    for (int64_t i = 0; i < 4; ++i)
      sinks.push_back(static_cast<float>(tensorOf(made.arguments[5]).real(i)));
    int64_t first = 0;
    for (const auto &sequence : made.batch.sequences) {
      int64_t context = sequence.past + sequence.tokens;
      reference::Matrix keys(context, 24), values(context, 12), rows(sequence.tokens, 48);
      for (int64_t t = 0; t < context; ++t)
        for (int64_t head = 0; head < 2; ++head) {
          int64_t slot = *cache.cache().slot(SequenceId{sequence.id}, t);
          for (int64_t c = 0; c < 12; ++c)
            keys.at(t, head * 12 + c) = cache.key(1, slot, head, c);
          for (int64_t c = 0; c < 6; ++c)
            values.at(t, head * 6 + c) = cache.value(1, slot, head, c);
        }
      for (int64_t t = 0; t < sequence.tokens; ++t)
        for (int64_t c = 0; c < 48; ++c)
          rows.at(t, c) = q.at(first + t, c);
      reference::AttentionOptions options;
      options.window = 20;
      options.numSinks = 3;
      options.softCap = 2.0;
      options.sinkLogits = sinks;
      reference::Matrix expected =
          reference::attention(rows, keys, values, {4, 2, 12, 6, 0.25}, options);
      for (int64_t t = 0; t < sequence.tokens; ++t)
        for (int64_t c = 0; c < 24; ++c)
          // The sinks are f32 there.
          EXPECT_NEAR(actual.at(first + t, c), expected.at(t, c), 1e-6);
      first += sequence.tokens;
    }
  }
}

TEST_F(InterpreterTest, ConsumedCachesEnd) {
  parse(R"(
    !kv = !llm.paged_kv_cache<f32, 1, 1, 4, 4, 64>
    func.func @f(%kv: !kv, %k: tensor<?x1x4xf32>, %slots: tensor<?xi32>) -> !kv {
      cf.br ^next
    ^next:
      %a = llm.store_kv %kv, %k, %k, %slots
          : (!kv, tensor<?x1x4xf32>, tensor<?x1x4xf32>, tensor<?xi32>) -> !kv
      cf.br ^last
    ^last:
      %b = llm.store_kv %kv, %k, %k, %slots
          : (!kv, tensor<?x1x4xf32>, tensor<?x1x4xf32>, tensor<?xi32>) -> !kv
      return %b : !kv
    })");
  FunctionInputs made = inputs(1);
  EXPECT_TRUE(mlir::failed(interpreter->run(function(), made.arguments)));
  EXPECT_EQ(interpreter->error().message, "expected a cache that is not consumed yet");
}
