// AttentionEmitter: the body of the attention kernels. A block has a tile of rows of one KV head
// and reads each key and value of that head once.
//
// Keys are taken in partitions of one key a thread: scores of all rows side by side, without
// horizontal sums; online softmax in f32 over the partition (a maximum over the block); the weights
// go to workgroup memory, and threads that own a channel each add up the weighted values.
// Partitions make splits of fixed length, each with a softmax of its own; splits are merged in
// order by log-sum-exp, by the block itself or by the merging kernel, with the same operations. A
// row that ends before a key gives it a weight of exactly 0 and rescales by exactly 1. Sources:
// Milakov and Gimelshein, "Online normalizer calculation for softmax"; Dao et al.,
// "FlashAttention"; "Flash-Decoding for long-context inference".

#ifndef LLMIR_LIB_CONVERSION_LLMTOGPU_ATTENTIONEMITTER_H
#define LLMIR_LIB_CONVERSION_LLMTOGPU_ATTENTIONEMITTER_H

#include "AttentionGeometry.h"
#include "DeviceCache.h"
#include "SoftmaxState.h"

namespace mlir::llm {

/// What an attention kernel reads; memrefs of the device, and scalars. A dot product times `scale`
/// is a score in units of log2 or, with a soft cap, what tanh is taken of; `cap` is the cap in
/// units of log2. What comes after `scale` is null where the kernel has none.
struct AttentionOperands {
  Value query, pool, table, tableStride, contextLengths, cuLengths, layer, scale;
  Value cap;
  ConstantScales scales;
  Value slopes, sinks, tree, positions;

  /// Their types, in the order of the members; how many there are; and the members from a kernel's
  /// first arguments.
  static SmallVector<Type> types(const GPUKernelLibrary &library,
                                 const AttentionDeviceKernel &kernel);
  static size_t count(const AttentionDeviceKernel &kernel);
  static AttentionOperands from(const AttentionDeviceKernel &kernel, ValueRange arguments);
};

/// Adds a learned sink, whose logit is in units of log2, to a row's state: it has a weight and no
/// value. Returns what to multiply the row's sums by.
Value addSink(GPUKernelBuilder &builder, Value sink, Value &maximum, Value &total);

class AttentionEmitter {
public:
  AttentionEmitter(GPUKernelBuilder &builder, const AttentionDeviceKernel &kernel,
                   const AttentionGeometry &geometry, const AttentionOperands &operands);

  /// Runs `body` in blocks that have a tile.
  void forTile(llvm::function_ref<void()> body);

  /// The keys that the tile's last row sees.
  Value end() const { return lastVisible; }
  /// The state over the keys [begin, end): one split. `begin` is less than `end`.
  SoftmaxState emitSplit(Value begin, Value end);
  /// The state over no keys.
  SoftmaxState emptyState();

  /// Runs `body` for each row that exists and each of its channels that the thread owns.
  struct RowChannel {
    size_t row, part; ///< part: which of the thread's channels.
    Value token, head, channel;
  };
  void forOwnedChannels(llvm::function_ref<void(const RowChannel &)> body);

private:
  struct Row {
    Value token, head, exists;
    Value visible; ///< Its place in the cache + 1: keys after that are not there for it.
    Value position;
    Value slope; ///< Of ALiBi, in units of log2.
    Value tree;  ///< Its bits, i64.
  };
  void findTile();
  void makeRows();
  void loadQueries();
  SmallVector<Value> emitScores(const DeviceCacheSide::Token &key);
  Value emitKeyPosition(Value place);
  Value modifyScore(const Row &row, Value score, Value keyPosition);
  Value emitSees(const Row &row, Value place, Value keyPosition, Value end);
  Value isInWindow(Value position, Value keyPosition);
  Value mayBeSeen(Value first, Value last);
  void emitPartition(SoftmaxState &state, Value start, Value end);
  void emitValues(SoftmaxState &state, Value count);
  void combinePhases(SoftmaxState &state);
  Value channel(size_t part);
  Value ownsChannel(size_t part);
  Value weightAt(size_t row, Value key);

  GPUKernelBuilder &b;
  const AttentionDeviceKernel &kernel;
  const llmir_cache_layout &layout;
  const AttentionGeometry &geometry;
  const AttentionOperands &in;
  SmallVector<Row> rows;
  Value hasTile, sequence, chunk, firstToken, lastToken, context, lastVisible;
  Value firstPosition;       ///< The smallest of the rows.
  Value stepBegin, stepSize; ///< Keys that were there before this step's tokens; these tokens.
  Value kvHead, part, thread;
  /// Workgroup memory; the addresses of scales only where values have stored ones.
  Value queries, weights, valueAddresses, valueScales, reductions;
  std::optional<DeviceCache> cache;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOGPU_ATTENTIONEMITTER_H
