// The function that every worker of a team runs for a step: see StepEmitter.h. Reads
// llmir_step_args, makes views of the workspace, then calls tile functions with barriers between.

#include "StepEmitter.h"

#include "Kernels.h"
#include "RuntimeCalls.h"

#include "llmir/ABI.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <cstddef>

namespace mlir::llm {

StepEmitter::StepEmitter(ModuleOp module, const KernelLibrary &library, const StepPlan &plan)
    : module(module), library(library), plan(plan), b(module.getLoc(), module.getContext()) {}

int64_t StepEmitter::emit() {
  Type pointer = LLVM::LLVMPointerType::get(module.getContext());
  emitFunction(LLMIR_MODEL_STEP_SYMBOL, {pointer, b.getI32Type(), b.getI32Type()});
  emitABIVersion();
  return loops;
}

void StepEmitter::emitFunction(StringRef name, TypeRange arguments) {
  b.setInsertionPointToEnd(module.getBody());
  auto function = func::FuncOp::create(b, name, b.getFunctionType(arguments, {}));
  entry = function.addEntryBlock();
  b.setInsertionPointToStart(entry);
  args = entry->getArgument(0);
  workerInt = entry->getArgument(1);
  worker = b.toIndex(workerInt);
  workers = b.toIndex(entry->getArgument(2));
  emitArguments();
  if (entry->getNumArguments() > 3)
    emitProfileArguments();
  entryEnd = func::ReturnOp::create(b);
  // Views are made before this marker, calls after it.
  b.setInsertionPoint(entryEnd);
  Operation *marker = b.index(0).getDefiningOp();
  std::swap(marker, entryEnd);
  b.setInsertionPoint(marker);
  for (const PlanSegment &segment : plan.formLoops())
    emitSegment(segment);
}

void StepEmitter::emitABIVersion() {
  b.setInsertionPointToStart(module.getBody());
  LLVM::GlobalOp::create(b, b.getI32Type(), /*isConstant=*/true, LLVM::Linkage::External,
                         LLMIR_MODEL_ABI_VERSION_SYMBOL,
                         b.getI32IntegerAttr(static_cast<int32_t>(LLMIR_ABI_VERSION)));
}

//===--- Reading the arguments ----------------------------------------------------------------===//

Value StepEmitter::loadField(int64_t offset, Type type) {
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value address = LLVM::GEPOp::create(b, pointer, b.getI8Type(), args,
                                      ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
  return LLVM::LoadOp::create(b, type, address);
}

Value StepEmitter::loadCount(int64_t offset) {
  return b.toIndex(loadField(offset, b.getI32Type()));
}

Value StepEmitter::loadInts(int64_t offset, Value size) {
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  return emitMemRefAt(b, loadField(offset, pointer), library.vectorType(b.getI32Type()), size);
}

void StepEmitter::emitArguments() {
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value anySize = b.index(std::numeric_limits<int64_t>::max());
  tokenCount = loadCount(offsetof(llmir_step_args, num_tokens));
  sequenceCount = loadCount(offsetof(llmir_step_args, num_sequences));
  rowCount = loadCount(offsetof(llmir_step_args, num_rows));
  tokens = loadInts(offsetof(llmir_step_args, tokens), tokenCount);
  positions = loadInts(offsetof(llmir_step_args, positions), tokenCount);
  cuLengths = loadInts(offsetof(llmir_step_args, cu_lengths), b.add(sequenceCount, b.index(1)));
  contextLengths = loadInts(offsetof(llmir_step_args, context_lengths), sequenceCount);
  rows = loadInts(offsetof(llmir_step_args, rows), rowCount);
  auto loadBytes = [&](int64_t offset) {
    return emitMemRefAt(b, loadField(offset, pointer), library.bytesType(), anySize);
  };
  logits = loadBytes(offsetof(llmir_step_args, logits));
  weights = loadBytes(offsetof(llmir_step_args, weights));
  workspace = loadBytes(offsetof(llmir_step_args, workspace));
  workspacePointer = loadField(offsetof(llmir_step_args, workspace), pointer);
  barrierFunction = loadField(offsetof(llmir_step_args, barrier), pointer);
  team = loadField(offsetof(llmir_step_args, team), pointer);

  isSmallTokens = b.compare(arith::CmpIPredicate::ule, tokenCount, b.index(kSmallBatch));
  isSmallRows = b.compare(arith::CmpIPredicate::ule, rowCount, b.index(kSmallBatch));
  Value shared = b.add(b.mul(tokenCount, b.index(plan.workspace.perToken)),
                       b.mul(rowCount, b.index(plan.workspace.perRow)));
  privateArea = b.add(shared, b.mul(worker, b.index(plan.workspace.perWorker)));
  Value scratchAt = b.add(privateArea, b.index(plan.scratchOffset));
  scratch = memref::ViewOp::create(b, library.vectorType(b.getF32Type()), workspace, scratchAt,
                                   ValueRange{b.index(plan.scratchElements)});
  Value masks = loadField(offsetof(llmir_step_args, tree_mask), pointer);
  Value null = LLVM::ZeroOp::create(b, pointer);
  hasTree = LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::ne, masks, null);
  // Without masks there is still memory, whose content does not matter.
  masks = LLVM::SelectOp::create(b, hasTree, masks, workspacePointer);
  treeMask = emitMemRefAt(b, masks, library.vectorType(b.getI64Type()), tokenCount);
  emitPartials(shared);
  emitCaches();
  for (int64_t set : {0, 1})
    emitResetClaims(b.index(set));
}

/// The partial states of attention, and whether a sequence may be split in this step: which is the
/// same for all workers.
void StepEmitter::emitPartials(Value shared) {
  Value at = b.add(shared, b.mul(workers, b.index(plan.workspace.perWorker)));
  partials = memref::ViewOp::create(b, library.vectorType(b.getF32Type()), workspace, at,
                                    ValueRange{b.index(plan.partialElements)});
  if (plan.splitKeys == 0)
    return;
  Value longest = b.loop(b.index(0), sequenceCount, 1, b.index(0),
                         [&](Value sequence, ValueRange carried) -> SmallVector<Value> {
                           Value context = b.toIndex(b.load(contextLengths, sequence));
                           return {b.maximum(carried[0], context)};
                         })
                      .front();
  Value isLong = b.compare(arith::CmpIPredicate::ugt, longest, b.index(plan.splitKeys));
  Value tasks = b.mul(sequenceCount, b.index(plan.splitHeads));
  Value isFew =
      b.compare(arith::CmpIPredicate::ult, tasks, b.mul(workers, b.index(kSplitTasksPerWorker)));
  Value several = b.compare(arith::CmpIPredicate::ugt, workers, b.index(1));
  mayBeSplit = arith::AndIOp::create(b, isLong, arith::AndIOp::create(b, isFew, several));
}

void StepEmitter::emitCaches() {
  int64_t count = 0;
  for (const PlanCall &call : plan.calls)
    for (const PlanOperand &operand : call.operands)
      if (const auto *input = std::get_if<InputOperand>(&operand))
        count = std::max(count, input->cache + 1);
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value anySize = b.index(std::numeric_limits<int64_t>::max());
  Value views = loadField(offsetof(llmir_step_args, caches), pointer);
  for (int64_t cache = 0; cache < count; ++cache) {
    auto load = [&](int64_t offset, Type type) -> Value {
      auto at = static_cast<int32_t>(cache * sizeof(llmir_cache_view) + offset);
      Value address =
          LLVM::GEPOp::create(b, pointer, b.getI8Type(), views, ArrayRef<LLVM::GEPArg>{at});
      return LLVM::LoadOp::create(b, type, address);
    };
    MemRefType ints = library.vectorType(b.getI32Type());
    CacheInputs inputs;
    inputs.base = emitMemRefAt(b, load(offsetof(llmir_cache_view, base), pointer),
                               library.bytesType(), anySize);
    inputs.slots =
        emitMemRefAt(b, load(offsetof(llmir_cache_view, slots), pointer), ints, tokenCount);
    inputs.table = emitMemRefAt(b, load(offsetof(llmir_cache_view, table), pointer), ints, anySize);
    inputs.tableStride = b.toIndex(load(offsetof(llmir_cache_view, table_stride), b.getI64Type()));
    MemRefType floats = library.vectorType(b.getF32Type());
    inputs.keyScales =
        emitMemRefAt(b, load(offsetof(llmir_cache_view, key_scales), pointer), floats, anySize);
    inputs.valueScales =
        emitMemRefAt(b, load(offsetof(llmir_cache_view, value_scales), pointer), floats, anySize);
    caches.push_back(inputs);
  }
}

//===--- Operands -----------------------------------------------------------------------------===//

Value StepEmitter::getInput(const InputOperand &input) {
  switch (input.input) {
  case StepInput::Tokens:
    return tokens;
  case StepInput::Positions:
    return positions;
  case StepInput::CuLengths:
    return cuLengths;
  case StepInput::ContextLengths:
    return contextLengths;
  case StepInput::Rows:
    return rows;
  case StepInput::Logits: {
    BufferOperand buffer;
    buffer.type = input.type;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(entryEnd);
    return makeRows(logits, b.index(0), buffer, rowCount);
  }
  case StepInput::Weights:
    return weights;
  case StepInput::Scratch:
    return scratch;
  case StepInput::Partials:
    return partials;
  case StepInput::NumTokens:
    return tokenCount;
  case StepInput::NumRows:
    return rowCount;
  case StepInput::NumSequences:
    return sequenceCount;
  case StepInput::CacheBase:
    return caches[input.cache].base;
  case StepInput::Slots:
    return caches[input.cache].slots;
  case StepInput::Table:
    return caches[input.cache].table;
  case StepInput::TableStride:
    return caches[input.cache].tableStride;
  case StepInput::TreeMask:
    return treeMask;
  case StepInput::HasTree:
    return hasTree;
  case StepInput::KeyScales:
    return caches[input.cache].keyScales;
  case StepInput::ValueScales:
    return caches[input.cache].valueScales;
  }
  llvm_unreachable("unknown step input");
}

/// Rows of `buffer` that start at a byte of `bytes`.
Value StepEmitter::makeRows(Value bytes, Value offset, const BufferOperand &buffer, Value count) {
  int64_t stride = KernelLibrary::rowStride(buffer.type);
  Value elements = b.mul(count, b.index(stride));
  Value flat = memref::ViewOp::create(b, library.vectorType(buffer.type.getElementType()), bytes,
                                      offset, ValueRange{elements});
  SmallVector<OpFoldResult> sizes = {count, b.getIndexAttr(buffer.type.getDimSize(1))};
  SmallVector<OpFoldResult> strides = {b.getIndexAttr(stride), b.getIndexAttr(1)};
  return memref::ReinterpretCastOp::create(b, buffer.type, flat,
                                           OpFoldResult(b.index(buffer.column)), sizes, strides);
}

Value StepEmitter::getBuffer(const BufferOperand &buffer) {
  auto key = std::make_tuple(static_cast<int>(buffer.count), buffer.bytesPerItem, buffer.column,
                             buffer.privateOffset, buffer.type.getAsOpaquePointer());
  auto [entryOfKey, isNew] = views.try_emplace(key);
  if (!isNew)
    return entryOfKey->second;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(entryEnd);
  bool overTokens = buffer.count == Count::Tokens;
  Value count = overTokens ? tokenCount : rowCount;
  Value offset = b.mul(count, b.index(buffer.bytesPerItem));
  if (!overTokens)
    offset = b.add(offset, b.mul(tokenCount, b.index(plan.workspace.perToken)));
  if (buffer.privateOffset >= 0) {
    Value own = b.add(privateArea, b.index(buffer.privateOffset));
    offset = b.select(overTokens ? isSmallTokens : isSmallRows, own, offset);
  }
  return entryOfKey->second = makeRows(workspace, offset, buffer, count);
}

Value StepEmitter::getOperand(const PlanOperand &operand, Value iteration, int64_t step) {
  if (const auto *buffer = std::get_if<BufferOperand>(&operand))
    return getBuffer(*buffer);
  if (const auto *input = std::get_if<InputOperand>(&operand))
    return getInput(*input);
  Value value = b.index(std::get<ConstantOperand>(operand).value);
  return step == 0 ? value : b.add(value, b.mul(iteration, b.index(step)));
}

//===--- Calls --------------------------------------------------------------------------------===//

void StepEmitter::emitSegment(const PlanSegment &segment) {
  claimsInSegment = 0;
  claimsOfRepetition = llvm::count_if(
      segment.calls, [](const PlanCall &call) { return call.partition == Partition::Panels; });
  if (segment.repetitions == 1) {
    for (const PlanCall &call : segment.calls)
      emitCall(call, Value(), SmallVector<int64_t>(call.operands.size(), 0));
  } else {
    ++loops;
    b.loop(b.index(0), b.index(segment.repetitions), 1, [&](Value iteration) {
      for (auto [call, steps] : llvm::zip_equal(segment.calls, segment.steps))
        emitCall(call, iteration, steps);
    });
  }
  claimsBefore += claimsOfRepetition * segment.repetitions;
}

void StepEmitter::emitCall(const PlanCall &call, Value iteration, ArrayRef<int64_t> steps) {
  if (!times) {
    emitWork(call, iteration, steps);
    return emitBarrier(call);
  }
  size_t number = numCalls++;
  Value begin = emitNow();
  emitWork(call, iteration, steps);
  Value worked = emitNow();
  addTime(number, 0, begin, worked);
  emitBarrier(call);
  if (call.barrierAfter != Barrier::Never)
    addTime(number, 1, worked, emitNow());
}

void StepEmitter::emitWork(const PlanCall &call, Value iteration, ArrayRef<int64_t> steps) {
  if (call.sumsOverRanks)
    return emitSumOverRanks(call);
  auto [begin, end] = emitRange(call);
  SmallVector<Value> operands = {begin, end};
  for (auto [operand, step] : llvm::zip_equal(call.operands, steps))
    operands.push_back(getOperand(operand, iteration, step));
  auto emitOwn = [&] { func::CallOp::create(b, call.function, operands); };
  if (call.partition != Partition::Panels)
    return emitOwn();
  b.ifThen(
      call.count == Count::Rows ? isSmallRows : isSmallTokens,
      [&] {
        if (call.headTiles.empty())
          return emitOwn();
        b.ifThen(emitIsByHeads(call.kvHeads), [&] { emitSharedByHeads(call, operands); }, emitOwn);
      },
      [&] { emitClaimedTiles(call, operands, iteration); });
}

/// A call for each range of tiles that belongs to this worker's share of the heads.
void StepEmitter::emitSharedByHeads(const PlanCall &call, ArrayRef<Value> operands) {
  auto [begin, end] = emitShare(b.index(call.kvHeads));
  SmallVector<Value> own(operands);
  for (const HeadTiles &tiles : call.headTiles) {
    own[0] = b.add(b.index(tiles.first), b.mul(begin, b.index(tiles.perHead)));
    own[1] = b.add(b.index(tiles.first), b.mul(end, b.index(tiles.perHead)));
    func::CallOp::create(b, call.function, own);
  }
}

/// A worker's contiguous share of `count` tiles.
std::pair<Value, Value> StepEmitter::emitShare(Value count, Value ofWorker) {
  Value begin = b.div(b.mul(ofWorker, count), workers);
  Value end = b.div(b.mul(b.add(ofWorker, b.index(1)), count), workers);
  return {begin, end};
}

std::pair<Value, Value> StepEmitter::emitRange(const PlanCall &call) {
  if (call.partition == Partition::RoundRobin)
    return {worker, workers};
  bool overRows = call.partition == Partition::Rows;
  Value count = call.partition == Partition::Panels ? b.index(call.tiles)
                : overRows                          ? rowCount
                                                    : tokenCount;
  auto [begin, end] = emitShare(count);
  if (!call.redundant)
    return {begin, end};
  Value isSmall = overRows ? isSmallRows : isSmallTokens;
  return {b.select(isSmall, b.index(0), begin), b.select(isSmall, count, end)};
}

} // namespace mlir::llm
