// The quantised KV cache: the seed's int8 cache, then what each way of storing costs and loses on
// keys of which a few channels are much larger than the others, as those of real models are.

#include "llmir/Cache/QuantizedPagedKVCache.h"

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

using namespace llmir;

namespace {

constexpr int64_t numLayers = 4, numHeads = 4, headDim = 64, blockSize = 16, maxSeqLen = 1024;
constexpr ElementType elementType = ElementType::F32;
constexpr int64_t batchSize = 1, seqLen = 128;

/// Normal numbers; every sixteenth channel is eight times larger.
std::vector<float> makeKeys(uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> keys(numLayers * batchSize * seqLen * numHeads * headDim);
  for (size_t i = 0; i < keys.size(); ++i)
    keys[i] = normal(random) * (i % 16 == 3 ? 8.0f : 1.0f);
  return keys;
}

/// The error of what comes back, relative to the numbers.
double relativeError(const std::vector<float> &found, const std::vector<float> &numbers) {
  double error = 0, size = 0;
  for (size_t i = 0; i < numbers.size(); ++i) {
    error += (found[i] - numbers[i]) * (found[i] - numbers[i]);
    size += numbers[i] * numbers[i];
  }
  return std::sqrt(error / size);
}

bool tryConfig(const char *name, const QuantizationConfig &config, const std::vector<float> &keys) {
  QuantizedPagedKVCache cache(numLayers, numHeads, headDim, blockSize, maxSeqLen, config,
                              elementType);
  std::vector<float> foundKeys(keys.size()), foundValues(keys.size());
  std::vector<int32_t> blocks(seqLen);
  int32_t id = 1, length = seqLen;
  Status status = cache.appendKV(keys.data(), keys.data(), 1, seqLen, &id, blocks.data());
  if (status.isOk())
    status = cache.lookupKV(blocks.data(), &length, 1, foundKeys.data(), foundValues.data());
  if (!status.isOk()) {
    std::printf("%s: %s\n", name, status.message().c_str());
    return false;
  }
  std::printf("%-34s %5.2fx smaller   error of keys %6.3f %%, of values %6.3f %%\n", name,
              cache.getCompressionRatio(), 100 * relativeError(foundKeys, keys),
              100 * relativeError(foundValues, keys));
  return true;
}

} // namespace

int main() {
  std::vector<float> keys = makeKeys(1), values = makeKeys(2);
  std::vector<int32_t> ids = {1}, blocks(seqLen);
  const void *keyPtr = keys.data(), *valuePtr = values.data();
  int32_t *seqIds = ids.data(), *blockIndices = blocks.data();

  // clang-format off
// Create a quantized KV cache with INT8 quantization
QuantizationConfig config(QuantizationType::INT8, 
                          QuantizationStrategy::PER_TENSOR);
QuantizedPagedKVCache qCache(numLayers, numHeads, headDim, blockSize, 
                             maxSeqLen, config, elementType);

// Use the quantized cache (automatic quantization/dequantization)
qCache.appendKV(keyPtr, valuePtr, batchSize, seqLen, seqIds, blockIndices);

// Get compression ratio
float ratio = qCache.getCompressionRatio();  // ~4x for INT8, ~8x for INT4
  // clang-format on

  std::printf("the seed's cache is %.2f times smaller than one of f32\n\n", ratio);
  using Type = QuantizationType;
  using Strategy = QuantizationStrategy;
  bool good = qCache.status().isOk() && ratio > 3.9f;
  good &= tryConfig("int8, one scale for all", config, keys);
  good &= tryConfig("int8, a scale for each head", {Type::INT8, Strategy::PER_HEAD}, keys);
  good &= tryConfig("int8, a scale for each token", {Type::INT8, Strategy::PER_TOKEN}, keys);
  good &= tryConfig("int8, groups of 16 channels", {Type::INT8, Strategy::PER_GROUP, 16}, keys);
  good &= tryConfig("int4, a scale for each token", {Type::INT4, Strategy::PER_TOKEN}, keys);
  good &= tryConfig("int4, groups of 16 channels", {Type::INT4, Strategy::PER_GROUP, 16}, keys);
  good &= tryConfig("8-bit float (e4m3), no scales", {Type::FP8_E4M3, Strategy::UNSCALED}, keys);
  QuantizationConfig mixed;
  mixed.keys = {Type::INT8, Strategy::PER_TOKEN, 0};
  mixed.values = {Type::INT4, Strategy::PER_GROUP, 16};
  mixed.exceptions[0] = {};
  good &= tryConfig("int8 keys, int4 values, layer 0 f32", mixed, keys);
  return good ? 0 : 1;
}
