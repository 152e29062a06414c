// What the integer dots of keys and of values share: see AttentionWords.h.

#include "AttentionWords.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

static bool isVNNI(const CPUTarget &target) {
  return target.dotUnit == DotUnit::AVX512VNNI || target.dotUnit == DotUnit::AVXVNNI;
}

/// Whether the target has a unit that multiplies pairs of words.
static bool multipliesWords(const CPUTarget &target) {
  return isVNNI(target) || target.dotUnit == DotUnit::AVX2;
}

std::optional<KeyWords> KeyWords::of(const AttentionKernel &kernel, const CPUTarget &target) {
  int64_t lanes = target.lanes;
  const llmir_cache_layout &layout = kernel.layout;
  CacheSide keys = CacheSide::keys(layout);
  int64_t blockKeys = std::min<int64_t>(layout.block_size, kernel.tileKeys());
  if (!multipliesWords(target) || !keys.isInteger() || layout.key_token_stride != 1)
    return std::nullopt;
  KeyWords words = {4 * lanes, 1, 4 * lanes};
  // Blocks of fewer tokens than a load has bytes: several channels.
  if (blockKeys < words.bytes && layout.key_channel_stride == blockKeys)
    words = {words.bytes, words.bytes / blockKeys, blockKeys};
  bool isWhole = words.tokens * words.channels == words.bytes && words.tokens % 16 == 0 &&
                 blockKeys % words.tokens == 0;
  int64_t together = std::min(keys.groupChannels(), keys.units());
  if (!isWhole || together % words.stepUnits() != 0)
    return std::nullopt;
  return words;
}

bool usesValueWords(const AttentionKernel &kernel, const CPUTarget &target) {
  const llmir_cache_layout &layout = kernel.layout;
  CacheSide values = CacheSide::values(layout);
  int64_t blockKeys = std::min<int64_t>(layout.block_size, kernel.tileKeys());
  return multipliesWords(target) && values.isInteger() && layout.value_channel_stride == 1 &&
         layout.value_interleave == 1 && blockKeys % 2 == 0 &&
         std::min(values.groupChannels(), values.units()) % 16 == 0;
}

double largestWord(const CacheSide &side, int64_t count) {
  int64_t code = side.isPacked() ? 15 : 127;
  return static_cast<double>(std::min<int64_t>(32767, INT32_MAX / (code * count)));
}

int64_t wordBias(const CacheSide &side) { return side.isPacked() ? 8 : 128; }

//===--- Rounding to words --------------------------------------------------------------------===//

Value emitWords(KernelBuilder &b, Value numbers, double largest) {
  int64_t lanes = cast<VectorType>(numbers.getType()).getDimSize(0);
  Value limit = b.splatF32(largest, lanes);
  Value isLess = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, numbers, limit);
  Value rounded = math::RoundEvenOp::create(b, b.select(isLess, numbers, limit));
  return arith::FPToSIOp::create(b, b.vectorOf(b.getI32Type(), lanes), rounded);
}

Value emitLargest(KernelBuilder &b, ArrayRef<Value> vectors) {
  // Bits without signs are ordered as the magnitudes, NaNs last.
  auto larger = [&](Value x, Value y) -> Value { return arith::MaxUIOp::create(b, x, y); };
  auto lanesOf = [](Value vector) { return cast<VectorType>(vector.getType()).getDimSize(0); };
  SmallVector<Value> widths; // The largest of the vectors of each width, widest first.
  for (Value vector : vectors) {
    VectorType ints = b.vectorOf(b.getI32Type(), lanesOf(vector));
    Value bits = arith::AndIOp::create(b, b.bitcast(vector, ints), b.splatInt(0x7fffffff, ints));
    if (!widths.empty() && lanesOf(widths.back()) == lanesOf(vector))
      widths.back() = larger(widths.back(), bits);
    else
      widths.push_back(bits);
  }
  Value all;
  for (Value bits : widths) {
    int64_t lanes = lanesOf(bits);
    for (; lanes > 1; lanes /= 2)
      bits = larger(b.slice(bits, 0, lanes / 2), b.slice(bits, lanes / 2, lanes / 2));
    all = all ? larger(all, bits) : bits;
  }
  return b.firstLane(b.bitcast(all, b.vectorOf(b.getF32Type(), 1)));
}

