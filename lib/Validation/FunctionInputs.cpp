// Chooses a batch that fits a function's types, fills its caches, and writes down its arguments.

#include "llmir/Validation/FunctionInputs.h"

#include "llmir/Base/RandomStream.h"
#include "llvm/ADT/SetVector.h"

#include <algorithm>
#include <map>

using namespace mlir;
using namespace mlir::llm;

int64_t BatchShape::numTokens() const {
  int64_t sum = 0;
  for (const Sequence &sequence : sequences)
    sum += sequence.tokens;
  return sum;
}

int64_t BatchShape::numKeys() const {
  int64_t sum = 0;
  for (const Sequence &sequence : sequences)
    sum += sequence.keys;
  return sum;
}

namespace {
/// A sequence of random numbers.
class Random {
public:
  Random(uint64_t seed, uint64_t stream) : numbers{seed, stream} {}
  double uniform() { return numbers.uniform(counter++); }
  /// In low..high.
  int64_t between(int64_t low, int64_t high) {
    return high <= low ? low : low + static_cast<int64_t>(uniform() * double(high - low + 1));
  }
  /// Mean 0, variance 1, within 3.
  double normal() { return 2 * (uniform() + uniform() + uniform()) - 3; }

private:
  ::llmir::RandomStream numbers;
  uint64_t counter = 0;
};

/// Finds the batch and makes the arguments of one function.
class InputMaker {
public:
  InputMaker(const InputPlan &plan, uint64_t seed, std::string &why)
      : plan(plan), seed(seed), why(why), roles(plan.roles), random(seed, 1),
        needsPast(plan.needsKnownSequences), numAppends(plan.numAppends) {
    values.resize(plan.types.size());
    if (plan.appendsOneToken)
      fixed[SizeRole::TokensEach] = 1;
    for (Type type : plan.types)
      if (auto cache = dyn_cast<PagedKVCacheType>(type)) {
        longest = std::min(longest, cache.getMaxSeqLen());
        blockSize = cache.getBlockSize();
      }
  }

  FailureOr<FunctionInputs> make() {
    if (failed(readFixedSizes()) || failed(chooseBatch()))
      return failure();
    for (auto [number, type] : llvm::enumerate(plan.types))
      if (auto cache = dyn_cast<PagedKVCacheType>(type);
          cache && failed(makeCache(static_cast<unsigned>(number), cache)))
        return failure();
    for (unsigned number = 0; number < plan.types.size(); ++number)
      if (failed(makeArgument(number)))
        return failure();
    return FunctionInputs{batch, std::move(values)};
  }

private:
  LogicalResult refuse(const Twine &message) {
    why = message.str();
    return failure();
  }

  PagedKVCacheType cacheType(unsigned argument) const {
    return cast<PagedKVCacheType>(plan.types[argument]);
  }

  LogicalResult readFixedSizes() {
    for (auto [argument, role] : llvm::zip_equal(plan.types, roles)) {
      auto type = dyn_cast<RankedTensorType>(argument);
      if (!type)
        continue;
      if (role.sizes.size() != static_cast<size_t>(type.getRank()))
        role.sizes.assign(static_cast<size_t>(type.getRank()), SizeRole::Any);
      if (role.impliedSizes.size() != role.sizes.size())
        role.impliedSizes.assign(role.sizes.size(), ShapedType::kDynamic);
      for (auto [size, sizeRole] : llvm::zip_equal(type.getShape(), role.sizes)) {
        isPadded |= sizeRole == SizeRole::TokensEach;
        if (ShapedType::isDynamic(size) || sizeRole == SizeRole::Any)
          continue;
        int64_t known = sizeRole == SizeRole::SequencesAndOne ? size - 1 : size;
        SizeRole key = sizeRole == SizeRole::SequencesAndOne ? SizeRole::Sequences : sizeRole;
        auto [entry, isNew] = fixed.try_emplace(key, known);
        if (!isNew && entry->second != known)
          return refuse("its types want " + Twine(entry->second) + " and " + Twine(known) +
                        " of the same thing");
        if (sizeRole == SizeRole::TableColumns && role.cacheArgument)
          longest = std::min(longest, known * cacheType(*role.cacheArgument).getBlockSize());
      }
    }
    return success();
  }

