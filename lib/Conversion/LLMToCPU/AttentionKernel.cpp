// Attention over a paged cache: which worker computes what, and what becomes of the results. A task
// is some tokens of a sequence and one KV head, whose keys and values it reads once for all query
// heads of the group: all splits in order, or, where the batch has too few sequences for its
// workers, one split that leaves a partial state for the merge (AttentionSplit.cpp has the
// arithmetic, AttentionState.cpp the partition).

#include "AttentionSplit.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/xxhash.h"

namespace mlir::llm {

std::string AttentionKernel::name() const {
  std::string name = "attention_" + std::to_string(heads) + "_" + cacheName(layout) + "_" +
                     llvm::utohexstr(llvm::bit_cast<uint64_t>(scale));
  if (softCap > 0)
    name += "_cap" + llvm::utohexstr(llvm::bit_cast<uint64_t>(softCap));
  if (!alibiSlopes.empty()) {
    ArrayRef<uint8_t> bytes(reinterpret_cast<const uint8_t *>(alibiSlopes.data()),
                            alibiSlopes.size() * sizeof(float));
    name += "_alibi" + llvm::utohexstr(llvm::xxh3_64bits(bytes));
  }
  if (sinkLogits)
    name += "_sinks";
  if (treeMask)
    name += "_tree";
  if (positions)
    name += "_positions";
  return name;
}

namespace {
/// Arguments that attention and its merge have in common; see Kernels.h.
struct AttentionArguments {
  AttentionTaskInputs tasks;
  Value query, base, table, tableStride, layer, scratch, partials, output;
  Value keyScales, valueScales, sinkLogits, sinkOffset, treeMask, hasTree, positions;

  AttentionArguments(const AttentionKernel &kernel, ValueRange a)
      : tasks{a[0], a[1], a[6], a[7], a[8], Value()}, query(a[2]), base(a[3]), table(a[4]),
        tableStride(a[5]), layer(a[9]), scratch(a[10]), partials(a[11]), output(a[12]) {
    ValueRange rest = a.drop_front(13);
    auto take = [&](bool has, Value &argument) {
      if (!has)
        return;
      argument = rest.front();
      rest = rest.drop_front();
    };
    take(CacheSide::keys(kernel.layout).hasConstantScale(), keyScales);
    take(CacheSide::values(kernel.layout).hasConstantScale(), valueScales);
    take(kernel.sinkLogits, sinkLogits);
    take(kernel.sinkLogits, sinkOffset);
    take(kernel.treeMask, treeMask);
    take(kernel.treeMask, hasTree);
    take(kernel.positions, positions);
    tasks.positions = positions;
  }

  static SmallVector<Type> types(KernelLibrary &library, const AttentionKernel &kernel) {
    MLIRContext *context = library.context();
    Type index = library.indexType();
    Type ints = library.vectorType(IntegerType::get(context, 32));
    Type floats = library.vectorType(Float32Type::get(context));
    SmallVector<Type> types = {
        index, index,  kernel.query, library.bytesType(), ints, index, ints, ints, index,
        index, floats, floats,       kernel.output};
    llvm::append_range(types, scaleArguments(library, kernel.layout));
    if (kernel.sinkLogits)
      llvm::append_values(types, library.bytesType(), index);
    if (kernel.treeMask)
      llvm::append_values(types, library.vectorType(IntegerType::get(context, 64)),
                          IntegerType::get(context, 1));
    if (kernel.positions)
      types.push_back(ints);
    return types;
  }
};

class AttentionEmitter {
public:
  AttentionEmitter(KernelBuilder &b, KernelLibrary &library, const AttentionKernel &kernel,
                   ValueRange arguments)
      : b(b), library(library), kernel(kernel), layout(kernel.layout), arguments(kernel, arguments),
        lanes(library.target().lanes) {}

  void emitAttention() {
    emitTasks(b, kernel, arguments.tasks, AttentionTasks::All, [&](const AttentionTask &task) {
      emitQuery(task);
      b.ifThen(task.isSplit, [&] { emitSplitTask(task); }, [&] { emitWholeTask(task); });
    });
  }

  void emitMerges() {
    emitTasks(b, kernel, arguments.tasks, AttentionTasks::Merges, [&](const AttentionTask &task) {
      AttentionState result = resultState(task);
      emitEmptyState(b, result, lanes);
      b.loop(b.index(0), task.splits.count, 1,
             [&](Value split) { emitMerge(b, result, partialState(task, split), lanes); });
      emitOutput(task, result);
    });
  }

private:
  int64_t rowsOf(const AttentionTask &task) const { return task.tokens * kernel.groupSize(); }

