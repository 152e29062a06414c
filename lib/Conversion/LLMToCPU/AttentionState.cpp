// State, tasks and merging of attention: see AttentionState.h. Source of the merge: Milakov and
// Gimelshein, "Online normalizer calculation for softmax".

#include "AttentionState.h"

namespace mlir::llm {

/// Smaller than every score; weights relative to it vanish.
static constexpr double kNoScore = -1.0e30;

//===--- Sizes --------------------------------------------------------------------------------===//

/// Rows (token, query head) that a task has at most, tokens and keys of a task, keys of a split.
static constexpr int64_t kTaskRows = 12;
static constexpr int64_t kTaskTokens = 8;
static constexpr int64_t kTileKeys = 64;
static constexpr int64_t kSplitKeys = 256;

int64_t AttentionKernel::taskTokens() const {
  return std::clamp<int64_t>(kTaskRows / groupSize(), 1, kTaskTokens);
}

int64_t AttentionKernel::tileKeys() const {
  int64_t block = layout.block_size;
  if (block <= kTileKeys)
    return kTileKeys / block * block;
  return block % kTileKeys == 0 ? kTileKeys : block;
}

int64_t AttentionKernel::splitKeys() const {
  return tileKeys() * std::max<int64_t>(1, kSplitKeys / tileKeys());
}

int64_t AttentionKernel::scratchElements() const {
  return AttentionScratch(*this, taskTokens() * groupSize()).size + 16;
}

int64_t AttentionKernel::partialStates() const {
  int64_t splits = (layout.max_seq_len + splitKeys() - 1) / splitKeys();
  return splits < 2 ? 0 : 2 * splits * layout.num_kv_heads;
}

int64_t AttentionKernel::partialElements() const {
  return partialStates() *
         AttentionState::elements(taskTokens() * groupSize(), layout.value_head_dim);
}

AttentionScratch::AttentionScratch(const AttentionKernel &kernel, int64_t rows) {
  const llmir_cache_layout &layout = kernel.layout;
  int64_t groups = CacheSide::values(layout).storedGroups();
  int64_t state = AttentionState::elements(rows, layout.value_head_dim);
  auto take = [next = int64_t(0)](int64_t elements) mutable {
    int64_t begin = next;
    next += (elements + 15) / 16 * 16;
    return begin;
  };
  query = take(layout.key_head_dim * rows);
  weights = take(std::max<int64_t>(groups, 1) * rows * kernel.tileKeys());
  valueScales = take(groups * kernel.tileKeys());
  rescale = take(rows);
  split = take(state);
  result = take(state);
  size = take(0);
}

SmallVector<std::pair<int64_t, int64_t>> splitLanes(int64_t size, int64_t lanes) {
  SmallVector<std::pair<int64_t, int64_t>> parts;
  for (int64_t from = 0; from < size;) {
    while (lanes > size - from)
      lanes /= 2;
    parts.emplace_back(from, lanes);
    from += lanes;
  }
  return parts;
}

/// Calls `body` with (first channel, lanes) for vectors that cover `size` channels.
static void forEachVector(KernelBuilder &b, int64_t size, int64_t lanes,
                          llvm::function_ref<void(Value, int64_t)> body) {
  int64_t whole = size / lanes * lanes;
  b.loop(b.index(0), b.index(whole), lanes, [&](Value channel) { body(channel, lanes); });
  for (auto [from, count] : splitLanes(size - whole, lanes))
    body(b.index(whole + from), count);
}

//===--- States -------------------------------------------------------------------------------===//

void emitEmptyState(KernelBuilder &b, const AttentionState &state, int64_t lanes) {
  b.loop(b.index(0), b.index(state.rows), 1, [&](Value row) {
    b.store(b.f32(kNoScore), state.memory, state.maximumAt(b, row));
    b.store(b.f32(0.0), state.memory, state.totalAt(b, row));
    forEachVector(b, state.valueDim, lanes, [&](Value channel, int64_t count) {
      b.storeVector(b.splatF32(0.0, count), state.memory, state.sumAt(b, row, channel));
    });
  });
}

/// exp of a scalar.
static Value emitScalarExp(KernelBuilder &b, Value x) {
  return b.firstLane(b.exp(b.broadcast(x, 4)));
}

void emitMerge(KernelBuilder &b, const AttentionState &whole, const AttentionState &part,
               int64_t lanes) {
  b.loop(b.index(0), b.index(whole.rows), 1, [&](Value row) {
    Value wholeMaximum = b.load(whole.memory, whole.maximumAt(b, row));
    Value partMaximum = b.load(part.memory, part.maximumAt(b, row));
    Value maximum = b.maximum(wholeMaximum, partMaximum);
    Value wholeFactor = emitScalarExp(b, b.sub(wholeMaximum, maximum));
    Value partFactor = emitScalarExp(b, b.sub(partMaximum, maximum));
    Value total = b.mul(b.load(whole.memory, whole.totalAt(b, row)), wholeFactor);
    total = b.fma(b.load(part.memory, part.totalAt(b, row)), partFactor, total);
    b.store(maximum, whole.memory, whole.maximumAt(b, row));
    b.store(total, whole.memory, whole.totalAt(b, row));
    forEachVector(b, whole.valueDim, lanes, [&](Value channel, int64_t count) {
      Value at = whole.sumAt(b, row, channel);
      Value sum = b.mul(b.loadVector(whole.memory, at, count), b.broadcast(wholeFactor, count));
      Value added = b.loadVector(part.memory, part.sumAt(b, row, channel), count);
      b.storeVector(b.fma(added, b.broadcast(partFactor, count), sum), whole.memory, at);
    });
  });
}

void emitOutput(KernelBuilder &b, const AttentionKernel &kernel, const AttentionState &result,
                const AttentionTask &task, Value output, const OutputFactors &factors,
                int64_t lanes) {
  Type element = kernel.output.getElementType();
  int64_t group = kernel.groupSize();
  double factor = CacheSide::values(kernel.layout).readFactor();
  b.loop(b.index(0), b.index(result.rows), 1, [&](Value row) {
    Value head = b.add(b.mul(task.head, b.index(group)), b.rem(row, b.index(group)));
    Value total = b.load(result.memory, result.totalAt(b, row));
    Value scale = b.f32(factor);
    if (factors.valueScale)
      scale = b.mul(scale, factors.valueScale);
    if (factors.sinks) {
      // A sink has a weight and no value.
      Value maximum = b.load(result.memory, result.maximumAt(b, row));
      Value inGroup = b.rem(row, b.index(group));
      Value at = b.add(factors.firstSink, b.mul(inGroup, b.index(4)));
      Value sink = b.firstLane(b.loadBytes(factors.sinks, at, b.getF32Type(), 1));
      Value larger = b.maximum(maximum, sink);
      Value rescale = emitScalarExp(b, b.sub(maximum, larger));
      total = b.fma(total, rescale, emitScalarExp(b, b.sub(sink, larger)));
      scale = b.mul(scale, rescale);
    }
    Value isSeen = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, total, b.f32(0.0));
    Value inverse = b.select(isSeen, b.div(scale, total), b.f32(0.0));
    Value column = b.mul(head, b.index(result.valueDim));
    Value token = b.add(task.token, b.div(row, b.index(group)));
    forEachVector(b, result.valueDim, lanes, [&](Value channel, int64_t count) {
      Value sum = b.loadVector(result.memory, result.sumAt(b, row, channel), count);
      Value scaled = b.mul(sum, b.broadcast(inverse, count));
      b.storeVector(b.truncate(scaled, element), output, {token, b.add(column, channel)});
    });
  });
}

