// What each op costs. Counts are of the op alone and of what it must do: a weight is read once a
// step, a context once for all query heads of a group; exponentials count as one operation.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::llm;

//===----------------------------------------------------------------------===//
// Counts
//===----------------------------------------------------------------------===//

AffineCount &AffineCount::operator+=(const AffineCount &other) {
  fixed += other.fixed;
  perToken += other.perToken;
  perSequence += other.perSequence;
  perRow += other.perRow;
  perContextToken += other.perContextToken;
  perPair += other.perPair;
  return *this;
}

AffineCount &AffineCount::operator*=(int64_t factor) {
  for (int64_t AffineCount::*term :
       {&AffineCount::fixed, &AffineCount::perToken, &AffineCount::perSequence,
        &AffineCount::perRow, &AffineCount::perContextToken, &AffineCount::perPair})
    this->*term *= factor;
  return *this;
}

void AffineCount::print(raw_ostream &os) const {
  bool isFirst = true;
  auto printTerm = [&](int64_t value, StringRef unit) {
    if (value == 0)
      return;
    os << (isFirst ? "" : " + ") << value << unit;
    isFirst = false;
  };
  printTerm(fixed, "");
  printTerm(perToken, " T");
  printTerm(perSequence, " S");
  printTerm(perRow, " R");
  printTerm(perContextToken, " C");
  printTerm(perPair, " P");
  if (isFirst)
    os << '0';
}

OpCost &OpCost::operator+=(const OpCost &other) {
  bytesRead += other.bytesRead;
  bytesWritten += other.bytesWritten;
  flops += other.flops;
  bytesExchanged += other.bytesExchanged;
  return *this;
}

/// One for each of what a dynamic leading dimension counts.
static constexpr AffineCount kOneAToken = {.perToken = 1};
static constexpr AffineCount kOneASequence = {.perSequence = 1};
static constexpr AffineCount kOneARow = {.perRow = 1};
static constexpr AffineCount kOneAContextToken = {.perContextToken = 1};

//===----------------------------------------------------------------------===//
// Sizes of values
//===----------------------------------------------------------------------===//

static ShapedType getShapedType(Value value) { return cast<ShapedType>(value.getType()); }

/// Dimensions that count tokens: [batch, tokens, heads, channels] has two.
static int64_t getNumLeadingDims(ShapedType type) { return type.getRank() == 4 ? 2 : 1; }

/// How many items the leading dimensions hold; `each` stands for what is known only in the step.
static AffineCount countItems(ShapedType type, const AffineCount &each) {
  ArrayRef<int64_t> leading = type.getShape().take_front(getNumLeadingDims(type));
  if (ShapedType::isDynamicShape(leading))
    return each;
  return {.fixed = ShapedType::getNumElements(leading)};
}

/// Elements of an item; dynamic ones, which nothing here has, count once.
static int64_t getItemSize(ShapedType type) {
  int64_t size = 1;
  for (int64_t dim : type.getShape().drop_front(std::min(getNumLeadingDims(type), type.getRank())))
    size *= ShapedType::isDynamic(dim) ? 1 : dim;
  return size;
}

static AffineCount countElements(Value value, const AffineCount &each) {
  ShapedType type = getShapedType(value);
  return countItems(type, each) * getItemSize(type);
}

static AffineCount countBytes(Value value, const AffineCount &each = kOneAToken) {
  if (!value)
    return {};
  int64_t bits = getShapedType(value).getElementTypeBitWidth();
  return countElements(value, each) * ((bits + 7) / 8);
}

