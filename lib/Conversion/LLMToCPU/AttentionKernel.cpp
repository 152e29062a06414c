// Attention over a paged cache: which worker computes what, and what becomes of the results. A task
// is some tokens of a sequence and one KV head, whose keys and values it reads once for all query
// heads of the group: all splits in order, or, where the batch has too few sequences for its
// workers, one split that leaves a partial state for the merge (AttentionSplit.cpp has the
// arithmetic, AttentionState.cpp the partition).

#include "AttentionState.h"
#include "CacheAddress.h"

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
  return name;
}

namespace {
/// Arguments that attention and its merge have in common; see Kernels.h.
struct AttentionArguments {
  AttentionTaskInputs tasks;
  Value query, base, table, tableStride, layer, scratch, partials, output;
  Value keyScales, valueScales, sinkLogits, sinkOffset, treeMask, hasTree;

  AttentionArguments(const AttentionKernel &kernel, ValueRange a)
      : tasks{a[0], a[1], a[6], a[7], a[8]}, query(a[2]), base(a[3]), table(a[4]),
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
      b.ifThen(task.isSplit, [&] { emitSplitTask(task); }, [&] { emitWholeTask(task); });
    });
  }

  void emitMerges() {
    emitTasks(b, kernel, arguments.tasks, AttentionTasks::Merges, [&](const AttentionTask &task) {
      AttentionState result = resultState(task);
      emitEmptyState(b, result, lanes);
      b.loop(b.index(0), task.splits, 1,
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

  /// Computes the state of the keys [from, to).
  void emitSplit(const AttentionTask &task, Value from, Value to, const AttentionState &state) {
    Value tableRow = b.mul(task.sequence, arguments.tableStride);
    SmallVector<Value> operands = {
        arguments.query,   arguments.base, arguments.table, tableRow, arguments.layer,
        task.head,         task.token,     task.visible,    from,     to,
        arguments.scratch, state.memory,   state.offset};
    if (arguments.keyScales)
      operands.push_back(arguments.keyScales);
    if (arguments.treeMask) {
      // Without a mask every key counts as one from before the step.
      Value old = b.select(arguments.hasTree, task.stepBegin, lastVisible(task));
      llvm::append_values(operands, old, arguments.treeMask, arguments.hasTree);
    }
    func::CallOp::create(b, getSplitFunction(library, kernel, task.tokens), operands);
  }

  void emitSplitTask(const AttentionTask &task) {
    Value from = b.mul(task.split, b.index(kernel.splitKeys()));
    Value to = b.minimum(b.add(from, b.index(kernel.splitKeys())), lastVisible(task));
    emitSplit(task, from, to, partialState(task, task.split));
  }

  void emitWholeTask(const AttentionTask &task) {
    AttentionState result = resultState(task);
    AttentionState part = scratchState(task, AttentionScratch(kernel, rowsOf(task)).split);
    emitEmptyState(b, result, lanes);
    Value last = lastVisible(task);
    b.loop(b.index(0), last, kernel.splitKeys(), [&](Value from) {
      Value to = b.minimum(b.add(from, b.index(kernel.splitKeys())), last);
      auto emitPart = [&] {
        emitSplit(task, from, to, part);
        emitMerge(b, result, part, lanes);
      };
      if (layout.window == 0)
        return emitPart();
      // Splits that no row sees leave the state as it is.
      Value begin = b.sub(task.visible, b.index(layout.window));
      Value isSeen = b.compare(arith::CmpIPredicate::sgt, to, begin);
      if (layout.num_sinks > 0)
        isSeen = arith::OrIOp::create(
            b, isSeen, b.compare(arith::CmpIPredicate::ult, from, b.index(layout.num_sinks)));
      b.ifThen(isSeen, emitPart);
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
  if (which == AttentionTasks::All)
    for (int64_t tokens : {kernel.taskTokens(), int64_t(1)})
      getSplitFunction(library, kernel, tokens);
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
