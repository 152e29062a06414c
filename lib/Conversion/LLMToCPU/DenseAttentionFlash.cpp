// Dense attention with an online softmax: for each tile of keys that a block of rows sees, scores
// of a few rows, their weights relative to the largest score so far, and the weighted values, while
// all of it is in registers or the nearest cache. Nothing grows with the sequence. Source: Dao et
// al., "FlashAttention"; Milakov and Gimelshein, "Online normalizer calculation for softmax".

#include "DenseAttentionTiles.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::llm {

static DenseRowStates statesOf(DenseEmitter &emitter, Value row) {
  const DenseTiling &tiling = emitter.tiling;
  return {emitter.scratch, emitter.atScratch(tiling.states, row, tiling.stateStride),
          emitter.b.index(tiling.stateStride)};
}

/// The function that takes a tile into the states and sums of `count` rows.
static func::FuncOp getTileFunction(KernelLibrary &library, const DenseAttentionKernel &kernel,
                                    int64_t count) {
  SmallVector<Type> types = {library.vectorType(Float32Type::get(library.context()))};
  llvm::append_range(types, DenseTile::types(library, kernel));
  return library.getOrCreate(
      kernel.name() + "_tile_" + std::to_string(count), types,
      [&](KernelBuilder &b, ValueRange arguments) {
        DenseEmitter emitter(b, library, kernel, arguments[0]);
        ValueRange rest = arguments.drop_front();
        DenseTile tile = DenseTile::take(kernel, rest);
        DenseRowStates states = statesOf(emitter, tile.row);
        DenseMatrix weights{emitter.scratch, b.index(emitter.tiling.weights),
                            b.index(emitter.tiling.tileKeys)};
        DenseView view = emitter.emitView(tile, count);
        b.ifThen(view.isSeen, [&] {
          emitter.emitScores(tile, count, view.keys, weights);
          auto softmax = [&](bool isMasked) {
            emitter.emitOnlineSoftmax(tile, count, isMasked, weights, states);
          };
          b.ifThen(view.isFull, [&] { softmax(false); }, [&] { softmax(true); });
          emitter.emitProduct(tile, count, view.keys, weights, /*rescales=*/true);
        });
      });
}

void createFlashFunctions(KernelLibrary &library, const DenseAttentionKernel &kernel) {
  getPackKeys(library, kernel);
  getPackValues(library, kernel);
  for (int64_t count = DenseTiling(kernel, library.target().lanes).chunkRows; count > 0; count /= 2)
    getTileFunction(library, kernel, count);
}

void emitFlashTask(KernelBuilder &b, KernelLibrary &library, const DenseAttentionKernel &kernel,
                   const DenseArguments &arguments, const DenseTask &task) {
  DenseEmitter emitter(b, library, kernel, arguments.scratch);
  DenseMask mask = arguments.maskOf(b, task);
  emitter.packQuery(task, arguments.query, b.index(0), task.rows);
  emitter.clearStates(statesOf(emitter, b.index(0)), task.rows);
  emitter.forEachSeenTile(task, [&](Value firstKey, Value valid, Value) {
    Value row = b.add(task.keyBegin, firstKey);
    func::CallOp::create(b, getPackKeys(library, kernel),
                         {arguments.scratch, arguments.keys, row, valid, task.head});
    func::CallOp::create(b, getPackValues(library, kernel),
                         {arguments.scratch, arguments.values, row, valid, task.head});
    emitter.forEachChunk(task.rows, [&](Value row, int64_t count) {
      DenseTile tile{row, b.add(task.rowBegin, row), task.shift, task.head, firstKey, valid, mask};
      SmallVector<Value> operands = {arguments.scratch};
      llvm::append_range(operands, tile.values());
      func::CallOp::create(b, getTileFunction(library, kernel, count), operands);
    });
  });
  emitter.writeOutput(task, arguments.output, b.index(0), task.rows, statesOf(emitter, b.index(0)),
                      arguments.sinks, arguments.sinkOffset);
}

} // namespace mlir::llm