/// Bytes of a number of codes of a quantised type, with their share of scales and zero points.
static AffineCount countCodeBytes(QuantizedTensorType type) {
  ArrayRef<int64_t> shape = type.getShape();
  int64_t itemSize = 1;
  for (int64_t size : shape.drop_front())
    itemSize *= ShapedType::isDynamic(size) ? 1 : size;
  int64_t scaleBits = type.getScaleType().getIntOrFloatBitWidth();
  if (type.getZeroPointType())
    scaleBits += type.getZeroPointType().getIntOrFloatBitWidth();
  // Scales of a group, of a row, or of the whole, which is next to nothing.
  int64_t scales = type.getGroupSize() > 0 ? itemSize / type.getGroupSize() : type.getPerChannel();
  int64_t itemBytes = (itemSize * type.getBits() + scales * scaleBits + 7) / 8;
  return ShapedType::isDynamic(shape.front()) ? kOneAToken * itemBytes
                                              : AffineCount{.fixed = shape.front() * itemBytes};
}

/// Bytes of a weight; 0 for one that is missing.
static int64_t getWeightBytes(Operation *op, FlatSymbolRefAttr name) {
  WeightOp weight = lookupWeight(op, name);
  if (!weight)
    return 0;
  if (auto quantized = dyn_cast<QuantizedTensorType>(weight.getType()))
    return countCodeBytes(quantized).fixed;
  auto tensor = cast<RankedTensorType>(weight.getType());
  return tensor.getNumElements() * (tensor.getElementTypeBitWidth() / 8);
}

/// Elements of a weight; 0 for one that is missing.
static int64_t getWeightElements(Operation *op, FlatSymbolRefAttr name) {
  WeightOp weight = lookupWeight(op, name);
  return weight ? ShapedType::getNumElements(weight.getShape()) : 0;
}

static int64_t getRowBytes(Operation *op, FlatSymbolRefAttr name) {
  WeightOp weight = lookupWeight(op, name);
  return weight ? getWeightBytes(op, name) / weight.getRows() : 0;
}

/// Bytes of one token's keys and values in one layer, stored scales included.
static int64_t getTokenBytes(PagedKVCacheType type) {
  llmir_cache_layout layout = type.getLayout();
  int64_t bits = layout.key_head_dim * llmir_element_bits(layout.key_type) +
                 layout.value_head_dim * llmir_element_bits(layout.value_type) +
                 llmir_element_bits(layout.scale_type) *
                     (llmir_stored_scale_groups(layout.key_scale_granularity, layout.key_head_dim,
                                                layout.key_scale_group) +
                      llmir_stored_scale_groups(layout.value_scale_granularity,
                                                layout.value_head_dim, layout.value_scale_group));
  return layout.num_kv_heads * bits / 8;
}

/// A value for each operand and result that is a tensor, of which dynamic sizes count tokens.
static OpCost getElementwiseCost(Operation *op, int64_t flopsAnElement) {
  OpCost cost;
  for (Value operand : op->getOperands())
    if (isa<ShapedType>(operand.getType()))
      cost.bytesRead += countBytes(operand);
  for (Value result : op->getResults()) {
    cost.bytesWritten += countBytes(result);
    cost.flops += countElements(result, kOneAToken) * flopsAnElement;
  }
  return cost;
}

//===----------------------------------------------------------------------===//
// Weights and transformer
//===----------------------------------------------------------------------===//

OpCost LoadWeightOp::getCost() {
  int64_t bytes = getWeightBytes(*this, getWeightAttr());
  return {.bytesRead = {.fixed = bytes}, .bytesWritten = {.fixed = bytes}};
}

OpCost EmbeddingOp::getCost() {
  AffineCount tokens = countItems(getShapedType(getTokens()), kOneAToken);
  OpCost cost = getElementwiseCost(*this, 1);
  cost.bytesRead += tokens * getRowBytes(*this, getWeightAttr());
  return cost;
}

OpCost RMSNormOp::getCost() {
  OpCost cost = getElementwiseCost(*this, 4);
  cost.bytesRead.fixed += getWeightBytes(*this, getWeightAttr());
  return cost;
}

OpCost LayerNormOp::getCost() {
  OpCost cost = getElementwiseCost(*this, getBiasAttr() ? 8 : 7);
  cost.bytesRead.fixed +=
      getWeightBytes(*this, getWeightAttr()) + getWeightBytes(*this, getBiasAttr());
  return cost;
}