//===--- Tasks --------------------------------------------------------------------------------===//

/// Most tasks of one head that a split sequence has beside its splits.
static constexpr int64_t kSplitChunks = 4;

namespace {
class TaskEmitter {
public:
  TaskEmitter(KernelBuilder &b, const AttentionKernel &kernel, const AttentionTaskInputs &inputs,
              AttentionTasks which, llvm::function_ref<void(const AttentionTask &)> body)
      : b(b), kernel(kernel), inputs(inputs), which(which), body(body),
        heads(kernel.layout.num_kv_heads), perTask(kernel.taskTokens()) {}

  void emit() {
    // Few sequences leave workers idle unless they are split.
    Value few = b.compare(arith::CmpIPredicate::ult, b.mul(inputs.sequences, b.index(heads)),
                          b.mul(inputs.workers, b.index(kSplitTasksPerWorker)));
    Value several = b.compare(arith::CmpIPredicate::ugt, inputs.workers, b.index(1));
    maySplit = arith::AndIOp::create(b, few, several);
    b.loop(b.index(0), inputs.sequences, 1, {b.index(0), b.index(0)},
           [&](Value sequence, ValueRange carried) -> SmallVector<Value> {
             return emitSequence(sequence, carried[0], carried[1]);
           });
  }

private:
  /// Emits the tasks of a sequence whose first one is number `firstTask` and whose first partial
  /// state is `firstSlot`; gives those numbers for the next one.
  SmallVector<Value> emitSequence(Value sequence, Value firstTask, Value firstSlot) {
    Value first = b.toIndex(b.load(inputs.cuLengths, sequence));
    Value last = b.toIndex(b.load(inputs.cuLengths, b.add(sequence, b.index(1))));
    Value count = b.sub(last, first);
    Value context = b.toIndex(b.load(inputs.contextLengths, sequence));
    Value full = b.div(count, b.index(perTask));
    Value chunks = b.add(full, b.rem(count, b.index(perTask)));
    Value splits =
        b.div(b.add(context, b.index(kernel.splitKeys() - 1)), b.index(kernel.splitKeys()));
    Value units = b.mul(chunks, b.index(heads));
    Value slots = b.mul(units, splits);
    Value isSplit = arith::AndIOp::create(b, maySplit,
                                          b.compare(arith::CmpIPredicate::ugt, splits, b.index(1)));
    isSplit = arith::AndIOp::create(
        b, isSplit, b.compare(arith::CmpIPredicate::ule, chunks, b.index(kSplitChunks)));
    isSplit = arith::AndIOp::create(b, isSplit,
                                    b.compare(arith::CmpIPredicate::ule, b.add(firstSlot, slots),
                                              b.index(kernel.partialStates())));
    Value perUnit = which == AttentionTasks::All ? b.select(isSplit, splits, b.index(1))
                                                 : b.select(isSplit, b.index(1), b.index(0));
    Value tasks = b.mul(units, perUnit);
    // The first of this worker's tasks: number = worker modulo workers.
    Value ahead = b.rem(firstTask, inputs.workers);
    Value mine = b.sub(b.add(inputs.worker, inputs.workers), ahead);
    mine = b.rem(mine, inputs.workers);
    Value before = b.sub(context, count);
    b.loop(mine, tasks, inputs.workers, [&](Value number) {
      Value unit = b.div(number, perUnit);
      AttentionTask task;
      task.sequence = sequence;
      task.head = b.rem(unit, b.index(heads));
      task.isSplit = isSplit;
      task.split = b.rem(number, perUnit);
      task.splits = splits;
      task.firstSlot = b.add(firstSlot, b.mul(unit, splits));
      task.stepBegin = before;
      emitChunk(task, first, full, b.div(unit, b.index(heads)));
    });
    Value usedSlots = b.select(isSplit, slots, b.index(0));
    return {b.add(firstTask, tasks), b.add(firstSlot, usedSlots)};
  }

