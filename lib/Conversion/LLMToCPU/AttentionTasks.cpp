// Which tasks of attention a step has, and which are a worker's. Splits are counted from the
// sequence's first key, and which of them anybody sees depends on lengths and positions alone.
// Where KV heads divide by workers and a sequence is not split, worker w has the tasks of its w-th
// share of the heads, on which the step counts when it leaves out a barrier (StepPlan.h,
// headTiles).

#include "AttentionState.h"
#include "StepPlan.h"

namespace mlir::llm {

/// Most tasks of one head that a split sequence has beside its splits.
static constexpr int64_t kSplitChunks = 4;

Value SeenSplits::beginOf(KernelBuilder &b, const AttentionKernel &kernel, Value index) const {
  Value split = index;
  if (first) {
    split = b.add(first, index);
    if (sinks)
      split =
          b.select(b.compare(arith::CmpIPredicate::ult, index, sinks), index, b.sub(split, sinks));
  }
  return b.mul(split, b.index(kernel.splitKeys()));
}

namespace {
class TaskEmitter {
public:
  TaskEmitter(KernelBuilder &b, const AttentionKernel &kernel, const AttentionTaskInputs &inputs,
              AttentionTasks which)
      : b(b), kernel(kernel), inputs(inputs), which(which), heads(kernel.layout.num_kv_heads),
        perTask(kernel.taskTokens()) {}

  llvm::function_ref<void(const AttentionTask &)> body;
  llvm::function_ref<void(const AttentionPreparation &)> prepare; ///< Instead of `body`.

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
  /// What does not change within a sequence.
  struct Sequence {
    Value number, firstToken, lastToken, context, before;
    Value full;    ///< Chunks of `perTask` tokens; the others have one.
    Value isSplit; ///< Each of `splits` is a task.
    SeenSplits splits;
    Value perUnit; ///< Tasks of a (chunk, head).
    Value firstSlot;
  };

  /// Emits the tasks of a sequence whose first one is number `firstTask` and whose first partial
  /// state is `firstSlot`; gives those numbers for the next one.
  SmallVector<Value> emitSequence(Value number, Value firstTask, Value firstSlot) {
    Sequence s;
    s.number = number;
    s.firstToken = b.toIndex(b.load(inputs.cuLengths, number));
    s.lastToken = b.toIndex(b.load(inputs.cuLengths, b.add(number, b.index(1))));
    Value count = b.sub(s.lastToken, s.firstToken);
    s.context = b.toIndex(b.load(inputs.contextLengths, number));
    s.before = b.sub(s.context, count);
    s.full = b.div(count, b.index(perTask));
    s.firstSlot = firstSlot;
    Value chunks = b.add(s.full, b.rem(count, b.index(perTask)));
    s.splits = seenSplits(s, s.context, leastPosition(s, count));
    Value units = b.mul(chunks, b.index(heads));
    Value slots = b.mul(units, s.splits.count);
    auto require = [&](arith::CmpIPredicate predicate, Value lhs, Value rhs) {
      s.isSplit = arith::AndIOp::create(b, s.isSplit, b.compare(predicate, lhs, rhs));
    };
    s.isSplit = maySplit;
    require(arith::CmpIPredicate::ugt, s.splits.count, b.index(1));
    require(arith::CmpIPredicate::ule, chunks, b.index(kSplitChunks));
    require(arith::CmpIPredicate::ule, b.add(firstSlot, slots), b.index(kernel.partialStates()));
    s.perUnit = which == AttentionTasks::All ? b.select(s.isSplit, s.splits.count, b.index(1))
                                             : b.select(s.isSplit, b.index(1), b.index(0));
    Value tasks = b.mul(units, s.perUnit);
    emitShare(s, firstTask, tasks);
    Value usedSlots = b.select(s.isSplit, slots, b.index(0));
    return {b.add(firstTask, tasks), b.add(firstSlot, usedSlots)};
  }

