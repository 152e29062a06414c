// Dense attention that keeps scores: of all rows and keys (three-pass), of all rows and the keys
// that they see (masked), or of a block of rows (fused-softmax, sliding-window). Three passes over
// a task's rows: scores, with masks applied; largest score and weights; product with the values.
// They share tiles and registers with the online form (DenseAttentionFlash.cpp), so that the
// difference between the techniques is what they keep, what they skip and where the weights are
// computed.

#include "DenseAttentionTiles.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::llm {

namespace {
/// The functions of one technique, and what their arguments are: scratch, a DenseTile, then the
/// scores: memory, offset of the first row, column of the tile, elements between rows.
class ScoresFunctions {
public:
  ScoresFunctions(KernelLibrary &library, const DenseAttentionKernel &kernel)
      : library(library), kernel(kernel), tiling(kernel, library.target().lanes),
        isFused(kernel.technique == AttentionTechnique::FusedSoftmax) {}

  void createAll() {
    getPackKeys(library, kernel);
    getPackValues(library, kernel);
    for (int64_t count = tiling.chunkRows; count > 0; count /= 2) {
      getScores(count);
      if (!isFused) {
        getMaxima(count);
        getWeights(count);
      }
      getProduct(count);
    }
  }

  /// Scores of a tile, masks applied.
  func::FuncOp getScores(int64_t count) {
    return get("_scores_", count,
               [&](DenseEmitter &emitter, const DenseTile &tile, const DenseMatrix &scores,
                   const DenseRowStates &states) {
                 KernelBuilder &b = emitter.b;
                 DenseView view = emitter.emitView(tile, count);
                 auto emit = [&] {
                   emitter.emitScores(tile, count, kernel.skipsTiles() ? view.keys : tile.valid,
                                      scores);
                   auto mask = [&](bool isMasked) {
                     emitter.emitMaskedScores(tile, count, isMasked, scores, states, isFused);
                   };
                   if (kernel.skipsTiles())
                     b.ifThen(view.isFull, [&] { mask(false); }, [&] { mask(true); });
                   else
                     mask(true);
                 };
                 kernel.skipsTiles() ? b.ifThen(view.isSeen, emit) : emit();
               });
  }

  /// The largest scores, and the weights relative to them.
  func::FuncOp getMaxima(int64_t count) {
    return get("_maxima_", count,
               [&](DenseEmitter &emitter, const DenseTile &tile, const DenseMatrix &scores,
                   const DenseRowStates &states) {
                 ifSeen(emitter, tile, count, [&] { emitter.emitMaxima(count, scores, states); });
               });
  }
  func::FuncOp getWeights(int64_t count) {
    return get("_weights_", count,
               [&](DenseEmitter &emitter, const DenseTile &tile, const DenseMatrix &scores,
                   const DenseRowStates &states) {
                 ifSeen(emitter, tile, count, [&] { emitter.emitWeights(count, scores, states); });
               });
  }

  /// Adds up a tile's weighted values.
  func::FuncOp getProduct(int64_t count) {
    return get("_product_", count,
               [&](DenseEmitter &emitter, const DenseTile &tile, const DenseMatrix &scores,
                   const DenseRowStates &states) {
                 DenseView view = emitter.emitView(tile, count);
                 ifSeen(emitter, tile, count, [&] {
                   if (isFused)
                     emitter.emitWeights(count, scores, states);
                   emitter.emitProduct(tile, count, kernel.skipsTiles() ? view.keys : tile.valid,
                                       scores,
                                       /*rescales=*/false);
                 });
               });
  }

private:
  using Body = llvm::function_ref<void(DenseEmitter &, const DenseTile &, const DenseMatrix &,
                                       const DenseRowStates &)>;

  void ifSeen(DenseEmitter &emitter, const DenseTile &tile, int64_t count,
              llvm::function_ref<void()> body) {
    if (!kernel.skipsTiles())
      return body();
    emitter.b.ifThen(emitter.emitView(tile, count).isSeen, body);
  }

  func::FuncOp get(const char *suffix, int64_t count, Body body) {
    Type index = library.indexType();
    Type floats = library.vectorType(Float32Type::get(library.context()));
    SmallVector<Type> types = {floats};
    llvm::append_range(types, DenseTile::types(library, kernel));
    llvm::append_values(types, floats, index, index, index);
    return library.getOrCreate(kernel.name() + suffix + std::to_string(count), types,
                               [&](KernelBuilder &b, ValueRange arguments) {
                                 DenseEmitter emitter(b, library, kernel, arguments[0]);
                                 ValueRange rest = arguments.drop_front();
                                 DenseTile tile = DenseTile::take(kernel, rest);
                                 DenseMatrix scores{rest[0], b.add(rest[1], rest[2]), rest[3]};
                                 // A row's state is behind its scores.
                                 Value state = b.sub(rest[3], b.index(tiling.stateStride));
                                 DenseRowStates states{rest[0], b.add(rest[1], state), rest[3]};
                                 body(emitter, tile, scores, states);
                               });
  }