  /// A chunk is `perTask` tokens while that many are left, then one.
  void emitChunk(AttentionTask task, Value first, Value full, Value chunk) {
    auto emitTokens = [&](Value inSequence, int64_t tokens) {
      task.token = b.add(first, inSequence);
      task.tokens = tokens;
      task.visible = b.add(b.add(task.stepBegin, inSequence), b.index(1));
      body(task);
    };
    if (perTask == 1)
      return emitTokens(chunk, 1);
    b.ifThen(
        b.compare(arith::CmpIPredicate::ult, chunk, full),
        [&] { emitTokens(b.mul(chunk, b.index(perTask)), perTask); },
        [&] {
          Value rest = b.sub(chunk, full);
          emitTokens(b.add(b.mul(full, b.index(perTask)), rest), 1);
        });
  }

  KernelBuilder &b;
  const AttentionKernel &kernel;
  const AttentionTaskInputs &inputs;
  AttentionTasks which;
  llvm::function_ref<void(const AttentionTask &)> body;
  int64_t heads, perTask;
  Value maySplit;
};
} // namespace

void emitTasks(KernelBuilder &b, const AttentionKernel &kernel, const AttentionTaskInputs &inputs,
               AttentionTasks which, llvm::function_ref<void(const AttentionTask &)> body) {
  TaskEmitter(b, kernel, inputs, which, body).emit();
}

} // namespace mlir::llm