/// Of a product with a weight, of which a rank has one part in `shards`.
static OpCost getProductCost(Operation *op, FlatSymbolRefAttr weight, FlatSymbolRefAttr norm,
                             FlatSymbolRefAttr bias, const AffineCount &items, int64_t shards) {
  OpCost cost;
  cost.bytesRead.fixed =
      getWeightBytes(op, weight) / shards + getWeightBytes(op, norm) + getWeightBytes(op, bias);
  cost.flops = items * (getWeightElements(op, weight) / shards * 2 +
                        getWeightElements(op, norm) * 4 + getWeightElements(op, bias));
  return cost;
}

OpCost LinearOp::getCost() {
  AffineCount tokens = countItems(getShapedType(getInput()), kOneAToken);
  OpCost cost =
      getProductCost(*this, getWeightAttr(), getNormWeightAttr(), getBiasAttr(), tokens, 1);
  cost += getElementwiseCost(*this,
                             (getResidual() ? 1 : 0) + (getEpilogue() == Epilogue::SwiGLU ? 5 : 0));
  return cost;
}

OpCost RopeOp::getCost() {
  OpCost cost = getElementwiseCost(*this, 3);
  if (getFrequencyFactorsAttr())
    cost.bytesRead.fixed += getWeightBytes(*this, getFrequencyFactorsAttr());
  return cost;
}

OpCost SwiGLUOp::getCost() { return getElementwiseCost(*this, 5); }

OpCost GeGLUOp::getCost() { return getElementwiseCost(*this, 9); }

/// A token reads the experts that it uses; tokens that share one may read it once.
OpCost MoEOp::getCost() {
  AffineCount tokens = countItems(getShapedType(getInput()), kOneAToken);
  OpCost cost = getProductCost(*this, getRouterAttr(), FlatSymbolRefAttr(), getSelectionBiasAttr(),
                               tokens, 1);
  cost += getElementwiseCost(*this, 2 * getExpertsPerToken());
  for (FlatSymbolRefAttr weight : {getGateAttr(), getUpAttr(), getDownAttr()}) {
    cost.bytesRead +=
        tokens * (getWeightBytes(*this, weight) / getNumExperts() * getExpertsPerToken());
    cost.flops +=
        tokens * (getWeightElements(*this, weight) / getNumExperts() * getExpertsPerToken() * 2);
  }
  return cost;
}

OpCost LogitsOp::getCost() {
  AffineCount rows = countItems(getShapedType(getRows()), kOneARow);
  OpCost cost =
      getProductCost(*this, getWeightAttr(), getNormWeightAttr(), FlatSymbolRefAttr(), rows, 1);
  int64_t features = getItemSize(getShapedType(getInput()));
  cost.bytesRead += rows * (features * 4 + 4);
  cost.bytesWritten += countBytes(getOutput(), kOneARow);
  return cost;
}

OpCost SampleOp::getCost() {
  return {.bytesRead = countBytes(getLogits(), kOneARow) + countBytes(getUniforms(), kOneARow),
          .bytesWritten = countBytes(getTokens(), kOneARow),
          .flops = countElements(getLogits(), kOneARow) * (getUniforms() ? 4 : 1)};
}

//===----------------------------------------------------------------------===//
// Caches and attention
//===----------------------------------------------------------------------===//

OpCost CreateKVCacheOp::getCost() { return {}; }
OpCost FreeKVCacheOp::getCost() { return {}; }
OpCost FreeSequencesOp::getCost() { return {}; }

OpCost SequenceLengthsOp::getCost() {
  return {.bytesRead = countBytes(getSeqIds(), kOneASequence),
          .bytesWritten = countBytes(getLengths(), kOneASequence)};
}

OpCost BlockTableOp::getCost() {
  auto table = getShapedType(getTable());
  int64_t blocks =
      table.isDynamicDim(1) ? getCache().getType().getMaxBlocksPerSequence() : table.getDimSize(1);
  return {.bytesRead = countBytes(getSeqIds(), kOneASequence),
          .bytesWritten = countItems(table, kOneASequence) * (blocks * 4)};
}

