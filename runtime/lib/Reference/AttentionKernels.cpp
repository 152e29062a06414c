// The naive dense and paged attention, and element access to a paged cache.

#include "llmir/Reference/AttentionKernels.h"

#include "llmir/Base/Float16.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace llmir::reference {

/// The position of the token at `place`; the step's tokens are those from `stepBegin`.
static int64_t positionOf(int64_t place, const AttentionOptions &options, int64_t stepBegin) {
  if (options.positions.empty() || place < stepBegin)
    return place;
  return options.positions[static_cast<size_t>(place - stepBegin)];
}

/// Whether the query at `place` sees key `j`; `tree` is its mask over the keys from `stepBegin`.
static bool isSeen(int64_t place, int64_t j, const AttentionOptions &options, const uint64_t *tree,
                   int64_t stepBegin) {
  if (j > place)
    return false;
  if (tree && j >= stepBegin && (*tree >> (j - stepBegin) & 1) == 0)
    return false;
  int64_t key = positionOf(j, options, stepBegin);
  return options.window == 0 || key > positionOf(place, options, stepBegin) - options.window ||
         key < options.numSinks;
}

/// The softmax-weighted sum of one head's values for query `i`.
static void attendOneHead(const Matrix &query, const Matrix &keys, const Matrix &values,
                          const AttentionShape &shape, const AttentionOptions &options, int64_t i,
                          int64_t head, Matrix &output) {
  int64_t kvHead = head / (shape.numHeads / shape.numKVHeads);
  int64_t stepBegin = keys.rows() - query.rows(), place = stepBegin + i;
  const uint64_t *tree = options.treeMask.empty() ? nullptr : &options.treeMask[i];
  std::vector<double> weights(static_cast<size_t>(place + 1), -HUGE_VAL);
  double largest = options.sinkLogits.empty() ? -HUGE_VAL : options.sinkLogits[head];
  for (int64_t j = 0; j <= place; ++j) {
    if (!isSeen(place, j, options, tree, stepBegin))
      continue;
    double score = 0.0;
    for (int64_t d = 0; d < shape.keyHeadDim; ++d)
      score += query.at(i, head * shape.keyHeadDim + d) * keys.at(j, kvHead * shape.keyHeadDim + d);
    score *= shape.scale;
    if (options.softCap > 0)
      score = options.softCap * std::tanh(score / options.softCap);
    if (!options.alibiSlopes.empty())
      score += options.alibiSlopes[head] *
               double(positionOf(j, options, stepBegin) - positionOf(place, options, stepBegin));
    weights[j] = score;
    largest = std::max(largest, score);
  }
  double sum = options.sinkLogits.empty() ? 0.0 : std::exp(options.sinkLogits[head] - largest);
  for (double &weight : weights) {
    weight = std::exp(weight - largest);
    sum += weight;
  }
  for (int64_t d = 0; d < shape.valueHeadDim; ++d) {
    double total = 0.0;
    for (int64_t j = 0; j <= place; ++j)
      if (weights[j] > 0)
        total += weights[j] * values.at(j, kvHead * shape.valueHeadDim + d);
    output.at(i, head * shape.valueHeadDim + d) = total / sum;
  }
}

Matrix attention(const Matrix &query, const Matrix &keys, const Matrix &values,
                 const AttentionShape &shape, const AttentionOptions &options) {
  Matrix output(query.rows(), shape.numHeads * shape.valueHeadDim);
  for (int64_t i = 0; i < query.rows(); ++i)
    for (int64_t head = 0; head < shape.numHeads; ++head)
      attendOneHead(query, keys, values, shape, options, i, head, output);
  return output;
}

static void writeElement(uint8_t *address, uint32_t type, double value) {
  float narrow = static_cast<float>(value);
  if (type == LLMIR_F32) {
    std::memcpy(address, &narrow, sizeof(narrow));
    return;
  }
  uint16_t bits = type == LLMIR_F16 ? floatToHalf(narrow) : floatToBFloat16(narrow);
  std::memcpy(address, &bits, sizeof(bits));
}

