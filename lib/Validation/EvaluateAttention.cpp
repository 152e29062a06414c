// Evaluation of attention, dense and paged: one query head after another, all scores at once.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Validation/CacheState.h"
#include "llmir/Validation/Interpreter.h"

#include <cmath>

using namespace mlir;
using namespace mlir::llm;

namespace {
/// What both ops say about scores.
struct ScoreRules {
  double scale = 1;
  double softCap = 0;
  ArrayRef<float> slopes;
  const TensorValue *sinkLogits = nullptr;
  int64_t window = 0, numSinks = 0;
};

/// One query head: how many keys there are, and what each of them is to it.
struct HeadQuery {
  int64_t head = 0;
  int64_t position = 0;
  int64_t numKeys = 0;
  llvm::function_ref<double(int64_t key)> score;        ///< The product, not scaled.
  llvm::function_ref<bool(int64_t key)> isSeen;         ///< By the mask.
  llvm::function_ref<double(int64_t key)> bias;         ///< That the mask adds.
  llvm::function_ref<int64_t(int64_t key)> keyPosition; ///< For window and slopes.
};
} // namespace

/// The weights of all keys: a softmax over those that are seen, zeros if none is.
static SmallVector<double> computeWeights(const HeadQuery &query, const ScoreRules &rules) {
  SmallVector<double> weights(static_cast<size_t>(query.numKeys), -HUGE_VAL);
  double sink = rules.sinkLogits ? rules.sinkLogits->real(query.head) : -HUGE_VAL;
  double largest = sink;
  for (int64_t j = 0; j < query.numKeys; ++j) {
    int64_t position = query.keyPosition(j);
    bool inWindow =
        rules.window == 0 || position > query.position - rules.window || position < rules.numSinks;
    if (!inWindow || !query.isSeen(j))
      continue;
    double score = query.score(j) * rules.scale;
    if (rules.softCap > 0)
      score = rules.softCap * std::tanh(score / rules.softCap);
    if (!rules.slopes.empty())
      score += static_cast<double>(rules.slopes[static_cast<size_t>(query.head)]) *
               static_cast<double>(position - query.position);
    score += query.bias(j);
    weights[static_cast<size_t>(j)] = score;
    largest = std::fmax(largest, score);
  }
  if (largest == -HUGE_VAL)
    return SmallVector<double>(weights.size(), 0.0);
  double sum = rules.sinkLogits ? std::exp(sink - largest) : 0;
  for (double &weight : weights)
    sum += weight = std::exp(weight - largest);
  for (double &weight : weights)
    weight /= sum;
  return weights;
}

template <typename Op> static ScoreRules getRules(Op op, Interpreter &in) {
  ScoreRules rules;
  rules.scale = op.getScale().convertToDouble();
  if (op.getSoftCap())
    rules.softCap = op.getSoftCap()->convertToDouble();
  if (op.getAlibiSlopes())
    rules.slopes = *op.getAlibiSlopes();
  if (op.getSinkLogits())
    rules.sinkLogits = &in.tensor(op.getSinkLogits());
  return rules;
}

/// cu_lengths, or its padded form; empty after a message if it does not fit `tokens`.
static SmallVector<int64_t> getCuLengths(Operation *op, Value cuLengths, const TensorValue &query,
                                         Interpreter &in) {
  if (cuLengths) {
    SmallVector<int64_t> cu = in.integers(cuLengths);
    if (cu.empty() || cu.front() != 0 || cu.back() != query.dim(0) || !llvm::is_sorted(cu)) {
      in.fail(op, "expected 'cu_lengths' to rise from 0 to " + Twine(query.dim(0)));
      return {};
    }
    return cu;
  }
  SmallVector<int64_t> cu;
  for (int64_t s = 0; s <= query.dim(0); ++s)
    cu.push_back(s * query.dim(1));
  return cu;
}

/// The sizes of an output: the query's with the values' channels.
static SmallVector<int64_t> getOutputShape(const TensorValue &query, int64_t channels) {
  SmallVector<int64_t> shape(query.shape());
  shape.back() = channels;
  return shape;
}

//===--- Paged --------------------------------------------------------------------------------===//

namespace {
/// The tokens of one sequence in a step, and where its context lies.
struct PagedSequence {
  int64_t firstToken = 0, numTokens = 0, context = 0;
  SmallVector<int64_t> slots; ///< Of the context's tokens.
};
} // namespace