  /// The worker's tasks of a sequence. Splits: a run of neighbours, which it reads one after
  /// another. Whole tasks: those of its heads, where heads divide by workers; otherwise every so
  /// many, since later ones are longer, and who has the first turn goes round from sequence to
  /// sequence.
  void emitShare(const Sequence &s, Value firstTask, Value tasks) {
    Value one = b.index(1);
    Value ahead = b.rem(firstTask, inputs.workers);
    Value turn = b.rem(b.sub(b.add(inputs.worker, inputs.workers), ahead), inputs.workers);
    auto shareOf = [&](Value worker) { return b.div(b.mul(worker, tasks), inputs.workers); };
    Value begin = b.select(s.isSplit, shareOf(turn), turn);
    Value end = b.select(s.isSplit, shareOf(b.add(turn, one)), tasks);
    Value step = b.select(s.isSplit, one, inputs.workers);
    Value ownHeads = b.maximum(b.div(b.index(heads), inputs.workers), one);
    Value byHeads =
        b.compare(arith::CmpIPredicate::eq, b.mul(ownHeads, inputs.workers), b.index(heads));
    byHeads = b.select(s.isSplit, arith::ConstantOp::create(b, b.getBoolAttr(false)), byHeads);
    Value turns = b.div(b.add(b.sub(b.maximum(end, begin), begin), b.sub(step, one)), step);
    Value count = b.select(byHeads, b.div(tasks, inputs.workers), turns);
    auto numberOf = [&](Value index) {
      Value head = b.add(b.mul(inputs.worker, ownHeads), b.rem(index, ownHeads));
      Value ofHead = b.add(b.mul(b.div(index, ownHeads), b.index(heads)), head);
      return b.select(byHeads, ofHead, b.add(begin, b.mul(index, step)));
    };
    b.loop(b.index(0), count, 1, [&](Value index) {
      Value number = numberOf(index);
      Value isFirst = b.compare(arith::CmpIPredicate::eq, index, b.index(0));
      if (prepare)
        return emitPreparation(s, number, isFirst);
      AttentionTask task = taskOf(s, number);
      task.isFirst = isFirst;
      Value next = numberOf(b.minimum(b.add(index, one), b.sub(count, one)));
      Value unit = b.div(next, s.perUnit);
      task.followHead = b.rem(unit, b.index(heads));
      // A task that is not split begins with what its last token sees first, or near it.
      task.followKey = s.splits.beginOf(b, kernel, b.rem(next, s.perUnit));
      emitChunk(s, task, b.div(b.div(number, s.perUnit), b.index(heads)));
    });
  }

  /// Once for a head whose tasks are whole; for a run of splits, at its begin and where it reaches
  /// the step's own keys.
  void emitPreparation(const Sequence &s, Value number, Value isFirst) {
    auto both = [&](Value lhs, Value rhs) -> Value { return arith::AndIOp::create(b, lhs, rhs); };
    auto either = [&](Value lhs, Value rhs) -> Value { return arith::OrIOp::create(b, lhs, rhs); };
    auto equal = [&](Value lhs, int64_t rhs) {
      return b.compare(arith::CmpIPredicate::eq, lhs, b.index(rhs));
    };
    Value yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
    Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
    AttentionTask task = taskOf(s, number);
    // The worker has the head's task of `back` chunks ago, too, where its turns meet that.
    Value chunk = b.div(b.div(number, s.perUnit), b.index(heads));
    Value isRepeated = no;
    for (int64_t back = 1; back < kSmallBatch; ++back) {
      Value hasOne = b.compare(arith::CmpIPredicate::uge, chunk, b.index(back));
      Value isOwn = equal(b.rem(b.index(back * heads), inputs.workers), 0);
      isRepeated = either(isRepeated, both(hasOne, isOwn));
    }
    Value isNew = b.select(isRepeated, no, yes);
    Value end = b.add(task.splits.beginOf(b, kernel, task.split), b.index(kernel.splitKeys()));
    Value reaches = b.compare(arith::CmpIPredicate::ugt, end, s.before);
    Value stores = b.select(s.isSplit, reaches, isNew);
    Value begins = b.select(s.isSplit, either(isFirst, equal(task.split, 0)), isNew);
    b.ifThen(either(begins, stores),
             [&] { prepare({s.firstToken, s.lastToken, task.head, stores}); });
  }

  AttentionTask taskOf(const Sequence &s, Value number) {
    Value unit = b.div(number, s.perUnit);
    AttentionTask task;
    task.sequence = s.number;
    task.firstToken = s.firstToken;
    task.stepBegin = s.before;
    task.context = s.context;
    task.head = b.rem(unit, b.index(heads));
    task.isSplit = s.isSplit;
    task.split = b.rem(number, s.perUnit);
    task.splits = s.splits;
    task.firstSlot = b.add(s.firstSlot, b.mul(unit, s.splits.count));
    return task;
  }