  AttentionState scratchState(const AttentionTask &task, int64_t offset) {
    return {arguments.scratch, b.index(offset), rowsOf(task), layout.value_head_dim};
  }
  AttentionState resultState(const AttentionTask &task) {
    return scratchState(task, AttentionScratch(kernel, rowsOf(task)).result);
  }
  AttentionState partialState(const AttentionTask &task, Value split) {
    int64_t size =
        AttentionState::elements(kernel.taskTokens() * kernel.groupSize(), layout.value_head_dim);
    Value offset = b.mul(b.add(task.firstSlot, split), b.index(size));
    return {arguments.partials, offset, rowsOf(task), layout.value_head_dim};
  }

  /// Keys that the task's last token sees.
  Value lastVisible(const AttentionTask &task) {
    return b.add(task.visible, b.index(task.tokens - 1));
  }

  Value tableRow(const AttentionTask &task) { return b.mul(task.sequence, arguments.tableStride); }
  Value lastBlock(const AttentionTask &task) {
    return b.div(b.sub(task.context, b.index(1)), b.index(layout.block_size));
  }

  /// Copies the task's query heads to scratch, scaled; and fetches the first keys of the worker's
  /// first task, of which nobody thought in time.
  void emitQuery(const AttentionTask &task) {
    b.ifThen(task.isFirst, [&] {
      func::CallOp::create(b, getPrefetchFunction(library, kernel),
                           ValueRange{arguments.base, arguments.table, tableRow(task),
                                      lastBlock(task), arguments.layer, task.head,
                                      task.splits.beginOf(b, kernel, task.split)});
    });
    CacheSide keys = CacheSide::keys(layout);
    Value factor = b.f32(kernel.scale * keys.readFactor());
    if (arguments.keyScales) {
      Value index = b.add(b.mul(arguments.layer, b.index(layout.num_kv_heads)), task.head);
      factor = b.mul(factor, b.load(arguments.keyScales, index));
    }
    int64_t group = kernel.groupSize(), keyDim = layout.key_head_dim;
    int64_t at = AttentionScratch(kernel, rowsOf(task)).query;
    Value firstHead = b.mul(task.head, b.index(group));
    b.loop(b.index(0), b.index(rowsOf(task)), 1, [&](Value row) {
      Value from = b.add(task.token, b.div(row, b.index(group)));
      Value column = b.mul(b.add(firstHead, b.rem(row, b.index(group))), b.index(keyDim));
      Value to = b.add(b.index(at), b.mul(row, b.index(keyDim)));
      forEachVector(b, keyDim, lanes, [&](Value channel, int64_t count) {
        Value heads =
            b.extend(b.loadVector(arguments.query, {from, b.add(column, channel)}, count));
        b.storeVector(b.mul(heads, b.broadcast(factor, count)), arguments.scratch,
                      b.add(to, channel));
      });
      if (keys.pairsChannels() && library.target().hasPairDots)
        emitQueryPairs(task, row, to);
      else if (KeyWords::of(kernel, library.target()))
        emitQueryWords(b, kernel, library.target(), arguments.scratch,
                       AttentionScratch(kernel, rowsOf(task)), rowsOf(task), row);
      else if (keys.readOffset() != 0)
        emitQueryOffsets(task, row, to);
    });
  }

  /// Rounds a row's query to pairs of bf16.
  void emitQueryPairs(const AttentionTask &task, Value row, Value query) {
    int64_t keyDim = layout.key_head_dim;
    Value at = b.add(b.index(AttentionScratch(kernel, rowsOf(task)).queryWords),
                     b.mul(row, b.index(4 * keyDim)));
    b.loop(b.index(0), b.index(keyDim / 2), 1, [&](Value pair) {
      Value heads = b.loadVector(arguments.scratch, b.add(query, b.mul(pair, b.index(2))), 2);
      Value narrow = b.truncate(heads, b.getBF16Type());
      b.storeVector(b.bitcast(narrow, b.vectorOf(b.getF32Type(), 1)), arguments.scratch,
                    b.add(at, pair));
    });
  }

  /// What the offset of the keys' elements adds to the scores of a row, for each scale group.
  void emitQueryOffsets(const AttentionTask &task, Value row, Value query) {
    CacheSide keys = CacheSide::keys(layout);
    int64_t channels = keys.groupChannels(), groups = layout.key_head_dim / channels;
    int64_t width = lanes;
    while (channels % width != 0)
      width /= 2;
    Value at = b.index(AttentionScratch(kernel, rowsOf(task)).queryOffsets);
    b.loop(b.index(0), b.index(groups), 1, [&](Value group) {
      Value first = b.add(query, b.mul(group, b.index(channels)));
      Value sums = b.loop(b.index(0), b.index(channels), width, b.splatF32(0.0, width),
                          [&](Value channel, ValueRange carried) -> SmallVector<Value> {
                            Value part =
                                b.loadVector(arguments.scratch, b.add(first, channel), width);
                            return {b.add(carried[0], part)};
                          })
                       .front();
      Value offset = b.mul(b.sumLanes(sums), b.f32(-keys.readOffset()));
      Value index = b.add(b.mul(group, b.index(rowsOf(task))), row);
      b.store(offset, arguments.scratch, b.add(at, index));
    });
  }

