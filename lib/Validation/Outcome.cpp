// Collects the numbers of a run, and compares those of two.

#include "llmir/Validation/Outcome.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>

using namespace mlir;
using namespace mlir::llm;

static NamedNumbers listTensor(std::string name, const TensorValue &tensor) {
  NamedNumbers item{std::move(name),
                    SmallVector<int64_t>(tensor.shape()),
                    !isa<FloatType>(tensor.elementType()),
                    {}};
  for (int64_t i = 0; i < tensor.size(); ++i)
    item.numbers.push_back(numberOf(tensor.elementType(), tensor[i]));
  return item;
}

/// What a cache holds, apart from where it lies.
static void listCache(const std::string &name, const CacheState &state, Outcome &outcome) {
  const llmir_cache_layout &layout = state.layout();
  for (::llmir::SequenceId id : state.cache().sequenceIds()) {
    int64_t length = *state.cache().length(id);
    std::string sequence = " of sequence " + std::to_string(static_cast<int32_t>(id)) + name;
    outcome.items.push_back({"the length" + sequence, {1}, true, {static_cast<double>(length)}});
    for (int64_t layer = 0; layer < layout.num_layers; ++layer) {
      std::string where = " of layer " + std::to_string(layer) + sequence;
      NamedNumbers keys{
          "the keys" + where, {length, layout.num_kv_heads, layout.key_head_dim}, false, {}};
      NamedNumbers values{
          "the values" + where, {length, layout.num_kv_heads, layout.value_head_dim}, false, {}};
      for (int64_t t = 0; t < length; ++t)
        for (int64_t head = 0, slot = *state.cache().slot(id, t); head < layout.num_kv_heads;
             ++head) {
          for (int64_t c = 0; c < layout.key_head_dim; ++c)
            keys.numbers.push_back(state.key(layer, slot, head, c));
          for (int64_t c = 0; c < layout.value_head_dim; ++c)
            values.numbers.push_back(state.value(layer, slot, head, c));
        }
      outcome.items.push_back(std::move(keys));
      outcome.items.push_back(std::move(values));
    }
  }
}

Outcome llm::makeOutcome(func::FuncOp function, const FunctionInputs &inputs,
                         ArrayRef<RuntimeValue> results) {
  Outcome outcome;
  SmallVector<const CacheState *> listed;
  auto addCache = [&](const RuntimeValue &value, const std::string &name) {
    const auto *cache = std::get_if<CacheValue>(&value);
    if (!cache || llvm::is_contained(listed, cache->state.get()))
      return;
    listed.push_back(cache->state.get());
    listCache(" in the cache of " + name, *cache->state, outcome);
  };
  for (auto [i, value, type] : llvm::enumerate(results, function.getResultTypes())) {
    std::string name = "result " + std::to_string(i);
    if (const auto *tensor = std::get_if<std::shared_ptr<const TensorValue>>(&value))
      outcome.items.push_back(listTensor(name, **tensor));
    else if (const auto *scalar = std::get_if<Scalar>(&value))
      outcome.items.push_back({name, {}, !isa<FloatType>(type), {numberOf(type, *scalar)}});
  }
  for (auto [i, value] : llvm::enumerate(inputs.arguments))
    addCache(value, "argument " + std::to_string(i));
  for (auto [i, value] : llvm::enumerate(results))
    addCache(value, "result " + std::to_string(i));
  return outcome;
}

//===--- Comparison ---------------------------------------------------------------------------===//

/// The index of element `place`, as `[1, 3]`.
static std::string describePlace(ArrayRef<int64_t> shape, size_t place) {
  SmallVector<int64_t> index(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    auto size = static_cast<size_t>(shape[i]);
    index[i] = static_cast<int64_t>(place % size);
    place /= size;
  }
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << "[";
  llvm::interleaveComma(index, stream);
  stream << "]";
  return text;
}