Value emitWordFactor(KernelBuilder &b, Value magnitude, double largest) {
  Value least = b.f32(0x1p-110);
  Value isUsual = arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, magnitude, least);
  return b.select(isUsual, b.div(b.f32(largest), magnitude), b.f32(0.0));
}

void emitQueryWords(KernelBuilder &b, const AttentionKernel &kernel, const CPUTarget &target,
                    Value scratch, const AttentionScratch &at, int64_t rows, Value row) {
  CacheSide keys = CacheSide::keys(kernel.layout);
  KeyWords words = *KeyWords::of(kernel, target);
  int64_t headDim = keys.headDim, step = words.stepUnits();
  Value from = b.add(b.index(at.query), b.mul(row, b.index(headDim)));
  SmallVector<Value> parts;
  for (auto [channel, width] : splitLanes(headDim, target.lanes))
    parts.push_back(b.loadVector(scratch, b.add(from, b.index(channel)), width));
  double largest = largestWord(keys, headDim);
  Value magnitude = emitLargest(b, parts);
  Value factor = emitWordFactor(b, magnitude, largest);
  b.store(b.mul(magnitude, b.f32(1.0 / largest)), scratch, b.add(b.index(at.queryScales), row));

  // Lane by lane the pair of channels that a step's loads have there.
  SmallVector<int64_t> order;
  for (int64_t element = 0; element < words.queryElements(); ++element) {
    int64_t channel = words.channels == 1 ? 0 : element / 4 * 16 / words.tokens;
    order.append({channel, channel + words.channels});
  }
  VectorType shorts = b.vectorOf(b.getI16Type(), step);
  Value to = b.add(b.index(at.queryWords), b.mul(row, b.index(4 * headDim)));
  int64_t groupChannels = keys.groupChannels(), groups = headDim / groupChannels;
  Value biases = b.index(at.queryOffsets);
  b.loop(b.index(0), b.index(groups), 1, [&](Value group) {
    Value first = b.mul(group, b.index(groupChannels));
    Value sum =
        b.loop(b.index(0), b.index(groupChannels), step,
               b.splatInt(0, b.vectorOf(b.getI32Type(), step)),
               [&](Value inGroup, ValueRange carried) -> SmallVector<Value> {
                 Value channel = b.add(first, inGroup);
                 Value part = b.loadVector(scratch, b.add(from, channel), step);
                 part = b.mul(part, b.broadcast(factor, step));
                 part = emitWords(b, part, largest);
                 Value narrow = arith::TruncIOp::create(b, shorts, part);
                 Value pairs = vector::ShuffleOp::create(b, narrow, narrow, order);
                 pairs = b.bitcast(pairs, b.vectorOf(b.getF32Type(), words.queryElements()));
                 Value place = b.mul(b.div(channel, b.index(step)), b.index(words.queryElements()));
                 b.storeVector(pairs, scratch, b.add(to, place));
                 return {b.add(carried[0], part)};
               })
            .front();
    Value all = vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum);
    Value bias = b.mul(all, b.i32(wordBias(keys)));
    Value index = b.add(b.mul(group, b.index(rows)), row);
    b.store(arith::BitcastOp::create(b, b.getF32Type(), bias), scratch, b.add(biases, index));
  });
}

//===--- Dots ---------------------------------------------------------------------------------===//

WordDots::WordDots(KernelBuilder &b, const CPUTarget &target, const CacheSide &side, int64_t bytes)
    : b(b), target(target), isPacked(side.isPacked()), lanes(bytes / 4),
      wordsType(b.vectorOf(b.getI16Type(), bytes / 2)),
      intsType(b.vectorOf(b.getI32Type(), bytes / 4)) {}

/// Registers that sums may take. Where a product has a register of its own before it is added, 8 of
/// 16, or sums spill; else enough sums to cover the latency of an instruction that does both.
static int64_t sumRegisters(const CPUTarget &target) {
  if (target.lanes >= 16)
    return 24;
  return target.dotUnit == DotUnit::AVX2 ? 8 : 12;
}

