// The compiler's cache type and the runtime's cache parameters: both accept the same caches, and
// give them the same layout, over random parameters.

#include "llmir/Cache/CacheLayout.h"
#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "llmir/Dialect/LLM/IR/LLMTypes.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include <gtest/gtest.h>

#include <cstring>
#include <random>

using namespace mlir;
using namespace mlir::llm;

namespace {

class PagedKVCacheTypeTest : public testing::Test {
protected:
  PagedKVCacheTypeTest() { context.loadDialect<LLMDialect>(); }

  int64_t pick(std::initializer_list<int64_t> values) {
    return values.begin()[std::uniform_int_distribution<size_t>(0, values.size() - 1)(random)];
  }

  Type getStorage(llmir::ElementType type) {
    Builder b(&context);
    Type types[] = {b.getF32Type(),
                    b.getF16Type(),
                    b.getBF16Type(),
                    b.getType<Float8E4M3FNType>(),
                    b.getType<Float8E5M2Type>(),
                    b.getI8Type(),
                    b.getIntegerType(4)};
    return types[static_cast<size_t>(type)];
  }

  /// Mostly caches that make sense, so that each rule decides some of them.
  llmir::CacheParameters pickParameters() {
    llmir::CacheParameters p;
    p.keyType = llmir::ElementType(pick({0, 1, 2, 2, 2, 3, 4, 5, 6}));
    p.valueType = pick({0, 1}) ? p.keyType : llmir::ElementType(pick({0, 1, 2, 3, 4, 5, 6}));
    p.numLayers = pick({1, 2, 30});
    p.numKVHeads = pick({1, 3, 8});
    p.keyHeadDim = pick({1, 7, 20, 64, 128, 576});
    p.valueHeadDim = pick({0, 1}) ? p.keyHeadDim : pick({9, 32, 512});
    p.blockSize = pick({1, 5, 16, 256});
    p.maxSeqLen = pick({1, 512, 4096});
    p.arrangement = llmir::CacheArrangement(pick({0, 0, 1, 2}));
    auto pickScales = [&](llmir::ElementType type) {
      if (llmir::isFloatArrayType(type) && pick({0, 1, 1, 1}))
        return llmir::ScaleGranularity::None;
      return llmir::ScaleGranularity(pick({0, 1, 2, 3, 4}));
    };
    p.keyScales = pickScales(p.keyType);
    p.valueScales = pickScales(p.valueType);
    auto pickGroup = [&](llmir::ScaleGranularity scales) {
      bool isGroup = scales == llmir::ScaleGranularity::Group;
      return isGroup ? pick({0, 1, 4, 10, 32, 64}) : pick({0, 0, 0, 0, 16});
    };
    p.keyScaleGroup = pickGroup(p.keyScales);
    p.valueScaleGroup = pickGroup(p.valueScales);
    p.scaleType = llmir::ElementType(pick({0, 1, 2}));
    p.window = pick({0, 0, 1, 500});
    p.numSinks = pick({0, 0, 0, 1, 4});
    return p;
  }

  PagedKVCacheType makeType(const llmir::CacheParameters &p) {
    auto parameters =
        PagedKVCacheParameters::get(Float16Type::get(&context), p.numLayers, p.numKVHeads,
                                    p.keyHeadDim, p.blockSize, p.maxSeqLen);
    parameters.keyStorage = getStorage(p.keyType);
    parameters.valueStorage = getStorage(p.valueType);
    parameters.valueHeadDim = p.valueHeadDim;
    parameters.keyScales = ScaleGranularity(static_cast<uint32_t>(p.keyScales));
    parameters.valueScales = ScaleGranularity(static_cast<uint32_t>(p.valueScales));
    parameters.keyScaleGroup = p.keyScaleGroup;
    parameters.valueScaleGroup = p.valueScaleGroup;
    parameters.scaleType = getStorage(p.scaleType);
    parameters.arrangement = CacheArrangement(static_cast<uint32_t>(p.arrangement));
    parameters.window = p.window;
    parameters.numSinks = p.numSinks;
    return PagedKVCacheType::getChecked([&] { return emitError(UnknownLoc::get(&context)); },
                                        &context, parameters);
  }

  /// Whether only the compiler refuses: a scale type that nothing has, a window beyond the end.
  static bool isStricter(const llmir::CacheParameters &p) {
    auto isStored = [](llmir::ScaleGranularity scales) {
      return scales >= llmir::ScaleGranularity::Token;
    };
    bool hasStored = isStored(p.keyScales) || isStored(p.valueScales);
    return (!hasStored && p.scaleType != llmir::ElementType::F32) ||
           p.window + p.numSinks > p.maxSeqLen;
  }

  MLIRContext context;
  std::mt19937 random{20260731};
};

} // namespace

TEST_F(PagedKVCacheTypeTest, AgreesWithTheRuntime) {
  std::string message;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    message = diagnostic.str();
    return success();
  });
  int64_t accepted = 0, refused = 0;
  for (int64_t i = 0; i < 20000; ++i) {
    llmir::CacheParameters parameters = pickParameters();
    message.clear();
    PagedKVCacheType type = makeType(parameters);
    auto layout = llmir::makeCacheLayout(parameters);
    if (!type) {
      ++refused;
      EXPECT_FALSE(message.empty());
      EXPECT_TRUE(!layout.isOk() || isStricter(parameters)) << message;
      continue;
    }
    ++accepted;
    ASSERT_TRUE(layout.isOk()) << layout.status().message();
    llmir_cache_layout own = type.getLayout();
    ASSERT_EQ(std::memcmp(&own, &*layout, sizeof(own)), 0)
        << llmir::checkSameLayout(own, *layout).message();
  }
  // Neither side decides nearly everything.
  EXPECT_GT(accepted, 2000);
  EXPECT_GT(refused, 2000);
}

TEST_F(PagedKVCacheTypeTest, ParametersMakeTheTypeAgain) {
  ScopedDiagnosticHandler handler(&context, [](Diagnostic &) { return success(); });
  for (int64_t i = 0; i < 1000; ++i)
    if (PagedKVCacheType type = makeType(pickParameters()))
      EXPECT_EQ(PagedKVCacheType::get(&context, type.getParameters()), type);
}