  /// A chunk is `perTask` tokens while that many are left, then one.
  void emitChunk(const Sequence &s, AttentionTask task, Value chunk) {
    auto emitTokens = [&](Value inSequence, int64_t tokens) {
      task.token = b.add(s.firstToken, inSequence);
      task.tokens = tokens;
      task.visible = b.add(b.add(s.before, inSequence), b.index(1));
      if (kernel.layout.window > 0 && which == AttentionTasks::All)
        task.splits = splitsOf(s, task);
      body(task);
    };
    if (perTask == 1)
      return emitTokens(chunk, 1);
    b.ifThen(
        b.compare(arith::CmpIPredicate::ult, chunk, s.full),
        [&] { emitTokens(b.mul(chunk, b.index(perTask)), perTask); },
        [&] {
          Value rest = b.sub(chunk, s.full);
          emitTokens(b.add(b.mul(s.full, b.index(perTask)), rest), 1);
        });
  }

  //===--- Windows ---===//

  /// The least position of the sequence's tokens in this step.
  Value leastPosition(const Sequence &s, Value count) {
    if (!inputs.positions || kernel.layout.window == 0)
      return s.before;
    Value none = b.index(std::numeric_limits<int32_t>::max());
    return b
        .loop(b.index(0), count, 1, none,
              [&](Value i, ValueRange carried) -> SmallVector<Value> {
                Value position = b.load(inputs.positions, b.add(s.firstToken, i));
                return {b.minimum(carried[0], b.toIndex(position))};
              })
        .front();
  }

  /// Splits of the keys before `end` that are seen from `position` and later ones.
  SeenSplits seenSplits(const Sequence &s, Value end, Value position) {
    Value splitKeys = b.index(kernel.splitKeys());
    Value all = b.div(b.add(end, b.index(kernel.splitKeys() - 1)), splitKeys);
    const llmir_cache_layout &layout = kernel.layout;
    if (layout.window == 0)
      return {all, Value(), Value()};
    Value begin = b.maximum(b.sub(position, b.index(layout.window - 1)), b.index(0));
    if (inputs.positions) // Keys of the step are judged by their positions alone.
      begin = b.minimum(begin, s.before);
    Value first = b.minimum(b.div(begin, splitKeys), all);
    if (layout.num_sinks == 0)
      return {b.sub(all, first), Value(), first};
    int64_t withSinks = (layout.num_sinks + kernel.splitKeys() - 1) / kernel.splitKeys();
    Value sinks = b.minimum(first, b.index(withSinks));
    return {b.add(b.sub(all, first), sinks), sinks, first};
  }

  /// Those of a task: its own tokens', or all tokens' of a sequence that is split.
  SeenSplits splitsOf(const Sequence &s, const AttentionTask &task) {
    Value position = b.sub(task.visible, b.index(1));
    for (int64_t i = 0; inputs.positions && i < task.tokens; ++i) {
      Value other = b.toIndex(b.load(inputs.positions, b.add(task.token, b.index(i))));
      position = i == 0 ? other : b.minimum(position, other);
    }
    Value end = b.add(task.visible, b.index(task.tokens - 1));
    SeenSplits own = seenSplits(s, end, position);
    auto choose = [&](Value ofSequence, Value ofTask) {
      return ofTask ? b.select(s.isSplit, ofSequence, ofTask) : Value();
    };
    return {choose(s.splits.count, own.count), choose(s.splits.sinks, own.sinks),
            choose(s.splits.first, own.first)};
  }

  KernelBuilder &b;
  const AttentionKernel &kernel;
  const AttentionTaskInputs &inputs;
  AttentionTasks which;
  int64_t heads, perTask;
  Value maySplit;
};
} // namespace

void emitTasks(KernelBuilder &b, const AttentionKernel &kernel, const AttentionTaskInputs &inputs,
               AttentionTasks which, llvm::function_ref<void(const AttentionTask &)> body) {
  TaskEmitter emitter(b, kernel, inputs, which);
  emitter.body = body;
  emitter.emit();
}

void emitPreparations(KernelBuilder &b, const AttentionKernel &kernel,
                      const AttentionTaskInputs &inputs,
                      llvm::function_ref<void(const AttentionPreparation &)> body) {
  TaskEmitter emitter(b, kernel, inputs, AttentionTasks::All);
  emitter.prepare = body;
  emitter.emit();
}

} // namespace mlir::llm