  std::optional<int64_t> getFixed(SizeRole role) const {
    auto found = fixed.find(role);
    return found == fixed.end() ? std::nullopt : std::optional(found->second);
  }

  LogicalResult chooseBatch() {
    int64_t count = getFixed(SizeRole::Sequences).value_or(random.between(1, 5));
    int64_t each = getFixed(SizeRole::TokensEach).value_or(random.between(1, 3));
    isPadded |= fixed.count(SizeRole::TokensEach) != 0;
    std::optional<int64_t> total = getFixed(SizeRole::Tokens);
    if (total && !getFixed(SizeRole::Sequences))
      count = std::min(count, std::max<int64_t>(*total, 1));
    if (isPadded && total && *total != count * each)
      return refuse("its types want " + Twine(*total) + " tokens of " + Twine(count) +
                    " sequences with " + Twine(each) + " each");
    int64_t rest = total.value_or(0);
    batch.keysEach = getFixed(SizeRole::KeysEach).value_or(each + random.between(0, 9));
    for (int64_t s = 0; s < count; ++s) {
      BatchShape::Sequence sequence;
      sequence.id = static_cast<int32_t>(3 * s + 2 + random.between(0, 2));
      // Many sequences of one token, and some longer ones.
      sequence.tokens = random.uniform() < 0.4 ? 1 : random.between(1, 9);
      if (isPadded)
        sequence.tokens = each;
      else if (total)
        sequence.tokens = s + 1 == count ? rest : std::min(sequence.tokens, rest);
      rest -= sequence.tokens;
      sequence.past = choosePast(sequence.tokens);
      if (sequence.past < 0)
        return refuse("its caches hold " + Twine(longest) + " tokens, fewer than its steps");
      sequence.keys = sequence.tokens + random.between(0, 9);
      batch.sequences.push_back(sequence);
    }
    if (std::optional<int64_t> keys = getFixed(SizeRole::Keys); keys && count > 0) {
      int64_t missing = *keys - batch.numKeys();
      batch.sequences.back().keys += missing;
      if (batch.sequences.back().keys < batch.sequences.back().tokens)
        return refuse("its types want " + Twine(*keys) + " keys");
    }
    batch.numRows = getFixed(SizeRole::Rows).value_or(random.between(1, batch.numTokens()));
    return success();
  }

  /// Lengths at and around the ends of blocks, or -1 when there is no room.
  int64_t choosePast(int64_t tokens) {
    int64_t most = longest - tokens * std::max<int64_t>(numAppends, 1);
    int64_t least = needsPast || tokens == 0 ? 1 : 0;
    const int64_t choices[] = {0,
                               1,
                               blockSize,
                               blockSize - 1,
                               random.between(0, 3 * blockSize + 7),
                               random.between(0, 40)};
    int64_t past = choices[random.between(0, 5)];
    return most < least ? -1 : std::clamp(past, least, most);
  }

  //===--- Caches ---===//

  /// Makes a cache that holds each sequence's tokens, their blocks in turn.
  std::shared_ptr<CacheState> buildCache(PagedKVCacheType type, bool withNewTokens) {
    int64_t blocks = 4;
    for (const BatchShape::Sequence &sequence : batch.sequences)
      blocks +=
          2 * ((sequence.past + sequence.tokens * (numAppends + 1)) / type.getBlockSize() + 2);
    auto state = std::make_shared<CacheState>(type, blocks);
    state->cache().shuffleFreeBlocks(seed);
    Random rounds(seed, 2);
    SmallVector<int64_t> missing;
    for (const BatchShape::Sequence &sequence : batch.sequences)
      missing.push_back(sequence.past);
    ::llmir::CacheStepTables tables;
    auto reserve = [&](int32_t id, int64_t tokens) {
      ::llmir::AppendRequest request{::llmir::SequenceId{id}, tokens};
      return tokens == 0 || state->cache().reserve({&request, 1}, tables).isOk();
    };
    while (llvm::any_of(missing, [](int64_t count) { return count > 0; }))
      for (auto [sequence, count] : llvm::zip_equal(batch.sequences, missing)) {
        // As many tokens whatever the block size is: a pass may change it.
        int64_t part = std::min(count, rounds.between(1, 17));
        if (!reserve(sequence.id, part))
          return nullptr;
        count -= part;
      }
    for (const BatchShape::Sequence &sequence : batch.sequences)
      if (withNewTokens && !reserve(sequence.id, sequence.tokens))
        return nullptr;
    return state;
  }

