// The naive dense and paged attention, and element access to a paged cache.

#include "llmir/Reference/AttentionKernels.h"

#include "llmir/Base/Float16.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace llmir::reference {

/// Whether the query at `position` sees key `j`; `tree` is its mask over the keys from `treeBegin`.
static bool isSeen(int64_t position, int64_t j, const AttentionOptions &options,
                   const uint64_t *tree, int64_t treeBegin) {
  if (options.causal && j > position)
    return false;
  if (tree && j >= treeBegin && (*tree >> (j - treeBegin) & 1) == 0)
    return false;
  return options.window == 0 || j > position - options.window || j < options.numSinks;
}

/// The scores of one head's keys for query `i`; minus infinity where one is not seen.
static std::vector<double> scoreKeys(const Matrix &query, const Matrix &keys,
                                     const AttentionShape &shape, const AttentionOptions &options,
                                     int64_t i, int64_t head) {
  int64_t kvHead = head / (shape.numHeads / shape.numKVHeads);
  int64_t position = keys.rows() - query.rows() + i;
  const uint64_t *tree = options.treeMask.empty() ? nullptr : &options.treeMask[i];
  std::vector<double> scores(static_cast<size_t>(keys.rows()), -HUGE_VAL);
  for (int64_t j = 0; j < keys.rows(); ++j) {
    if (!isSeen(position, j, options, tree, keys.rows() - query.rows()))
      continue;
    double score = 0.0;
    for (int64_t d = 0; d < shape.keyHeadDim; ++d)
      score += query.at(i, head * shape.keyHeadDim + d) * keys.at(j, kvHead * shape.keyHeadDim + d);
    score *= shape.scale;
    if (options.softCap > 0)
      score = options.softCap * std::tanh(score / options.softCap);
    if (!options.alibiSlopes.empty())
      score += options.alibiSlopes[head] * double(j - position);
    if (!options.mask.numbers.empty()) {
      int64_t row = (options.mask.heads > 1 ? head * query.rows() : 0) + i;
      score += options.mask.numbers[static_cast<size_t>(row * keys.rows() + j)];
    }
    scores[j] = score;
  }
  return scores;
}

/// The softmax-weighted sum of one head's values for query `i`.
static void attendOneHead(const Matrix &query, const Matrix &keys, const Matrix &values,
                          const AttentionShape &shape, const AttentionOptions &options, int64_t i,
                          int64_t head, Matrix &output) {
  int64_t kvHead = head / (shape.numHeads / shape.numKVHeads);
  std::vector<double> weights = scoreKeys(query, keys, shape, options, i, head);
  double sink = options.sinkLogits.empty() ? -HUGE_VAL : options.sinkLogits[head];
  double largest = sink;
  for (double score : weights)
    largest = std::max(largest, score);
  if (largest == -HUGE_VAL)
    return; // The output is zero already.
  double sum = std::exp(sink - largest);
  for (double &weight : weights) {
    weight = std::exp(weight - largest);
    sum += weight;
  }
  for (int64_t d = 0; d < shape.valueHeadDim; ++d) {
    double total = 0.0;
    for (int64_t j = 0; j < keys.rows(); ++j)
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