static OpCost getStoreCost(PagedKVCacheType cache, Value keys, Value values) {
  AffineCount tokens = countItems(getShapedType(keys), kOneAToken);
  AffineCount elements = countElements(keys, kOneAToken) + countElements(values, kOneAToken);
  return {.bytesRead = countBytes(keys) + countBytes(values),
          .bytesWritten = tokens * getTokenBytes(cache),
          .flops = elements * 2};
}

OpCost AppendKVOp::getCost() {
  OpCost cost = getStoreCost(getCache().getType(), getKeys(), getValues());
  cost.bytesRead += countBytes(getSeqIds(), kOneASequence);
  cost.bytesWritten += countBytes(getBlockIndices());
  return cost;
}

OpCost ReserveKVOp::getCost() {
  // A dynamic first dimension of slots counts tokens.
  return {.bytesRead = countBytes(getSeqIds(), kOneASequence),
          .bytesWritten = countBytes(getSlots()) + countBytes(getSlots())};
}

OpCost StoreKVOp::getCost() {
  OpCost cost = getStoreCost(getCache().getType(), getKeys(), getValues());
  cost.bytesRead += countBytes(getSlots());
  return cost;
}

OpCost RopeStoreKVOp::getCost() {
  OpCost cost = getStoreCost(getCache().getType(), getKeys(), getValues());
  cost.bytesRead += countBytes(getSlots()) + countBytes(getPositions());
  cost.flops += countElements(getKeys(), kOneAToken) * 3;
  for (Value query : getQueries()) {
    cost.bytesRead += countBytes(query);
    cost.bytesWritten += countBytes(query);
    cost.flops += countElements(query, kOneAToken) * 3;
  }
  if (getFrequencyFactorsAttr())
    cost.bytesRead.fixed += getWeightBytes(*this, getFrequencyFactorsAttr());
  return cost;
}

OpCost LookupKVOp::getCost() {
  return {.bytesRead = kOneAContextToken * getTokenBytes(getCache().getType()),
          .bytesWritten = countBytes(getKeys(), kOneAContextToken) +
                          countBytes(getValues(), kOneAContextToken)};
}

/// Operations for a query head and a key: two products, and the softmax.
static int64_t getPairFlops(int64_t keyDim, int64_t valueDim) {
  return 2 * (keyDim + valueDim) + 4;
}

/// A window bounds what a sequence reads and a token sees.
OpCost PagedAttentionOp::getCost() {
  PagedKVCacheType cache = getCache().getType();
  int64_t tokenBytes = getTokenBytes(cache);
  int64_t pairFlops = getNumHeads() * getPairFlops(cache.getHeadDim(), cache.getValueHeadDim());
  OpCost cost = {.bytesRead = countBytes(getQuery()), .bytesWritten = countBytes(getOutput())};
  if (int64_t window = cache.getWindow()) {
    int64_t seen = window + cache.getNumSinks();
    cost.bytesRead += countItems(getShapedType(getSeqLens()), kOneASequence) * (seen * tokenBytes);
    cost.flops += countItems(getShapedType(getQuery()), kOneAToken) * (seen * pairFlops);
    return cost;
  }
  cost.bytesRead.perContextToken += tokenBytes;
  cost.flops.perPair += pairFlops;
  return cost;
}

OpCost AttentionOp::getCost() {
  ShapedType query = getShapedType(getQuery());
  ShapedType keys = getShapedType(getKeys());
  AffineCount pairs = {.perPair = 1};
  if (query.getRank() == 4 && !query.isDynamicDim(0) && !query.isDynamicDim(1) &&
      !keys.isDynamicDim(1))
    pairs = {.fixed = query.getDimSize(0) * query.getDimSize(1) * keys.getDimSize(1)};
  int64_t keyDim = std::max(query.getShape().back(), int64_t(1));
  int64_t valueDim = std::max(getShapedType(getValues()).getShape().back(), int64_t(1));
  return {.bytesRead = countBytes(getQuery()) + countBytes(getKeys(), kOneAContextToken) +
                       countBytes(getValues(), kOneAContextToken),
          .bytesWritten = countBytes(getOutput()),
          .flops = pairs * (getNumHeads() * getPairFlops(keyDim, valueDim))};
}