  KernelLibrary &library;
  const DenseAttentionKernel &kernel;
  DenseTiling tiling;
  bool isFused;
};

class ScoresTask {
public:
  ScoresTask(KernelBuilder &b, KernelLibrary &library, const DenseAttentionKernel &kernel,
             const DenseArguments &arguments, const DenseTask &task)
      : b(b), library(library), kernel(kernel), arguments(arguments), task(task),
        emitter(b, library, kernel, arguments.scratch), functions(library, kernel),
        mask(arguments.maskOf(b, task)) {
    columns = DenseScores::emitColumns(b, kernel, emitter.tiling, task.rows, task.keys);
    stride = b.add(columns, b.index(emitter.tiling.stateStride));
  }

  void emit() {
    emitter.clearStates(states(b.index(0)), task.rows);
    forEachBlock([&](Value row, Value rows) {
      emitter.packQuery(task, arguments.query, row, rows);
      emitter.forEachSeenTile(task, [&](Value firstKey, Value valid, Value column) {
        pack(getPackKeys(library, kernel), arguments.keys, firstKey, valid);
        emitter.forEachChunk(rows, [&](Value chunk, int64_t count) {
          call(functions.getScores(count), row, chunk, firstKey, valid, column);
        });
      });
    });
    if (kernel.technique != AttentionTechnique::FusedSoftmax)
      forEachBlock([&](Value block, Value rows) { emitSoftmax(block, rows); });
    forEachBlock([&](Value row, Value rows) {
      // Clears the sums, too.
      emitter.packQuery(task, arguments.query, row, rows);
      emitter.forEachSeenTile(task, [&](Value firstKey, Value valid, Value column) {
        pack(getPackValues(library, kernel), arguments.values, firstKey, valid);
        emitter.forEachChunk(rows, [&](Value chunk, int64_t count) {
          call(functions.getProduct(count), row, chunk, firstKey, valid, column);
        });
      });
      emitter.writeOutput(task, arguments.output, row, rows, states(row), arguments.sinks,
                          arguments.sinkOffset);
    });
  }

private:
  DenseRowStates states(Value row) {
    return {arguments.scores, b.add(b.mul(row, stride), columns), stride};
  }

  void forEachBlock(llvm::function_ref<void(Value, Value)> body) {
    int64_t size = emitter.tiling.blockRows;
    if (!kernel.keepsAllRows())
      return body(b.index(0), task.rows);
    b.loop(b.index(0), task.rows, size,
           [&](Value row) { body(row, b.minimum(b.sub(task.rows, row), b.index(size))); });
  }

  void pack(func::FuncOp function, Value tensor, Value firstKey, Value valid) {
    func::CallOp::create(
        b, function, {arguments.scratch, tensor, b.add(task.keyBegin, firstKey), valid, task.head});
  }

  /// Rows outside, so that their scores come from a near cache the second time.
  void emitSoftmax(Value block, Value rows) {
    emitter.forEachChunk(rows, [&](Value chunk, int64_t count) {
      for (func::FuncOp function : {functions.getMaxima(count), functions.getWeights(count)})
        emitter.forEachSeenTile(task, [&](Value firstKey, Value valid, Value column) {
          call(function, block, chunk, firstKey, valid, column);
        });
    });
  }

  /// Calls the function for some rows of a block.
  void call(func::FuncOp function, Value block, Value row, Value firstKey, Value valid,
            Value column) {
    Value own = b.add(block, row);
    DenseTile tile{row, b.add(task.rowBegin, own), task.shift, task.head, firstKey, valid, mask};
    SmallVector<Value> operands = {arguments.scratch};
    llvm::append_range(operands, tile.values());
    llvm::append_values(operands, arguments.scores, b.mul(own, stride), column, stride);
    func::CallOp::create(b, function, operands);
  }

  KernelBuilder &b;
  KernelLibrary &library;
  const DenseAttentionKernel &kernel;
  const DenseArguments &arguments;
  const DenseTask &task;
  DenseEmitter emitter;
  ScoresFunctions functions;
  DenseMask mask;
  Value columns, stride;
};
} // namespace

void createScoresFunctions(KernelLibrary &library, const DenseAttentionKernel &kernel) {
  ScoresFunctions(library, kernel).createAll();
}

void emitScoresTask(KernelBuilder &b, KernelLibrary &library, const DenseAttentionKernel &kernel,
                    const DenseArguments &arguments, const DenseTask &task) {
  ScoresTask(b, library, kernel, arguments, task).emit();
}

} // namespace mlir::llm