static double readElement(const uint8_t *address, uint32_t type) {
  if (type == LLMIR_F32) {
    float value;
    std::memcpy(&value, address, sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, address, sizeof(bits));
  return type == LLMIR_F16 ? halfToFloat(bits) : bfloat16ToFloat(bits);
}

/// Bytes from the base of a cache to the keys' first channel of (layer, head) at `slot`.
static int64_t keyOffset(const llmir_cache_layout &layout, int64_t slot, int64_t layer,
                         int64_t head) {
  return slot / layout.block_size * layout.block_stride + layer * layout.layer_stride +
         head * layout.head_stride + slot % layout.block_size * layout.key_token_stride;
}

static int64_t valueOffset(const llmir_cache_layout &layout, int64_t slot, int64_t layer,
                           int64_t head) {
  return slot / layout.block_size * layout.block_stride + layer * layout.layer_stride +
         head * layout.head_stride + layout.value_offset +
         slot % layout.block_size * layout.value_token_stride;
}

void storeKV(const llmir_cache_layout &layout, uint8_t *base, int64_t layer,
             std::span<const int32_t> slots, const Matrix &keys, const Matrix &values) {
  for (int64_t t = 0; t < keys.rows(); ++t) {
    if (slots[t] < 0)
      continue;
    for (int64_t head = 0; head < layout.num_kv_heads; ++head) {
      uint8_t *key = base + keyOffset(layout, slots[t], layer, head);
      for (int64_t d = 0; d < layout.key_head_dim; ++d)
        writeElement(key + d * layout.key_channel_stride, layout.key_type,
                     keys.at(t, head * layout.key_head_dim + d));
      uint8_t *value = base + valueOffset(layout, slots[t], layer, head);
      for (int64_t d = 0; d < layout.value_head_dim; ++d)
        writeElement(value + d * layout.value_channel_stride, layout.value_type,
                     values.at(t, head * layout.value_head_dim + d));
    }
  }
}

GatheredKV gatherKV(const llmir_cache_layout &layout, const uint8_t *base, int64_t layer,
                    std::span<const int32_t> table, int64_t tokens) {
  GatheredKV gathered{Matrix(tokens, layout.num_kv_heads * layout.key_head_dim),
                      Matrix(tokens, layout.num_kv_heads * layout.value_head_dim)};
  for (int64_t t = 0; t < tokens; ++t) {
    int64_t slot =
        int64_t(table[t / layout.block_size]) * layout.block_size + t % layout.block_size;
    for (int64_t head = 0; head < layout.num_kv_heads; ++head) {
      const uint8_t *key = base + keyOffset(layout, slot, layer, head);
      for (int64_t d = 0; d < layout.key_head_dim; ++d)
        gathered.keys.at(t, head * layout.key_head_dim + d) =
            readElement(key + d * layout.key_channel_stride, layout.key_type);
      const uint8_t *value = base + valueOffset(layout, slot, layer, head);
      for (int64_t d = 0; d < layout.value_head_dim; ++d)
        gathered.values.at(t, head * layout.value_head_dim + d) =
            readElement(value + d * layout.value_channel_stride, layout.value_type);
    }
  }
  return gathered;
}

Matrix pagedAttention(const llmir_cache_layout &layout, const uint8_t *base, int64_t layer,
                      const RaggedBatch &batch, const Matrix &query, int64_t numHeads,
                      double scale) {
  AttentionShape shape{numHeads, layout.num_kv_heads, layout.key_head_dim, layout.value_head_dim,
                       scale};
  Matrix output(query.rows(), numHeads * layout.value_head_dim);
  for (size_t s = 0; s < batch.contextLengths.size(); ++s) {
    int64_t begin = batch.cuLengths[s], end = batch.cuLengths[s + 1];
    if (begin == end)
      continue;
    auto table = batch.table.subspan(s * batch.tableStride, batch.tableStride);
    GatheredKV kv = gatherKV(layout, base, layer, table, batch.contextLengths[s]);
    Matrix part(end - begin, query.cols());
    for (int64_t t = begin; t < end; ++t)
      std::ranges::copy(query.row(t), part.row(t - begin).begin());
    Matrix result = attention(part, kv.keys, kv.values, shape);
    for (int64_t t = begin; t < end; ++t)
      std::ranges::copy(result.row(t - begin), output.row(t).begin());
  }
  return output;
}

} // namespace llmir::reference
