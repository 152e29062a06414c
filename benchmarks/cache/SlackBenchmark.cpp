// How many of the bytes that a cache holds hold no token: at block 16 and with blocks of several
// sizes that follow the workload, on log-normal lengths of mean 300 and on a trace of conversations
// (a JSON object a line, with input_length and output_length): the file given, else that of the
// shared data folder. Tables and scales are reported apart.

#include "Measure.h"

#include "llmir/Cache/AdaptiveBlockManager.h"
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

/// What a sequence is known to need when it comes, and what it needed in the end.
struct Request {
  int64_t promptLength = 0;
  int64_t length = 0;
};

/// The same with an AdaptiveBlockManager that starts with the seed's sizes and tunes itself, over
/// requests in order of arrival: the prompt first, then the answer.
void reportAdaptive(const std::vector<Request> &requests) {
  AdaptationConfig config;
  config.policy = AdaptationPolicy::PREDICTIVE;
  config.enableAutoTuning = true;
  AdaptivePoolOptions pool;
  pool.maxSeqLen = pool.numTokens.emplace(maxSeqLen);
  AdaptiveBlockManager manager(1, 1, 64, {}, config, pool);
  std::vector<KVBlock *> blocks;
  double fixedBlocks = 0;
  for (const Request &request : requests) {
    for (int64_t length : {request.promptLength, request.length})
      if (!manager.allocateBlocksForSequence(1, length, blocks).isOk())
        std::abort();
    if (!manager.recordSequenceComplete(1, request.length).isOk())
      std::abort();
    fixedBlocks += double((request.length + blockSize - 1) / blockSize);
  }
  const AdaptationStatistics &seen = manager.statistics();
  const BlockSizeConfig &sizes = manager.currentConfig();
  double count = double(requests.size());
  printFigure("  adaptive: slack", 100 * seen.slackFraction(), "% of bytes");
  printFigure("  adaptive: blocks a sequence", double(seen.blocks) / count, "blocks");
  printFigure("  of 16 tokens: blocks a sequence", fixedBlocks / count, "blocks");
  std::printf("  adaptive: %lld changes of sizes, now %lld, %lld and %lld: %s\n",
              static_cast<long long>(seen.adaptations),
              static_cast<long long>(sizes.smallBlockSize),
              static_cast<long long>(sizes.primaryBlockSize),
              static_cast<long long>(sizes.largeBlockSize), manager.explanation().c_str());
}

void report(const std::string &what, const std::vector<Request> &requests, double limit) {
  std::vector<int64_t> lengths;
  for (const Request &request : requests)
    lengths.push_back(request.length);
  report(what, lengths, limit);
  reportAdaptive(requests);
}

/// Lengths of mean 300, of which nine tenths are prompt.
std::vector<Request> logNormalRequests() {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> lengths(std::log(300) - 0.5, 1);
  std::vector<Request> drawn(100000);
  for (Request &request : drawn) {
    request.length = 1 + static_cast<int64_t>(std::min(lengths(random), double(maxSeqLen - 1)));
    request.promptLength = (9 * request.length + 9) / 10;
  }
  return drawn;
}

std::string tracePath(int argc, char **argv) {
  if (argc > 1)
    return argv[1];
  const char *folder = std::getenv("LLMIR_SHARED_DATA");
  return (folder && *folder ? std::string(folder) : LLMIR_SOURCE_DIR "/../shared/data") +
         "/traces/conversation.jsonl";
}

/// The number after `"name":` in a line, or 0.
int64_t numberIn(const std::string &line, const std::string &name) {
  size_t at = line.find("\"" + name + "\":");
  return at == std::string::npos ? 0
                                 : std::strtoll(line.c_str() + at + name.size() + 3, nullptr, 10);
}

} // namespace

int main(int argc, char **argv) {
  report("log-normal lengths of mean 300", logNormalRequests(), 4);
  std::string path = tracePath(argc, argv);
  std::ifstream trace(path);
  std::vector<Request> requests;
  for (std::string line; std::getline(trace, line);) {
    int64_t prompt = numberIn(line, "input_length");
    if (int64_t length = prompt + numberIn(line, "output_length"))
      requests.push_back({prompt, length});
  }
  if (requests.empty()) {
    std::fprintf(stderr, "no line of %s has input_length or output_length; give another file\n",
                 path.c_str());
    return 1;
  }
  report(std::to_string(requests.size()) + " conversations", requests, 0.1);
}
