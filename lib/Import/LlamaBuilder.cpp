// Metadata `llama.*` and the tensors of a Llama checkpoint to `llm` ops, one op for each step of
// the model's definition; fusing them is the passes' work.

#include "LlamaBuilder.h"

#include "ModelBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cmath>

namespace mlir::llm {
namespace {

/// The numbers of a Llama model.
struct LlamaConfiguration {
  int64_t layers;
  int64_t width;
  int64_t feedForwardWidth;
  int64_t heads;
  int64_t kvHeads;
  int64_t headDim;
  int64_t rotaryDim;
  int64_t vocabularySize;
  int64_t maxSequenceLength;
  double ropeTheta;
  double normEpsilon;

  static FailureOr<LlamaConfiguration> read(const CheckpointReader &reader,
                                            const ImportOptions &options);

private:
  LogicalResult readSizes(const CheckpointReader &reader);
  LogicalResult readHeads(const CheckpointReader &reader);
  LogicalResult readRope(const CheckpointReader &reader);
  LogicalResult readVocabulary(const CheckpointReader &reader);
  LogicalResult chooseMaxSequenceLength(const CheckpointReader &reader,
                                        const ImportOptions &options);
  static LogicalResult refuseVariants(const CheckpointReader &reader);
};

/// Builds the step, layer by layer.
class LlamaBuilder {
public:
  LlamaBuilder(CheckpointReader &reader, const LlamaConfiguration &config,
               const StepSignature &signature)
      : reader(reader), config(config), model(reader, signature) {}

  FailureOr<OwningOpRef<ModuleOp>> build();

private:
  FailureOr<Value> buildLayer(int64_t layer, Value hidden);
  FailureOr<Value> buildAttention(int64_t layer, Value input);
  FailureOr<Value> buildFeedForward(int64_t layer, Value input);
  FailureOr<Value> buildNorm(const Twine &valueName, Value input, const Twine &tensor);
  FailureOr<Value> buildLogits(Value hidden, FlatSymbolRefAttr embedding);

