// Naive attention in double precision: dense over given keys and values, and paged over a cache
// that is addressed only through llmir_cache_layout. Linked by tests only.

#ifndef LLMIR_REFERENCE_ATTENTIONKERNELS_H
#define LLMIR_REFERENCE_ATTENTIONKERNELS_H

#include "llmir/ABI.h"
#include "llmir/Reference/Matrix.h"

#include <cstdint>
#include <span>

namespace llmir::reference {

/// The heads of an attention; query heads share key/value heads in groups of numHeads / numKVHeads.
struct AttentionShape {
  int64_t numHeads = 0;
  int64_t numKVHeads = 0;
  int64_t keyHeadDim = 0;
  int64_t valueHeadDim = 0;
  double scale = 1.0;
};

/// What is added to scores: [heads or 1, queries, keys]; minus infinity hides a key.
struct AttentionMask {
  std::span<const float> numbers;
  int64_t heads = 1; ///< 1: the same for all.
};

/// What changes scores and which keys are seen; the defaults change nothing.
struct AttentionOptions {
  int64_t window = 0;   ///< Last positions that a query sees, its own included; 0: all.
  int64_t numSinks = 0; ///< First positions that are seen beyond the window.
  double softCap = 0;   ///< Scores become softCap * tanh(score / softCap); 0: they do not.
  std::span<const float> alibiSlopes =
      {};                                 ///< [heads]: slope * (key's position - query's) is added.
  std::span<const float> sinkLogits = {}; ///< [heads]: joins the sum of weights, without a value.
  /// [queries]: bit j lets a query see the j-th of the last `queries` keys; keys before are seen.
  std::span<const uint64_t> treeMask = {};
  /// [queries]: positions of the last `queries` tokens, for window, sinks and slopes; without, a
  /// token's position is its place. Those before are at their places.
  std::span<const int32_t> positions = {};
  bool causal = true; ///< Otherwise keys behind the query are seen, too.
  AttentionMask mask = {};
};

/// Attention of one sequence: query [q, heads * key dim] are its last q tokens, keys
/// [c, KV heads * key dim] and values [c, KV heads * value dim] all of its c tokens; query i is at
/// position c - q + i and, unless `causal` is off, sees the keys up to there. A query that sees
/// none gets zeros. Returns [q, heads * value dim].
Matrix attention(const Matrix &query, const Matrix &keys, const Matrix &values,
                 const AttentionShape &shape, const AttentionOptions &options = {});

/// Rounds keys [tokens, KV heads * key dim] and values to the cache's storage types and writes them
/// at slots[t] (block * block_size + offset) of `layer`; a token with a negative slot is skipped.
void storeKV(const llmir_cache_layout &layout, uint8_t *base, int64_t layer,
             std::span<const int32_t> slots, const Matrix &keys, const Matrix &values);

/// The keys and values of a sequence as they stand in a cache.
struct GatheredKV {
  Matrix keys;   ///< [tokens, KV heads * key dim]
  Matrix values; ///< [tokens, KV heads * value dim]
};

/// Reads the first `tokens` tokens of the sequence whose blocks are `table`, in order of position.
GatheredKV gatherKV(const llmir_cache_layout &layout, const uint8_t *base, int64_t layer,
                    std::span<const int32_t> table, int64_t tokens);

/// A ragged batch: the query rows cuLengths[s] .. cuLengths[s + 1] - 1 are the last tokens of
/// sequence s, whose context has contextLengths[s] tokens and whose blocks are row s of
/// `table` [sequences, tableStride].
struct RaggedBatch {
  std::span<const int32_t> cuLengths;
  std::span<const int32_t> contextLengths;
  std::span<const int32_t> table;
  int64_t tableStride = 0;
};

/// Causal attention of a ragged batch through its block tables. The numbers of KV heads and their
/// sizes are the layout's.
Matrix pagedAttention(const llmir_cache_layout &layout, const uint8_t *base, int64_t layer,
                      const RaggedBatch &batch, const Matrix &query, int64_t numHeads,
                      double scale);

} // namespace llmir::reference

#endif // LLMIR_REFERENCE_ATTENTIONKERNELS_H