  void fill(CacheState &state) {
    const llmir_cache_layout &layout = state.layout();
    std::vector<double> keys(static_cast<size_t>(layout.num_kv_heads * layout.key_head_dim));
    std::vector<double> values(static_cast<size_t>(layout.num_kv_heads * layout.value_head_dim));
    for (const BatchShape::Sequence &sequence : batch.sequences) {
      auto length = state.cache().length(::llmir::SequenceId{sequence.id});
      for (int64_t t = 0; length.isOk() && t < *length; ++t)
        for (int64_t layer = 0; layer < layout.num_layers; ++layer) {
          Random numbers(seed, (static_cast<uint64_t>(sequence.id) << 40) +
                                   (static_cast<uint64_t>(layer) << 24) + uint64_t(t) + (1u << 20));
          std::generate(keys.begin(), keys.end(), [&] { return numbers.normal(); });
          std::generate(values.begin(), values.end(), [&] { return numbers.normal(); });
          state.store(layer, *state.cache().slot(::llmir::SequenceId{sequence.id}, t), keys,
                      values);
        }
    }
  }

  LogicalResult makeCache(unsigned number, PagedKVCacheType type) {
    auto state = buildCache(type, numAppends == 0);
    auto later = buildCache(type, /*withNewTokens=*/true);
    if (!state || !later || !state->cache().status().isOk())
      return refuse("its cache of argument " + Twine(number) + " cannot be made");
    fill(*state);
    values[number] = CacheValue{state, state->version};
    afterStep[number] = later;
    return success();
  }

  //===--- Arguments ---===//

  int64_t sizeOf(SizeRole role, int64_t implied, const ArgumentRole &argument) {
    auto sequences = static_cast<int64_t>(batch.sequences.size());
    switch (role) {
    case SizeRole::Tokens:
      return batch.numTokens();
    case SizeRole::TokensEach:
      return batch.sequences.empty() ? 1 : batch.sequences.front().tokens;
    case SizeRole::Sequences:
      return sequences;
    case SizeRole::SequencesAndOne:
      return sequences + 1;
    case SizeRole::Rows:
      return batch.numRows;
    case SizeRole::Keys:
      return batch.numKeys();
    case SizeRole::KeysEach:
      return batch.keysEach;
    case SizeRole::TableColumns:
      return argument.cacheArgument ? neededColumns(*argument.cacheArgument) : 1;
    case SizeRole::Any:
      break;
    }
    return ShapedType::isDynamic(implied) ? batch.numTokens() : implied;
  }

  int64_t neededColumns(unsigned cache) {
    int64_t size = cacheType(cache).getBlockSize();
    int64_t columns = 1;
    for (const BatchShape::Sequence &sequence : batch.sequences)
      columns = std::max(columns, (sequence.past + sequence.tokens + size - 1) / size);
    return columns;
  }

  LogicalResult makeArgument(unsigned number) {
    const ArgumentRole &role = roles[number];
    Type type = plan.types[number];
    if (isa<PagedKVCacheType>(type))
      return success();
    if (isa<StepContextType>(type)) {
      values[number] = ContextValue{};
      return success();
    }
    Random numbers(seed, 1000 + number);
    auto quantized = dyn_cast<QuantizedTensorType>(type);
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor && !quantized) {
      if (!type.isIntOrIndexOrFloat())
        return refuse("its argument " + Twine(number) +
                      " has a type for which there are no inputs");
      values[number] = makeScalar(type, role, numbers);
      return success();
    }
    SmallVector<int64_t> shape(quantized ? quantized.getShape() : tensor.getShape());
    for (auto [i, size] : llvm::enumerate(shape))
      if (ShapedType::isDynamic(size))
        size = quantized ? batch.numTokens() : sizeOf(role.sizes[i], role.impliedSizes[i], role);
    TensorValue value(shape, quantized ? Type(Float32Type::get(type.getContext()))
                                       : tensor.getElementType());
    fillTensor(value, role, numbers);
    values[number] = makeTensor(std::move(value));
    return success();
  }