static std::optional<std::string> compareNumbers(const NamedNumbers &was, const NamedNumbers &is,
                                                 double share) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (was.shape != is.shape) {
    stream << was.name << " had the sizes [";
    llvm::interleaveComma(was.shape, stream);
    stream << "], but has [";
    llvm::interleaveComma(is.shape, stream);
    stream << "]";
    return text;
  }
  double largest = 0;
  for (double number : was.numbers)
    if (std::isfinite(number))
      largest = std::fmax(largest, std::fabs(number));
  double limit = was.areIntegers ? 0 : share * largest;
  for (size_t i = 0; i < was.numbers.size(); ++i) {
    double a = was.numbers[i], b = is.numbers[i];
    if (a == b || (std::isnan(a) && std::isnan(b)) || std::fabs(a - b) <= limit)
      continue;
    stream << was.name;
    if (!was.shape.empty())
      stream << " at " << describePlace(was.shape, i);
    stream << " was " << llvm::format("%.9g", a) << ", but is " << llvm::format("%.9g", b);
    if (!was.areIntegers)
      stream << " (" << llvm::format("%.2g", share) << " of the largest number, "
             << llvm::format("%.3g", largest) << ", may change)";
    return text;
  }
  return std::nullopt;
}

std::optional<std::string> llm::findDifference(const Outcome &was, const Outcome &is,
                                               const Tolerance &tolerance) {
  for (size_t i = 0; i < std::max(was.items.size(), is.items.size()); ++i) {
    if (i >= is.items.size())
      return was.items[i].name + " is gone";
    if (i >= was.items.size() || was.items[i].name != is.items[i].name)
      return is.items[i].name + " is new";
    if (auto text = compareNumbers(was.items[i], is.items[i], tolerance.share))
      return text;
  }
  return std::nullopt;
}

std::optional<double> llm::relativeDifference(const Outcome &was, const Outcome &is) {
  double largest = 0;
  if (was.items.size() != is.items.size())
    return std::nullopt;
  for (auto [a, b] : llvm::zip_equal(was.items, is.items)) {
    if (a.name != b.name || a.shape != b.shape)
      return std::nullopt;
    // Blocks lie elsewhere when a pass changes their size.
    if (a.areIntegers)
      continue;
    double squares = 0, error = 0;
    for (auto [x, y] : llvm::zip_equal(a.numbers, b.numbers)) {
      squares += x * x;
      error += (x - y) * (x - y);
    }
    if (std::isnan(error))
      return std::nullopt;
    if (error > 0)
      largest = std::fmax(largest, squares > 0 ? std::sqrt(error / squares) : HUGE_VAL);
  }
  return largest;
}

/// How far numbers that are stored in `type` may move when they are rounded at another place.
static double shareOf(Type type) {
  if (type.isF16())
    return 2e-3;
  if (type.isBF16())
    return 1.6e-2;
  // Codes of 4 and 8 bits, and 8-bit floats.
  if (type.isIntOrFloat() && type.getIntOrFloatBitWidth() <= 8 && type.getIntOrFloatBitWidth() > 1)
    return 2e-2;
  return 1e-6;
}

/// What storing keys or values in `type` costs at most, as docs/Testing.md has it.
static double storageErrorOf(Type type) {
  if (type.isInteger(4))
    return 0.3;
  if (isa<Float8E5M2Type>(type))
    return 0.12;
  if (isa<Float8E4M3FNType>(type))
    return 0.06;
  return type.isInteger(8) ? 0.02 : 0;
}

Tolerance llm::toleranceFor(ModuleOp module) {
  Tolerance tolerance;
  auto visit = [&](Type type) {
    if (auto cache = dyn_cast<PagedKVCacheType>(type)) {
      tolerance.storage = std::max(tolerance.storage, storageErrorOf(cache.getKeyStorage()) +
                                                          storageErrorOf(cache.getValueStorage()));
      for (Type stored : {cache.getElementType(), cache.getKeyStorage(), cache.getValueStorage()})
        tolerance.share = std::max(tolerance.share, shareOf(stored));
    } else if (auto quantized = dyn_cast<QuantizedTensorType>(type)) {
      tolerance.share = std::max(tolerance.share, shareOf(quantized.getStorageType()));
    } else if (isa<FloatType>(getElementTypeOrSelf(type))) {
      tolerance.share = std::max(tolerance.share, shareOf(getElementTypeOrSelf(type)));
    }
  };
  module.walk([&](Operation *op) {
    llvm::for_each(op->getOperandTypes(), visit);
    llvm::for_each(op->getResultTypes(), visit);
    for (NamedAttribute attribute : op->getAttrs())
      if (auto type = dyn_cast<TypeAttr>(attribute.getValue());
          type && attribute.getName() == "activation_type")
        tolerance.share = std::max(tolerance.share, shareOf(type.getValue()));
  });
  return tolerance;
}