  /// Computes the state of a split's keys. The worker goes on with `followKey` of `followHead`.
  void emitSplit(const AttentionTask &task, Value from, const AttentionState &state,
                 Value followKey, Value followHead) {
    Value to = b.minimum(b.add(from, b.index(kernel.splitKeys())), lastVisible(task));
    SmallVector<Value> operands = {arguments.base,
                                   arguments.table,
                                   tableRow(task),
                                   arguments.layer,
                                   task.head,
                                   task.token,
                                   task.visible,
                                   from,
                                   to,
                                   arguments.scratch,
                                   state.memory,
                                   state.offset,
                                   followKey,
                                   followHead,
                                   lastBlock(task)};
    if (arguments.treeMask) {
      // Without a mask every key counts as one from before the step.
      Value old = b.select(arguments.hasTree, task.stepBegin, lastVisible(task));
      llvm::append_values(operands, old, arguments.treeMask, arguments.hasTree);
    }
    if (arguments.positions)
      llvm::append_values(operands, task.stepBegin, arguments.positions, task.firstToken);
    func::CallOp::create(b, getSplitFunction(library, kernel, task.tokens), operands);
  }

  void emitSplitTask(const AttentionTask &task) {
    emitSplit(task, task.splits.beginOf(b, kernel, task.split), partialState(task, task.split),
              task.followKey, task.followHead);
  }

  void emitWholeTask(const AttentionTask &task) {
    AttentionState result = resultState(task);
    AttentionState part = scratchState(task, AttentionScratch(kernel, rowsOf(task)).split);
    emitEmptyState(b, result, lanes);
    Value splits = task.splits.count;
    b.loop(b.index(0), splits, 1, [&](Value number) {
      Value next = b.add(number, b.index(1));
      Value hasMore = b.compare(arith::CmpIPredicate::ult, next, splits);
      emitSplit(task, task.splits.beginOf(b, kernel, number), part,
                b.select(hasMore, task.splits.beginOf(b, kernel, next), task.followKey),
                b.select(hasMore, task.head, task.followHead));
      emitMerge(b, result, part, lanes);
    });
    emitOutput(task, result);
  }

  void emitOutput(const AttentionTask &task, const AttentionState &result) {
    Value valueScale;
    if (arguments.valueScales) {
      Value index = b.add(b.mul(arguments.layer, b.index(layout.num_kv_heads)), task.head);
      valueScale = b.load(arguments.valueScales, index);
    }
    Value sinks;
    if (arguments.sinkLogits) {
      // The logits of the head's group.
      Value first = b.mul(task.head, b.index(kernel.groupSize() * 4));
      sinks = b.add(arguments.sinkOffset, first);
    }
    llm::emitOutput(b, kernel, result, task, arguments.output,
                    {arguments.sinkLogits, sinks, valueScale}, lanes);
  }

  KernelBuilder &b;
  KernelLibrary &library;
  const AttentionKernel &kernel;
  const llmir_cache_layout &layout;
  AttentionArguments arguments;
  int64_t lanes;
};

func::FuncOp getFunction(KernelLibrary &library, const AttentionKernel &kernel,
                         const std::string &name, AttentionTasks which) {
  // Functions that this one calls come first: the library generates one at a time.
  if (which == AttentionTasks::All) {
    getPrefetchFunction(library, kernel);
    for (int64_t tokens : {kernel.taskTokens(), int64_t(1)})
      getSplitFunction(library, kernel, tokens);
  }
  return library.getOrCreate(name, AttentionArguments::types(library, kernel),
                             [&](KernelBuilder &builder, ValueRange arguments) {
                               AttentionEmitter emitter(builder, library, kernel, arguments);
                               which == AttentionTasks::All ? emitter.emitAttention()
                                                            : emitter.emitMerges();
                             });
}
} // namespace

func::FuncOp getKernel(KernelLibrary &library, const AttentionKernel &kernel) {
  return getFunction(library, kernel, kernel.name(), AttentionTasks::All);
}

func::FuncOp getMergeKernel(KernelLibrary &library, const AttentionKernel &kernel) {
  return getFunction(library, kernel, kernel.name() + "_merge", AttentionTasks::Merges);
}

} // namespace mlir::llm