/// The slots of a sequence's context, or std::nullopt after a message.
static std::optional<PagedSequence> locate(PagedAttentionOp op, const CacheState &cache, int64_t s,
                                           ArrayRef<int64_t> cu, Interpreter &in) {
  const TensorValue &table = in.tensor(op.getBlockTable());
  auto index = static_cast<size_t>(s);
  PagedSequence sequence{
      cu[index], cu[index + 1] - cu[index], in.tensor(op.getSeqLens()).integer(s), {}};
  int64_t blockSize = cache.layout().block_size;
  if (sequence.context < sequence.numTokens ||
      (sequence.context + blockSize - 1) / blockSize > table.dim(1)) {
    in.fail(op, "expected a context of " + Twine(sequence.numTokens) + " to " +
                    Twine(table.dim(1) * blockSize) + " tokens, but got " +
                    Twine(sequence.context));
    return std::nullopt;
  }
  for (int64_t j = 0; j < sequence.context; ++j) {
    int64_t block = table.integer(s * table.dim(1) + j / blockSize);
    sequence.slots.push_back(block * blockSize + j % blockSize);
    if (block < 0 || sequence.slots.back() >= cache.numSlots()) {
      in.fail(op, "expected blocks of the cache in the table, but got " + Twine(block));
      return std::nullopt;
    }
  }
  return sequence;
}

static void attendSequence(PagedAttentionOp op, const CacheState &cache, int64_t layer,
                           const PagedSequence &sequence, TensorValue &output, Interpreter &in) {
  const TensorValue &query = in.tensor(op.getQuery());
  ScoreRules rules = getRules(op, in);
  rules.window = cache.layout().window;
  rules.numSinks = cache.layout().num_sinks;
  int64_t heads = op.getNumHeads(), group = heads / cache.layout().num_kv_heads;
  int64_t keyDim = cache.layout().key_head_dim, valueDim = cache.layout().value_head_dim;
  int64_t past = sequence.context - sequence.numTokens;
  auto positionOf = [&](int64_t place) {
    return op.getPositions() && place >= past
               ? in.tensor(op.getPositions()).integer(sequence.firstToken + place - past)
               : place;
  };
  for (int64_t i = 0; i < sequence.numTokens; ++i) {
    int64_t token = sequence.firstToken + i;
    uint64_t tree = op.getTreeMask()
                        ? static_cast<uint64_t>(in.tensor(op.getTreeMask()).integer(token))
                        : ~uint64_t(0);
    for (int64_t head = 0; head < heads; ++head) {
      auto score = [&](int64_t j) {
        double sum = 0;
        for (int64_t c = 0; c < keyDim; ++c)
          sum += query.real((token * heads + head) * keyDim + c) *
                 cache.key(layer, sequence.slots[static_cast<size_t>(j)], head / group, c);
        return sum;
      };
      auto isSeen = [&](int64_t j) {
        return j <= past + i && (!op.getTreeMask() || j < past || (tree >> (j - past) & 1) != 0);
      };
      auto noBias = [](int64_t) { return 0.0; };
      SmallVector<double> weights = computeWeights(
          {head, positionOf(past + i), sequence.context, score, isSeen, noBias, positionOf}, rules);
      for (int64_t c = 0; c < valueDim; ++c) {
        double sum = 0;
        for (auto [j, weight] : llvm::enumerate(weights))
          if (weight > 0)
            sum += weight * cache.value(layer, sequence.slots[j], head / group, c);
        output.setReal((token * heads + head) * valueDim + c, sum);
      }
    }
  }
}

static Evaluated evaluate(PagedAttentionOp op, Interpreter &in) {
  const auto &value = std::get<CacheValue>(in.get(op.getCache()));
  const CacheState &cache = *value.state;
  if (value.version != cache.version)
    return in.fail(op, "expected a cache that is not consumed yet");
  int64_t layer = op.getLayerIndex() ? in.integer(op.getLayerIndex()) : op.getLayer();
  if (layer < 0 || layer >= cache.layout().num_layers)
    return in.fail(op, "expected a layer of the cache, but got " + Twine(layer));
  const TensorValue &query = in.tensor(op.getQuery());
  SmallVector<int64_t> cu = getCuLengths(op, op.getCuLengths(), query, in);
  if (cu.empty())
    return Evaluated::Failed;
  TensorValue output = Interpreter::makeTensorFor(
      op.getOutput(), getOutputShape(query, cache.layout().value_head_dim));
  auto sequences = static_cast<int64_t>(cu.size()) - 1;
  if (in.tensor(op.getSeqLens()).size() != sequences ||
      in.tensor(op.getBlockTable()).dim(0) != sequences)
    return in.fail(op,
                   "expected lengths and rows of the table for " + Twine(sequences) + " sequences");
  for (int64_t s = 0; s < sequences; ++s) {
    std::optional<PagedSequence> sequence = locate(op, cache, s, cu, in);
    if (!sequence)
      return Evaluated::Failed;
    attendSequence(op, cache, layer, *sequence, output, in);
  }
  return in.setTensor(op.getOutput(), std::move(output));
}

//===--- Dense --------------------------------------------------------------------------------===//

namespace {
/// The queries and keys of one sequence or row of a batch.
struct DenseSequence {
  int64_t batch = 0;
  int64_t firstQuery = 0, numQueries = 0;
  int64_t firstKey = 0, numKeys = 0;
};
} // namespace