  Scalar makeScalar(Type type, const ArgumentRole &role, Random &numbers) {
    if (isa<FloatType>(type))
      return roundToType(type, {numbers.normal(), 0});
    if (role.numbers == NumberRole::Layer)
      return {0, numbers.between(0, role.limit - 1)};
    if (role.numbers == NumberRole::Count)
      return {0, role.limit ? role.limit : batch.numTokens()};
    return roundToType(type, {0, numbers.between(1, 3)});
  }

  /// The numbers that the role asks for, one after another; std::nullopt: random ones.
  std::optional<SmallVector<int64_t>> listNumbers(const ArgumentRole &role, Random &numbers,
                                                  ArrayRef<int64_t> shape) {
    SmallVector<int64_t> list;
    int64_t sum = 0;
    auto forEach = [&](auto &&number) {
      for (const BatchShape::Sequence &sequence : batch.sequences)
        list.push_back(number(sequence));
    };
    auto draftedOf = [](const BatchShape::Sequence &sequence) {
      return std::min<int64_t>(sequence.past + sequence.tokens, 1 + sequence.id % 3);
    };
    auto acceptedOf = [&](const BatchShape::Sequence &sequence) {
      int64_t limit = shape.size() == 2 ? shape[1] : draftedOf(sequence);
      return std::min({draftedOf(sequence), int64_t(sequence.id / 2 % 3), limit});
    };
    switch (role.numbers) {
    case NumberRole::CuLengths:
    case NumberRole::CuKeyLengths:
      list.push_back(0);
      forEach([&](const BatchShape::Sequence &s) {
        return sum += role.numbers == NumberRole::CuLengths ? s.tokens : s.keys;
      });
      return list;
    case NumberRole::ContextLengths:
      forEach([](const BatchShape::Sequence &s) { return s.past + s.tokens; });
      return list;
    case NumberRole::KeyLengths:
      forEach([&](const BatchShape::Sequence &) { return numbers.between(0, batch.keysEach); });
      return list;
    case NumberRole::SequenceIds:
      forEach([](const BatchShape::Sequence &s) { return int64_t(s.id); });
      return list;
    case NumberRole::Children:
      forEach([](const BatchShape::Sequence &s) { return int64_t(s.id) + 1000; });
      return list;
    case NumberRole::ShorterLengths:
      forEach([&](const BatchShape::Sequence &s) { return numbers.between(0, s.past + 2); });
      return list;
    case NumberRole::Drafted:
      forEach(draftedOf);
      return list;
    case NumberRole::Accepted:
      forEach(acceptedOf);
      return list;
    case NumberRole::Path:
      for (const BatchShape::Sequence &s : batch.sequences) {
        // The last of the drafted tokens: a rising path that moves something.
        int64_t skipped = draftedOf(s) - acceptedOf(s);
        for (int64_t i = 0; i < shape[1]; ++i)
          list.push_back(i < acceptedOf(s) ? skipped + i : -1);
      }
      return list;
    case NumberRole::Positions:
      for (const BatchShape::Sequence &s : batch.sequences)
        for (int64_t i = 0; i < s.tokens; ++i)
          list.push_back(s.past + i);
      return list;
    case NumberRole::Parents:
      for (const BatchShape::Sequence &s : batch.sequences)
        for (int64_t i = 0; i < s.tokens; ++i)
          list.push_back(i == 0 ? -1 : numbers.between(0, i - 1));
      return list;
    case NumberRole::TreeMask:
      for (const BatchShape::Sequence &s : batch.sequences)
        for (int64_t i = 0; i < s.tokens; ++i)
          list.push_back(numbers.between(0, 1023) | int64_t(1) << (i & 63));
      return list;
    case NumberRole::Slots:
    case NumberRole::Table:
      if (role.cacheArgument && afterStep[*role.cacheArgument])
        listPlaces(role, *afterStep[*role.cacheArgument], shape, list);
      else
        list.assign(static_cast<size_t>(shape[0] * (shape.size() == 2 ? shape[1] : 1)), 0);
      return list;
    default:
      return std::nullopt;
    }
  }