  CheckpointReader &reader;
  const LlamaConfiguration &config;
  ModelBuilder model;
  FlatSymbolRefAttr frequencyFactors;
  Value cache;
};

} // namespace

//===-------------------------------------------------------------------------------------------===//
// Configuration
//===-------------------------------------------------------------------------------------------===//

LogicalResult LlamaConfiguration::readSizes(const CheckpointReader &reader) {
  std::pair<StringRef, int64_t *> sizes[] = {
      {"llama.block_count", &layers},
      {"llama.embedding_length", &width},
      {"llama.feed_forward_length", &feedForwardWidth},
      {"llama.attention.head_count", &heads},
  };
  for (auto [key, size] : sizes) {
    FailureOr<int64_t> value = reader.getPositiveInteger(key);
    if (failed(value))
      return failure();
    *size = *value;
  }
  FailureOr<double> epsilon = reader.getPositiveFloat("llama.attention.layer_norm_rms_epsilon");
  if (failed(epsilon))
    return failure();
  normEpsilon = *epsilon;
  return success();
}

/// The positive integer `key`, or `otherwise` when the checkpoint does not say.
static FailureOr<int64_t> getPositiveIntegerOr(const CheckpointReader &reader, StringRef key,
                                               int64_t otherwise) {
  FailureOr<std::optional<int64_t>> value = reader.findInteger(key);
  if (failed(value) || !*value)
    return failed(value) ? FailureOr<int64_t>(failure()) : otherwise;
  return reader.getPositiveInteger(key);
}

LogicalResult LlamaConfiguration::readHeads(const CheckpointReader &reader) {
  FailureOr<int64_t> kvCount = getPositiveIntegerOr(reader, "llama.attention.head_count_kv", heads);
  if (failed(kvCount))
    return failure();
  kvHeads = *kvCount;
  if (heads % kvHeads != 0)
    return reader.emitError() << "expected 'llama.attention.head_count_kv' to divide "
                                 "'llama.attention.head_count', but got "
                              << kvHeads << " and " << heads;

  FailureOr<std::optional<int64_t>> keyLength = reader.findInteger("llama.attention.key_length");
  if (failed(keyLength))
    return failure();
  if (!*keyLength && width % heads != 0)
    return reader.emitError() << "expected 'llama.attention.head_count' to divide "
                                 "'llama.embedding_length', but got "
                              << heads << " and " << width;
  FailureOr<int64_t> keyDim =
      getPositiveIntegerOr(reader, "llama.attention.key_length", width / heads);
  if (failed(keyDim))
    return failure();
  headDim = *keyDim;
  FailureOr<int64_t> valueDim =
      getPositiveIntegerOr(reader, "llama.attention.value_length", headDim);
  if (failed(valueDim))
    return failure();
  if (*valueDim != headDim)
    return reader.emitError() << "expected 'llama.attention.value_length' to equal the key length "
                              << headDim << ", but got " << *valueDim;
  return success();
}

LogicalResult LlamaConfiguration::readRope(const CheckpointReader &reader) {
  FailureOr<std::optional<double>> base = reader.findFloat("llama.rope.freq_base");
  if (failed(base))
    return failure();
  ropeTheta = base->value_or(10000.0);
  if (!(ropeTheta > 0.0) || !std::isfinite(ropeTheta))
    return reader.emitError() << "expected 'llama.rope.freq_base' to be positive, but got "
                              << ropeTheta;
  FailureOr<int64_t> rotary = getPositiveIntegerOr(reader, "llama.rope.dimension_count", headDim);
  if (failed(rotary))
    return failure();
  rotaryDim = *rotary;
  if (rotaryDim % 2 != 0 || rotaryDim > headDim)
    return reader.emitError() << "expected 'llama.rope.dimension_count' to be even and at most the "
                                 "head size "
                              << headDim << ", but got " << rotaryDim;
  return success();
}

LogicalResult LlamaConfiguration::readVocabulary(const CheckpointReader &reader) {
  FailureOr<SmallVector<int64_t>> shape = reader.getShape("token_embd.weight");
  if (failed(shape))
    return failure();
  if (shape->size() != 2)
    return reader.emitError() << "expected tensor 'token_embd.weight' to have rank 2, but got rank "
                              << shape->size();
  // The embedding may be padded past the tokenizer's list, never shorter than it.
  vocabularySize = shape->front();
  std::optional<int64_t> tokens = reader.findArrayLength("tokenizer.ggml.tokens");
  if (tokens && *tokens > vocabularySize)
    return reader.emitError()
           << "expected tensor 'token_embd.weight' to have a row for each of the " << *tokens
           << " tokens of 'tokenizer.ggml.tokens', but got " << vocabularySize << " rows";
  return success();
}

LogicalResult LlamaConfiguration::chooseMaxSequenceLength(const CheckpointReader &reader,
                                                          const ImportOptions &options) {
  FailureOr<int64_t> contextLength = reader.getPositiveInteger("llama.context_length");
  if (failed(contextLength))
    return failure();
  maxSequenceLength = options.maxSequenceLength.value_or(*contextLength);
  if (maxSequenceLength < 1 || maxSequenceLength > *contextLength)
    return reader.emitError() << "expected a maximum sequence length between 1 and "
                                 "'llama.context_length' = "
                              << *contextLength << ", but got " << maxSequenceLength;
  return success();
}

/// Refuses metadata that changes what the model computes in a way that this builder does not build.
LogicalResult LlamaConfiguration::refuseVariants(const CheckpointReader &reader) {
  FailureOr<std::optional<std::string>> scaling = reader.findString("llama.rope.scaling.type");
  if (failed(scaling))
    return failure();
  if (*scaling && **scaling != "none")
    return reader.emitError() << "expected 'llama.rope.scaling.type' to be 'none', but got '"
                              << **scaling << "'";
  FailureOr<std::optional<double>> linear = reader.findFloat("llama.rope.scale_linear");
  if (failed(linear))
    return failure();
  if (*linear && **linear != 1.0)
    return reader.emitError() << "expected 'llama.rope.scale_linear' to be 1, but got " << **linear;
  FailureOr<std::optional<int64_t>> experts = reader.findInteger("llama.expert_count");
  if (failed(experts))
    return failure();
  if (*experts && **experts != 0)
    return reader.emitError() << "expected a model without experts, but got 'llama.expert_count' = "
                              << **experts;
  return success();
}

FailureOr<LlamaConfiguration> LlamaConfiguration::read(const CheckpointReader &reader,
                                                       const ImportOptions &options) {
  LlamaConfiguration config;
  if (failed(refuseVariants(reader)) || failed(config.readSizes(reader)) ||
      failed(config.readHeads(reader)) || failed(config.readRope(reader)) ||
      failed(config.readVocabulary(reader)) ||
      failed(config.chooseMaxSequenceLength(reader, options)))
    return failure();
  return config;
}

//===-------------------------------------------------------------------------------------------===//
// The step
//===-------------------------------------------------------------------------------------------===//

FailureOr<Value> LlamaBuilder::buildNorm(const Twine &valueName, Value input, const Twine &tensor) {
  FailureOr<FlatSymbolRefAttr> weight = model.declareVector(tensor, config.width);
  if (failed(weight))
    return failure();
  return Value(
      RMSNormOp::create(model.body(), model.location(valueName), input.getType(), input, *weight,
                        model.body().getF32FloatAttr(static_cast<float>(config.normEpsilon))));
}

FailureOr<Value> LlamaBuilder::buildAttention(int64_t layer, Value input) {
  std::string prefix = ("blk." + Twine(layer) + ".").str();
  int64_t width = config.width;
  int64_t headDim = config.headDim;
  FailureOr<Value> query =
      model.linear(prefix + "q", input, prefix + "attn_q", width, {config.heads, headDim});
  if (failed(query))
    return failure();
  FailureOr<Value> key =
      model.linear(prefix + "k", input, prefix + "attn_k", width, {config.kvHeads, headDim});
  if (failed(key))
    return failure();
  FailureOr<Value> value =
      model.linear(prefix + "v", input, prefix + "attn_v", width, {config.kvHeads, headDim});
  if (failed(value))
    return failure();

  OpBuilder &builder = model.body();
  auto rope = RopeOp::create(builder, model.location(prefix + "rotated"),
                             TypeRange{query->getType(), key->getType()}, ValueRange{*query, *key},
                             model.getPositions(), APFloat(static_cast<float>(config.ropeTheta)),
                             config.rotaryDim, RopeStyle::Interleaved, frequencyFactors,
                             /*scaling=*/RopeScalingAttr());
  auto store = StoreKVOp::create(builder, model.location(prefix + "cache"), cache.getType(), cache,
                                 rope.getOutputs()[1], *value, model.getSlots(),
                                 /*layer_index=*/Value(), layer);
  cache = store.getNewCache();
  auto attention = PagedAttentionOp::create(
      builder, model.location(prefix + "attended"), query->getType(), rope.getOutputs()[0], cache,
      model.getTable(), model.getContextLengths(), model.getCuLengths(), /*layer_index=*/Value(),
      config.heads, headDim, APFloat(static_cast<float>(1.0 / std::sqrt(headDim))), layer);
  if (Value mask = model.getTreeMask())
    attention.getTreeMaskMutable().assign(mask);
  return model.linear(prefix + "projected", attention.getOutput(), prefix + "attn_output",
                      config.heads * headDim, {width});
}

FailureOr<Value> LlamaBuilder::buildFeedForward(int64_t layer, Value input) {
  std::string prefix = ("blk." + Twine(layer) + ".").str();
  FailureOr<Value> gate = model.linear(prefix + "gate", input, prefix + "ffn_gate", config.width,
                                       {config.feedForwardWidth});
  if (failed(gate))
    return failure();
  FailureOr<Value> up = model.linear(prefix + "up", input, prefix + "ffn_up", config.width,
                                     {config.feedForwardWidth});
  if (failed(up))
    return failure();
  Value activated =
      SwiGLUOp::create(model.body(), model.location(prefix + "activated"), *gate, *up);
  return model.linear(prefix + "down", activated, prefix + "ffn_down", config.feedForwardWidth,
                      {config.width});
}

FailureOr<Value> LlamaBuilder::buildLayer(int64_t layer, Value hidden) {
  std::string prefix = ("blk." + Twine(layer) + ".").str();
  OpBuilder &builder = model.body();
  FailureOr<Value> normed = buildNorm(prefix + "attn_in", hidden, prefix + "attn_norm.weight");
  if (failed(normed))
    return failure();
  FailureOr<Value> attended = buildAttention(layer, *normed);
  if (failed(attended))
    return failure();
  hidden = arith::AddFOp::create(builder, model.location(prefix + "middle"), hidden, *attended);
  normed = buildNorm(prefix + "ffn_in", hidden, prefix + "ffn_norm.weight");
  if (failed(normed))
    return failure();
  FailureOr<Value> fed = buildFeedForward(layer, *normed);
  if (failed(fed))
    return failure();
  return Value(arith::AddFOp::create(builder, model.location(prefix + "out"), hidden, *fed));
}

FailureOr<Value> LlamaBuilder::buildLogits(Value hidden, FlatSymbolRefAttr embedding) {
  FailureOr<Value> normed = buildNorm("normed", hidden, "output_norm.weight");
  if (failed(normed))
    return failure();
  FlatSymbolRefAttr head = embedding;
  if (reader.hasTensor("output.weight")) {
    FailureOr<FlatSymbolRefAttr> untied =
        model.declareMatrix("output.weight", config.vocabularySize, config.width);
    if (failed(untied))
      return failure();
    head = *untied;
  }
  return Value(LogitsOp::create(model.body(), model.location("logits"),
                                model.activationType({config.vocabularySize}), *normed,
                                model.getRows(), head));
}

FailureOr<OwningOpRef<ModuleOp>> LlamaBuilder::build() {
  FailureOr<FlatSymbolRefAttr> embedding =
      model.declareMatrix("token_embd.weight", config.vocabularySize, config.width);
  if (failed(embedding))
    return failure();
  FailureOr<FlatSymbolRefAttr> factors =
      model.declareOptionalVector("rope_freqs.weight", config.rotaryDim / 2);
  if (failed(factors))
    return failure();
  frequencyFactors = *factors;
  cache = model.getCache();
  FailureOr<Value> hidden = Value(EmbeddingOp::create(model.body(), model.location("hidden"),
                                                      model.activationType({config.width}),
                                                      model.getTokens(), *embedding));
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    hidden = buildLayer(layer, *hidden);
    if (failed(hidden))
      return failure();
  }
  FailureOr<Value> logits = buildLogits(*hidden, *embedding);
  if (failed(logits) || failed(reader.checkAllTensorsUsed()))
    return failure();
  return model.finish(*logits, cache);
}