//===----------------------------------------------------------------------===//
// Speculation and quantisation
//===----------------------------------------------------------------------===//

OpCost ForkOp::getCost() { return {}; }
OpCost RollbackOp::getCost() { return {}; }

/// Drafts that are not a chain may each move, in every layer.
OpCost CommitOp::getCost() {
  if (!getPath())
    return {};
  PagedKVCacheType cache = getCache().getType();
  AffineCount moved = kOneAToken * (getTokenBytes(cache) * cache.getNumLayers());
  return {.bytesRead = moved, .bytesWritten = moved};
}

OpCost VerifyOp::getCost() {
  return {.bytesRead = countBytes(getLogits()) + countBytes(getDraftTokens()) +
                       countBytes(getDraftProbabilities()),
          .bytesWritten = countBytes(getAccepted(), kOneASequence) +
                          countBytes(getPath(), kOneASequence) +
                          countBytes(getNextTokens(), kOneASequence),
          .flops = countElements(getLogits(), kOneAToken) * (getUniforms() ? 4 : 1)};
}

OpCost QuantizeOp::getCost() {
  return {.bytesRead = countBytes(getInput()),
          .bytesWritten = countCodeBytes(getOutput().getType()),
          .flops = countElements(getInput(), kOneAToken) * 3};
}

OpCost DequantizeOp::getCost() {
  return {.bytesRead = countCodeBytes(getInput().getType()),
          .bytesWritten = countBytes(getOutput()),
          .flops = countElements(getOutput(), kOneAToken)};
}

OpCost QuantizedMatmulOp::getCost() {
  auto input = dyn_cast<QuantizedTensorType>(getInput().getType());
  int64_t columns = std::max(getWeight().getType().getShape().back(), int64_t(1));
  return {.bytesRead = (input ? countCodeBytes(input) : countBytes(getInput())) +
                       countCodeBytes(getWeight().getType()),
          .bytesWritten = countBytes(getOutput()),
          .flops = countElements(getOutput(), kOneAToken) * (2 * columns)};
}

//===----------------------------------------------------------------------===//
// Sharding
//===----------------------------------------------------------------------===//

OpCost ShardedLinearOp::getCost() {
  AffineCount tokens = countItems(getShapedType(getInput()), kOneAToken);
  OpCost cost = getProductCost(*this, getWeightAttr(), getNormWeightAttr(), getBiasAttr(), tokens,
                               getShards());
  cost += getElementwiseCost(*this,
                             (getResidual() ? 1 : 0) + (getEpilogue() == Epilogue::SwiGLU ? 5 : 0));
  if (getSplit() == ShardSplit::Input && getShards() > 1)
    cost.bytesExchanged = countBytes(getOutput());
  return cost;
}

/// Of an op that gives its tensor operand, where it has one, to other ranks.
static OpCost getExchangeCost(Operation *op, Value given, int64_t flopsAnElement) {
  OpCost cost = getElementwiseCost(op, flopsAnElement);
  cost.bytesExchanged = countBytes(given);
  return cost;
}

OpCost AllReduceOp::getCost() { return getExchangeCost(*this, getInput(), 1); }
OpCost AllGatherOp::getCost() { return getExchangeCost(*this, getInput(), 0); }
OpCost ReduceScatterOp::getCost() { return getExchangeCost(*this, getInput(), 1); }
OpCost SendOp::getCost() { return getExchangeCost(*this, getInput(), 0); }
OpCost RecvOp::getCost() { return getExchangeCost(*this, Value(), 0); }