static void attendSequence(AttentionOp op, const DenseSequence &sequence, TensorValue &output,
                           Interpreter &in) {
  const TensorValue &query = in.tensor(op.getQuery()), &keys = in.tensor(op.getKeys());
  const TensorValue &values = in.tensor(op.getValues());
  const TensorValue *mask = op.getMask() ? &in.tensor(op.getMask()) : nullptr;
  ScoreRules rules = getRules(op, in);
  rules.window = op.getWindow().value_or(0);
  rules.numSinks = op.getNumSinks().value_or(0);
  int64_t heads = op.getNumHeads(), kvHeads = keys.dim(keys.rank() - 2), group = heads / kvHeads;
  int64_t keyDim = keys.shape().back(), valueDim = values.shape().back();
  for (int64_t i = 0; i < sequence.numQueries; ++i) {
    int64_t token = sequence.firstQuery + i, position = sequence.numKeys - sequence.numQueries + i;
    for (int64_t head = 0; head < heads; ++head) {
      auto score = [&](int64_t j) {
        double sum = 0;
        for (int64_t c = 0; c < keyDim; ++c)
          sum += query.real((token * heads + head) * keyDim + c) *
                 keys.real(((sequence.firstKey + j) * kvHeads + head / group) * keyDim + c);
        return sum;
      };
      auto maskAt = [&](int64_t j) {
        int64_t b = mask->dim(0) == 1 ? 0 : sequence.batch, h = mask->dim(1) == 1 ? 0 : head;
        return (*mask)[((b * mask->dim(1) + h) * mask->dim(2) + i) * mask->dim(3) + j];
      };
      bool isBoolean = mask && mask->elementType().isInteger(1);
      auto isSeen = [&](int64_t j) {
        return (!op.getCausal() || j <= position) && (!isBoolean || maskAt(j).integer != 0);
      };
      auto bias = [&](int64_t j) { return mask && !isBoolean ? maskAt(j).real : 0.0; };
      auto place = [](int64_t j) { return j; };
      SmallVector<double> weights =
          computeWeights({head, position, sequence.numKeys, score, isSeen, bias, place}, rules);
      for (int64_t c = 0; c < valueDim; ++c) {
        double sum = 0;
        for (auto [j, weight] : llvm::enumerate(weights))
          if (weight > 0)
            sum += weight * values.real(((sequence.firstKey + static_cast<int64_t>(j)) * kvHeads +
                                         head / group) *
                                            valueDim +
                                        c);
        output.setReal((token * heads + head) * valueDim + c, sum);
      }
    }
  }
}

static Evaluated evaluate(AttentionOp op, Interpreter &in) {
  const TensorValue &query = in.tensor(op.getQuery()), &keys = in.tensor(op.getKeys());
  SmallVector<int64_t> cu = getCuLengths(op, op.getCuLengths(), query, in);
  if (cu.empty())
    return Evaluated::Failed;
  SmallVector<int64_t> keyCu = cu, keyLengths;
  if (op.getCuKeyLengths())
    keyCu = in.integers(op.getCuKeyLengths());
  if (op.getKeyLengths())
    keyLengths = in.integers(op.getKeyLengths());
  if (op.getCuLengths() && (keyCu.size() != cu.size() || keyCu.back() != keys.dim(0) ||
                            !llvm::is_sorted(keyCu) || keyCu.front() != 0))
    return in.fail(op, "expected 'cu_key_lengths' to rise from 0 to " + Twine(keys.dim(0)));
  TensorValue output = Interpreter::makeTensorFor(
      op.getOutput(), getOutputShape(query, in.tensor(op.getValues()).shape().back()));
  for (size_t s = 0; s + 1 < cu.size(); ++s) {
    DenseSequence sequence{static_cast<int64_t>(s), cu[s], cu[s + 1] - cu[s], keyCu[s],
                           keyCu[s + 1] - keyCu[s]};
    if (!op.getCuLengths()) {
      sequence.firstKey = static_cast<int64_t>(s) * keys.dim(1);
      sequence.numKeys = keyLengths.empty() ? keys.dim(1) : keyLengths[s];
      if (sequence.numKeys < 0 || sequence.numKeys > keys.dim(1))
        return in.fail(op, "expected a length of at most " + Twine(keys.dim(1)) + ", but got " +
                               Twine(sequence.numKeys));
    }
    attendSequence(op, sequence, output, in);
  }
  return in.setTensor(op.getOutput(), std::move(output));
}

Evaluated llm::evaluateAttention(Operation *op, Interpreter &interpreter) {
  if (auto paged = dyn_cast<PagedAttentionOp>(op))
    return evaluate(paged, interpreter);
  if (auto dense = dyn_cast<AttentionOp>(op))
    return evaluate(dense, interpreter);
  return Evaluated::Unknown;
}