/// The cache type of the model, or a diagnostic of the type's verifier.
/// One scale for each token and KV head; for four bits one for each 32 channels, where that
/// divides.
static void chooseQuantizedStorage(MLIRContext *context, KVElementType kind,
                                   PagedKVCacheParameters &parameters) {
  Type storage;
  if (kind == KVElementType::F8E4M3FN)
    storage = Float8E4M3FNType::get(context);
  else if (kind == KVElementType::F8E5M2)
    storage = Float8E5M2Type::get(context);
  else if (kind == KVElementType::I8 || kind == KVElementType::I4)
    storage = IntegerType::get(context, kind == KVElementType::I8 ? 8 : 4);
  else
    return;
  constexpr int64_t group = 32;
  bool isGrouped = kind == KVElementType::I4 && parameters.headDim % (2 * group) == 0;
  parameters.keyStorage = parameters.valueStorage = storage;
  parameters.keyScales = parameters.valueScales =
      isGrouped ? ScaleGranularity::Group : ScaleGranularity::Token;
  parameters.keyScaleGroup = parameters.valueScaleGroup = isGrouped ? group : 0;
  parameters.scaleType = Float16Type::get(context);
}

static FailureOr<PagedKVCacheType> getCacheType(const CheckpointReader &reader,
                                                const LlamaConfiguration &config,
                                                const ImportOptions &options) {
  MLIRContext *context = reader.getContext();
  // What is quantised is logically f16.
  Type element = Float16Type::get(context);
  if (options.kvElementType == KVElementType::F32)
    element = Float32Type::get(context);
  else if (options.kvElementType == KVElementType::BF16)
    element = BFloat16Type::get(context);
  auto parameters =
      PagedKVCacheParameters::get(element, config.layers, config.kvHeads, config.headDim,
                                  options.blockSize, config.maxSequenceLength);
  chooseQuantizedStorage(context, options.kvElementType, parameters);
  auto type = PagedKVCacheType::getChecked([&] { return reader.emitError(); }, context, parameters);
  if (!type)
    return failure();
  return type;
}

FailureOr<OwningOpRef<ModuleOp>> buildLlama(CheckpointReader &reader,
                                            const ImportOptions &options) {
  FailureOr<LlamaConfiguration> config = LlamaConfiguration::read(reader, options);
  if (failed(config))
    return failure();
  FailureOr<PagedKVCacheType> cacheType = getCacheType(reader, *config, options);
  FailureOr<std::optional<std::string>> name = reader.findString("general.name");
  if (failed(cacheType) || failed(name))
    return failure();
  std::string modelName = name->value_or("llama");
  StepSignature signature{modelName,
                          "llama",
                          config->vocabularySize,
                          config->maxSequenceLength,
                          *cacheType,
                          options.takesTreeMasks};
  return LlamaBuilder(reader, *config, signature).build();
}

} // namespace mlir::llm
