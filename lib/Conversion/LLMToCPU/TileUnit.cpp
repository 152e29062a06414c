// Tile products by LLVM's intrinsics, whose shapes are constants: LLVM gives the tiles registers
// and configures them when the function begins. See TileUnit.h.

#include "TileUnit.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

static constexpr int64_t kLanes = 16, kRowBytes = 64;

Value allocateRows(KernelBuilder &b, Type element, int64_t rows, int64_t width) {
  auto function = b.getInsertionBlock()->getParent()->getParentOfType<func::FuncOp>();
  if (auto op = dyn_cast<func::FuncOp>(b.getInsertionBlock()->getParentOp()))
    function = op;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&function.getBody().front());
  return memref::AllocaOp::create(b, MemRefType::get({rows, width}, element),
                                  b.getI64IntegerAttr(kRowBytes));
}

TileSums::TileSums(KernelBuilder &builder, KernelLibrary &library, Type element, int64_t tokens,
                   bool isEmulated)
    : b(builder), library(library), element(element), tokens(tokens), isEmulated(isEmulated),
      memory(allocateRows(builder, element, tokens, kLanes)),
      tiles((tokens + kTileTokens - 1) / kTileTokens) {}

Value TileSums::i16(int64_t value) {
  return arith::ConstantOp::create(b, b.getI16IntegerAttr(static_cast<int16_t>(value)));
}

Value TileSums::address(Value memref, Value index) {
  auto metadata = memref::ExtractStridedMetadataOp::create(b, memref);
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  Value offset = b.add(metadata.getOffset(), index);
  int64_t bytes = cast<MemRefType>(memref.getType()).getElementTypeBitWidth() / 8;
  Value sum = b.add(base, b.mul(offset, b.index(bytes)));
  Value integer = arith::IndexCastOp::create(b, b.getI64Type(), sum);
  return LLVM::IntToPtrOp::create(b, LLVM::LLVMPointerType::get(b.getContext()), integer);
}

Value TileSums::loadTile(Value memref, Value index, int64_t rows, int64_t bytes, int64_t stride) {
  Value step = arith::ConstantOp::create(b, b.getI64IntegerAttr(stride));
  return b.intrinsic("llvm.x86.tileloadd64.internal", LLVM::LLVMX86AMXType::get(b.getContext()),
                     {i16(rows), i16(bytes), address(memref, index), step});
}

void TileSums::setZero() {
  for (size_t index = 0; index < tiles.size(); ++index) {
    if (!isEmulated) {
      tiles[index] =
          b.intrinsic("llvm.x86.tilezero.internal", LLVM::LLVMX86AMXType::get(b.getContext()),
                      {i16(rowsOf(index)), i16(kRowBytes)});
      continue;
    }
    VectorType type = b.vectorOf(element, kLanes);
    Value zero = element.isF32() ? b.splatF32(0.0, kLanes) : b.splatInt(0, type);
    Value first = b.index(static_cast<int64_t>(index) * kTileTokens);
    b.loop(first, b.add(first, b.index(rowsOf(index))), 1,
           [&](Value token) { b.storeVector(zero, memory, {token, b.index(0)}); });
  }
}

void TileSums::multiply(Value left, Value row, Value column, Value right, Value rightOffset,
                        int64_t words) {
  auto leftType = cast<MemRefType>(left.getType());
  int64_t rowElements = KernelLibrary::rowStride(leftType);
  int64_t rowBytes = rowElements * leftType.getElementTypeBitWidth() / 8;
  Value rightTile =
      isEmulated ? Value() : loadTile(right, rightOffset, words, kRowBytes, kRowBytes);
  for (auto [index, tile] : llvm::enumerate(tiles)) {
    int64_t firstToken = static_cast<int64_t>(index) * kTileTokens;
    Value leftRow = firstToken == 0 ? row : b.add(row, b.index(firstToken));
    if (isEmulated) {
      EmulatedTile product{memory, b.index(firstToken), left,          leftRow, column,
                           right,  rightOffset,         rowsOf(index), words};
      if (element.isF32())
        emulatePairTile(b, library, product);
      else
        emulateByteTile(b, library, product);
      continue;
    }
    Value offset = b.add(b.mul(leftRow, b.index(rowElements)), column);
    Value leftTile = loadTile(left, offset, rowsOf(index), words * 4, rowBytes);
    StringRef name = element.isF32() ? "llvm.x86.tdpbf16ps.internal" : "llvm.x86.tdpbssd.internal";
    tile = b.intrinsic(
        name, tile.getType(),
        {i16(rowsOf(index)), i16(kRowBytes), i16(words * 4), tile, leftTile, rightTile});
  }
}

void TileSums::loop(int64_t count, KernelBuilder::LoopBody body) {
  SmallVector<Value> initial = isEmulated ? SmallVector<Value>() : tiles;
  auto emitOne = [&](Value iv, ValueRange carried) -> SmallVector<Value> {
    if (!isEmulated)
      tiles.assign(carried.begin(), carried.end());
    body(iv);
    return isEmulated ? SmallVector<Value>() : tiles;
  };
  SmallVector<Value> results = b.loop(b.index(0), b.index(count), 1, initial, emitOne);
  if (!isEmulated)
    tiles = results;
}

void TileSums::store() {
  if (isEmulated)
    return;
  Value step = arith::ConstantOp::create(b, b.getI64IntegerAttr(kRowBytes));
  for (auto [index, tile] : llvm::enumerate(tiles)) {
    Value first = b.index(static_cast<int64_t>(index) * kTileTokens * kLanes);
    LLVM::CallIntrinsicOp::create(
        b, b.getStringAttr("llvm.x86.tilestored64.internal"),
        ValueRange{i16(rowsOf(index)), i16(kRowBytes), address(memory, first), step, tile});
  }
}

Value TileSums::load(int64_t token) {
  return b.loadVector(memory, {b.index(token), b.index(0)}, kLanes);
}

} // namespace mlir::llm