int64_t WordDots::halvesAtOnce(int64_t rows) const {
  return 2 * kSums * rows <= sumRegisters(target) ? 2 : 1;
}

int64_t WordDots::rowsAtOnce(int64_t rows) const {
  int64_t most = sumRegisters(target) / (kSums * halvesAtOnce(rows));
  int64_t chunks = (rows + most - 1) / most;
  return (rows + chunks - 1) / chunks;
}

SmallVector<Value> WordDots::zeros(int64_t times) const {
  return SmallVector<Value>(static_cast<size_t>(times * kSums), b.splatInt(0, intsType));
}

std::pair<Value, Value> WordDots::operands(Value first, Value second, int64_t half,
                                           int64_t stream) {
  int64_t count = wordsType.getDimSize(0);
  SmallVector<int64_t> order;
  for (int64_t lane = 0; lane < count; lane += 8)
    for (int64_t word = 0; word < 4; ++word)
      order.append({lane + 4 * half + word, count + lane + 4 * half + word});
  Value pairs = vector::ShuffleOp::create(b, b.bitcast(first, wordsType),
                                          b.bitcast(second, wordsType), order);
  Value eight = b.splatInt(8, wordsType);
  if (!isPacked) {
    pairs = arith::XOrIOp::create(b, pairs, b.splatInt(0x80, wordsType));
    return {pairs, arith::ShRSIOp::create(b, pairs, eight)};
  }
  if (stream == 1)
    pairs = arith::ShRUIOp::create(b, pairs, b.splatInt(4, wordsType));
  Value nibbles = arith::AndIOp::create(b, pairs, b.splatInt(0x0f0f, wordsType));
  return {nibbles, arith::ShRUIOp::create(b, nibbles, eight)};
}

void WordDots::accumulate(MutableArrayRef<Value> sums, std::pair<Value, Value> operands,
                          Value factor) {
  sums[0] = multiplyAdd(sums[0], operands.first, factor);
  sums[1] = multiplyAdd(sums[1], operands.second, factor);
}

Value WordDots::multiplyAdd(Value sums, Value x, Value y) {
  if (target.isEmulated) {
    Value left = b.bitcast(x, intsType), right = b.bitcast(y, intsType);
    Value sixteen = b.splatInt(16, intsType);
    auto low = [&](Value words) {
      return arith::ShRSIOp::create(b, arith::ShLIOp::create(b, words, sixteen), sixteen);
    };
    sums = b.add(sums, b.mul(low(left), low(right)));
    return b.add(sums, b.mul(arith::ShRSIOp::create(b, left, sixteen),
                             arith::ShRSIOp::create(b, right, sixteen)));
  }
  std::string bits = std::to_string(32 * lanes);
  if (isVNNI(target))
    return b.intrinsic("llvm.x86.avx512.vpdpwssd." + bits, intsType, {sums, x, y});
  StringRef name = lanes == 4 ? "llvm.x86.sse2.pmadd.wd" : "llvm.x86.avx2.pmadd.wd";
  return b.add(sums, b.intrinsic(name, intsType, {x, y}));
}

std::pair<Value, Value> WordDots::separate(ArrayRef<Value> sums, Value bias) {
  auto type = cast<VectorType>(sums[1].getType());
  Value upper = arith::ShLIOp::create(b, sums[1], b.splatInt(8, type));
  Value biases = b.broadcast(bias, type.getDimSize(0));
  return {b.sub(b.sub(sums[0], upper), biases), isPacked ? b.sub(sums[1], biases) : sums[1]};
}

Value WordDots::neighbours(std::pair<Value, Value> evenAndOdd, int64_t lane) {
  auto [even, odd] = evenAndOdd;
  int64_t count = cast<VectorType>(even.getType()).getDimSize(0);
  SmallVector<int64_t> order;
  for (int64_t i = 4 * lane; i < 4 * lane + 4; ++i)
    order.append({i, count + i});
  Value both = vector::ShuffleOp::create(b, even, odd, order);
  return arith::SIToFPOp::create(b, b.vectorOf(b.getF32Type(), 8), both);
}

} // namespace mlir::llm