  void listPlaces(const ArgumentRole &role, CacheState &state, ArrayRef<int64_t> shape,
                  SmallVectorImpl<int64_t> &list) {
    for (const BatchShape::Sequence &s : batch.sequences) {
      ::llmir::SequenceId id{s.id};
      if (role.numbers == NumberRole::Slots) {
        for (int64_t i = 0; i < s.tokens; ++i)
          list.push_back(*state.cache().slot(id, s.past + i));
        continue;
      }
      auto blocks = state.cache().blocks(id);
      for (size_t i = 0; i < static_cast<size_t>(shape[1]); ++i)
        list.push_back(blocks.isOk() && i < blocks->size() ? (*blocks)[i].index : 0);
    }
  }

  void fillTensor(TensorValue &value, const ArgumentRole &role, Random &numbers) {
    if (isa<FloatType>(value.elementType())) {
      bool isUniform = role.numbers == NumberRole::Uniforms;
      for (int64_t i = 0; i < value.size(); ++i)
        value.setReal(i, isUniform ? numbers.uniform() : numbers.normal());
      return;
    }
    std::optional<SmallVector<int64_t>> list = listNumbers(role, numbers, value.shape());
    for (int64_t i = 0; i < value.size(); ++i) {
      if (list)
        value.setInteger(i, static_cast<size_t>(i) < list->size() ? (*list)[static_cast<size_t>(i)]
                                                                  : 0);
      else if (role.numbers == NumberRole::Tokens)
        value.setInteger(i, numbers.between(0, std::max<int64_t>(role.limit, 1) - 1));
      else if (role.numbers == NumberRole::Rows)
        value.setInteger(i, numbers.between(0, batch.numTokens() - 1));
      else
        value.setInteger(i, numbers.uniform() < 0.7 ? 1 : 0);
    }
  }

  const InputPlan &plan;
  uint64_t seed;
  std::string &why;
  SmallVector<ArgumentRole> roles;
  Random random;
  BatchShape batch;
  SmallVector<RuntimeValue> values;
  std::map<SizeRole, int64_t> fixed;
  bool isPadded = false, needsPast;
  int64_t numAppends, longest = 4096, blockSize = 16;
  /// What caches look like once the step's tokens have their places.
  std::map<unsigned, std::shared_ptr<CacheState>> afterStep;
};
} // namespace

InputPlan llm::planInputs(func::FuncOp function) {
  InputPlan plan;
  plan.types.assign(function.getArgumentTypes().begin(), function.getArgumentTypes().end());
  plan.roles = findArgumentRoles(function);
  SetVector<Operation *> pending;
  pending.insert(function);
  for (size_t i = 0; i < pending.size(); ++i)
    pending[i]->walk([&](Operation *op) {
      if (auto append = dyn_cast<AppendKVOp>(op)) {
        bool isRepeated = append->getParentOp() != pending[i];
        plan.numAppends += isRepeated ? 8 : 1;
        plan.appendsOneToken |= cast<ShapedType>(append.getKeys().getType()).getRank() == 3;
      }
      if (isa<ReserveKVOp>(op))
        plan.numAppends += op->getParentOp() != pending[i] ? 8 : 1;
      plan.needsKnownSequences |= isa<ForkOp, CommitOp, FreeSequencesOp>(op);
      if (auto call = dyn_cast<func::CallOp>(op))
        if (auto callee =
                SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr()))
          pending.insert(callee);
    });
  return plan;
}

FailureOr<FunctionInputs> llm::makeFunctionInputs(const InputPlan &plan, uint64_t seed,
                                                  std::string &why) {
  return InputMaker(plan, seed, why).make();
}
