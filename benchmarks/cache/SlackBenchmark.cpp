// How many of the bytes that a cache holds at block 16 hold no token: on log-normal lengths of mean
// 300, and on a trace of conversations if its file is given (a JSON object a line, with
// input_length and output_length). Tables and scales are reported apart.

#include "Measure.h"

#include "llmir/Cache/PagedKVCache.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

using namespace llmir;
using namespace llmir::benchmark;

namespace {

constexpr int64_t blockSize = 16, maxSeqLen = 1 << 18;

CacheParameters parametersOf(ElementType type, ScaleGranularity scales) {
  CacheParameters parameters;
  parameters.keyType = parameters.valueType = type;
  parameters.numLayers = 1;
  parameters.numKVHeads = 1;
  parameters.keyHeadDim = parameters.valueHeadDim = 64;
  parameters.blockSize = blockSize;
  parameters.maxSeqLen = maxSeqLen;
  parameters.keyScales = parameters.valueScales = scales;
  return parameters;
}

/// Bytes of keys and values that sequences of these lengths have, and bytes held for them.
struct Bytes {
  double tokens = 0;
  double held = 0;
  double tables = 0;
  double scales = 0;
};

Bytes hold(const std::vector<int64_t> &lengths, ElementType type, ScaleGranularity scales) {
  PagedKVCache cache(parametersOf(type, scales), maxSeqLen / blockSize);
  const llmir_cache_layout &layout = cache.layout();
  double token = 2 * 64 * double(elementSize(type));
  double scale = scales == ScaleGranularity::None ? 0 : 2 * double(sizeof(float));
  Bytes bytes;
  CacheStepTables tables;
  for (int64_t length : lengths) {
    std::vector<AppendRequest> request = {{SequenceId{1}, length}};
    if (!cache.reserve(request, tables).isOk())
      std::abort();
    double blocks = cache.pool().numBlocks() - cache.pool().numFree();
    bytes.tokens += double(length) * token;
    bytes.scales += double(length) * scale;
    bytes.held += blocks * double(layout.block_stride);
    bytes.tables += blocks * (sizeof(BlockId) + sizeof(int32_t));
    if (!cache.freeSequence(SequenceId{1}).isOk())
      std::abort();
  }
  return bytes;
}

void report(const std::string &what, const std::vector<int64_t> &lengths, double limit) {
  Bytes plain = hold(lengths, ElementType::F16, ScaleGranularity::None);
  printAtMost(("slack, " + what).c_str(), 100 * (1 - plain.tokens / plain.held), "% of bytes",
              limit);
  printFigure("  tables", 100 * plain.tables / plain.held, "% of bytes");
  Bytes scaled = hold(lengths, ElementType::I8, ScaleGranularity::Token);
  printFigure("  i8 with a scale for each token: scales", 100 * scaled.scales / scaled.held,
              "% of bytes");
  printFigure("  i8: slack", 100 * (1 - (scaled.tokens + scaled.scales) / scaled.held),
              "% of bytes");
}

std::vector<int64_t> logNormalLengths() {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> lengths(std::log(300) - 0.5, 1);
  std::vector<int64_t> drawn(100000);
  for (int64_t &length : drawn)
    length = 1 + static_cast<int64_t>(std::min(lengths(random), double(maxSeqLen - 1)));
  return drawn;
}

/// The number after `"name":` in a line, or 0.
int64_t numberIn(const std::string &line, const std::string &name) {
  size_t at = line.find("\"" + name + "\":");
  return at == std::string::npos ? 0
                                 : std::strtoll(line.c_str() + at + name.size() + 3, nullptr, 10);
}

} // namespace

int main(int argc, char **argv) {
  report("log-normal lengths of mean 300", logNormalLengths(), 4);
  if (argc < 2) {
    std::printf("give a trace of conversations to measure its slack\n");
    return 0;
  }
  std::ifstream trace(argv[1]);
  std::vector<int64_t> lengths;
  for (std::string line; std::getline(trace, line);)
    if (int64_t length = numberIn(line, "input_length") + numberIn(line, "output_length"))
      lengths.push_back(length);
  if (lengths.empty()) {
    std::fprintf(stderr, "no line of %s has input_length or output_length\n", argv[1]);
    return 1;
  }
  report(std::to_string(lengths.size()) + " conversations", lengths, 0.1);
}
