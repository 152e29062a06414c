// What the emitters of sums share, and which of them a product takes.

#include "MatrixSums.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

Value takeRows(KernelBuilder &b, Value rows, Value first, int64_t count) {
  int64_t columns = cast<MemRefType>(rows.getType()).getDimSize(1);
  SmallVector<OpFoldResult> offsets = {first, b.getIndexAttr(0)};
  SmallVector<OpFoldResult> sizes = {b.getIndexAttr(count), b.getIndexAttr(columns)};
  SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
  return memref::SubViewOp::create(b, rows, offsets, sizes, strides);
}

int64_t SumEmitter::vectorsAtOnce(int64_t tokens) const {
  // With one or two tokens, what a vector of activations loads serves the whole panel; with more,
  // the sums fill the registers.
  return tokens <= 2 ? ::llmir::kPanelRows / lanes : 1;
}

Value SumEmitter::loadHalves(Value offset) {
  return b.extend(b.loadBytes(operands.weights, offset, b.getF16Type(), lanes));
}

Value SumEmitter::addScaled(Value sum, Value dots, Value weightScale, Value minimum, Value scales,
                            Value row, Value group) {
  Value dot = arith::SIToFPOp::create(b, b.vectorOf(b.getF32Type(), lanes), dots);
  sum = b.fma(weightScale, b.mul(dot, b.loadBroadcast(scales, {row, group}, lanes)), sum);
  if (!minimum)
    return sum;
  Value scaledSum = b.add(group, b.index(layout.groups()));
  return b.fma(minimum, b.loadBroadcast(scales, {row, scaledSum}, lanes), sum);
}

SmallVector<Value> SumEmitter::addChains(ArrayRef<Value> sums) {
  size_t count = sums.size() / 2;
  SmallVector<Value> results;
  for (auto [first, second] : llvm::zip_equal(sums.take_front(count), sums.take_back(count)))
    results.push_back(b.add(first, second));
  return results;
}

bool multipliesPairs(const CPUTarget &target, ActivationType kind, ::llmir::PackedFormat format) {
  return target.pairUnit != PairUnit::None && kind == ActivationType::BF16 &&
         format == ::llmir::PackedFormat::BF16;
}

SmallVector<Value> SumEmitter::emitBlocks(Value panel, ValueRange initial, AddGroup addGroup) {
  int64_t perBlock = layout.groupsPerBlock();
  int64_t blocks = layout.groups() / perBlock;
  SmallVector<Value> results =
      b.loop(b.index(0), b.index(blocks), 1, initial, [&](Value index, ValueRange carried) {
        SmallVector<Value> accumulators(carried);
        Value block = b.add(panel, b.mul(index, b.index(layout.blockBytes())));
        for (int64_t inBlock = 0; inBlock < perBlock; ++inBlock)
          addGroup(block, inBlock, at(b.mul(index, b.index(perBlock)), inBlock), accumulators);
        return accumulators;
      });
  for (int64_t group = blocks * perBlock; group < layout.groups(); ++group)
    addGroup(at(panel, blocks * layout.blockBytes()), group % perBlock, b.index(group), results);
  return results;
}

std::unique_ptr<SumEmitter> createSums(KernelBuilder &builder, KernelLibrary &library,
                                       const LinearKernel &kernel, const SumOperands &operands) {
  const CPUTarget &target = library.target();
  if (kernel.kind == ActivationType::I8 && target.dotUnit == DotUnit::SVE && !target.isEmulated)
    return createScalableSums(builder, library, kernel, operands);
  if (kernel.kind == ActivationType::I8)
    return (target.hasByteTiles ? createByteTileSums : createIntegerSums)(builder, library, kernel,
                                                                          operands);
  if (kernel.input.getElementType().isBF16())
    return (target.pairUnit == PairUnit::Tiles ? createPairTileSums : createPairSums)(
        builder, library, kernel, operands);
  return createFloatSums(builder, library, kernel, operands);
}

} // namespace mlir::llm
