// Runs steps of compiled models that are nothing but attention layers (attention.py writes and
// compiles them) over caches larger than any processor cache, in turn in each round, and probes the
// machine's limits beside each step: read bandwidth at the same bytes and threads, of one stretch
// of memory and of the step's blocks where they lie, and multiply-adds of f32. A round counts when
// no probe moved by more than 20 % and the host took at most 2 % of the time. Takes a JSON file,
// prints one JSON object. The caches' contents are random; results are not looked at here (tests
// do that).

#include "llmir/ABI.h"
#include "llmir/Device/HostMemory.h"
#include "llmir/Device/WorkerTeam.h"

#include "../Measure.h"

#include <CLI/CLI.hpp>
#include <dlfcn.h>
#include <immintrin.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <cstring>
#include <fstream>
#include <memory>
#include <numeric>
#include <random>

using namespace llmir;

namespace {

/// A compiled step and what it runs over.
struct Case {
  std::string library;
  llmir_cache_layout layout{};
  int64_t context = 0;
  int64_t tokens = 1;    ///< Of each sequence in a step.
  int64_t sequences = 1; ///< Of a step.
  int64_t workspacePerToken = 0, workspaceFixed = 0;
  bool contiguous = false; ///< A sequence's blocks lie one after another.
};

struct Options {
  std::vector<Case> cases;
  int32_t threads = 1;
  int64_t poolBytes = int64_t(4) << 30;
  int32_t rounds = 9;     ///< That count.
  int32_t mostRounds = 9; ///< With those that do not.
};

/// Fills memory with random bits whose 16-bit words, as f16 or bf16, are numbers below 1.
void fillRandomly(WorkerTeam &team, HostMemory &memory) {
  auto bytes = static_cast<int64_t>(memory.size());
  team.run([&](int32_t worker) {
    WorkRange range = splitEvenly(bytes, 4096, worker, team.size());
    uint64_t state = 88172645463325252ull + static_cast<uint64_t>(worker);
    for (int64_t at = range.begin; at + 8 <= range.end; at += 8) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      uint64_t word = state & 0xBBFFBBFFBBFFBBFFull;
      std::memcpy(memory.data() + at, &word, 8);
    }
  });
}

/// Sums 64-byte lines of `data` in four streams, so that no read can be left out.
__attribute__((target("avx2"))) uint64_t readLines(const uint8_t *data, int64_t bytes) {
  __m256i sums[4] = {};
  int64_t stream = bytes / 4 / 64 * 64;
  for (int64_t at = 0; at < stream; at += 64)
    for (int i = 0; i < 4; ++i) {
      const auto *line = reinterpret_cast<const __m256i *>(data + i * stream + at);
      sums[i] = _mm256_xor_si256(
          sums[i], _mm256_xor_si256(_mm256_loadu_si256(line), _mm256_loadu_si256(line + 1)));
    }
  __m256i sum =
      _mm256_xor_si256(_mm256_xor_si256(sums[0], sums[1]), _mm256_xor_si256(sums[2], sums[3]));
  return static_cast<uint64_t>(_mm256_extract_epi64(sum, 0));
}

__attribute__((target("avx2,fma"))) float multiplyAdds256(int64_t count) {
  __m256 sums[12];
  for (int i = 0; i < 12; ++i)
    sums[i] = _mm256_set1_ps(float(i));
  __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
  for (int64_t n = 0; n < count; n += 12 * 8) {
    for (int i = 0; i < 12; ++i)
      sums[i] = _mm256_fmadd_ps(sums[i], x, y);
    asm volatile("" : "+x"(x), "+x"(y));
  }
  for (int i = 1; i < 12; ++i)
    sums[0] = _mm256_add_ps(sums[0], sums[i]);
  return _mm256_cvtss_f32(sums[0]);
}

__attribute__((target("avx512f"))) float multiplyAdds512(int64_t count) {
  __m512 sums[12];
  for (int i = 0; i < 12; ++i)
    sums[i] = _mm512_set1_ps(float(i));
  __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
  for (int64_t n = 0; n < count; n += 12 * 16) {
    for (int i = 0; i < 12; ++i)
      sums[i] = _mm512_fmadd_ps(sums[i], x, y);
    asm volatile("" : "+v"(x), "+v"(y));
  }
  for (int i = 1; i < 12; ++i)
    sums[0] = _mm512_add_ps(sums[0], sums[i]);
  return _mm512_cvtss_f32(sums[0]);
}

/// Reads the blocks [begin, end) of `address` side by side, those that follow fetched meanwhile: as
/// fast as scattered blocks can be read.
__attribute__((target("avx2"))) uint64_t readBlocks(const std::vector<const uint8_t *> &address,
                                                    size_t begin, size_t end, int64_t bytes) {
  constexpr size_t together = 8;
  __m256i sum = _mm256_setzero_si256();
  for (size_t at = begin; at < end; at += together) {
    size_t count = std::min(together, end - at);
    for (int64_t line = 0; line < bytes; line += 64)
      for (size_t i = 0; i < count; ++i) {
        if (at + together + i < end)
          __builtin_prefetch(address[at + together + i] + line, 0, 2);
        const auto *vector = reinterpret_cast<const __m256i *>(address[at + i] + line);
        sum = _mm256_xor_si256(
            sum, _mm256_xor_si256(_mm256_loadu_si256(vector), _mm256_loadu_si256(vector + 1)));
      }
  }
  return static_cast<uint64_t>(_mm256_extract_epi64(sum, 0));
}

class AttentionRun {
public:
  AttentionRun(const Case &options, WorkerTeam &team, HostMemory &pool)
      : options(options), layout(options.layout), team(team), pool(pool) {}

  Status prepare() {
    void *library = dlopen(options.library.c_str(), RTLD_NOW | RTLD_LOCAL);
    step = reinterpret_cast<llmir_step_fn>(library ? dlsym(library, LLMIR_MODEL_STEP_SYMBOL)
                                                   : nullptr);
    if (!step)
      return invalidArgument(std::string("cannot load a step: ") + dlerror());
    blocks = static_cast<int64_t>(pool.size()) / layout.block_stride;
    perSequence = (options.context + layout.block_size - 1) / layout.block_size;
    if (blocks < perSequence * options.sequences)
      return invalidArgument("expected a pool for " + std::to_string(options.sequences) +
                             " sequences, but it has " + std::to_string(blocks) + " blocks");
    int64_t workspaceBytes = options.workspaceFixed + (int64_t(64) << 20) * team.size() +
                             options.workspacePerToken * options.tokens * options.sequences;
    struct {
      HostMemory &memory;
      int64_t bytes;
    } parts[] = {{weights, int64_t(16) << 20}, {workspace, workspaceBytes}};
    for (auto &part : parts) {
      StatusOr<HostMemory> memory = HostMemory::allocate(static_cast<size_t>(part.bytes));
      if (!memory)
        return memory.status();
      part.memory = std::move(*memory);
      fillRandomly(team, part.memory);
    }
    order.resize(static_cast<size_t>(blocks));
    std::iota(order.begin(), order.end(), 0);
    if (!options.contiguous)
      std::shuffle(order.begin(), order.end(), std::mt19937(7));
    scales.assign(static_cast<size_t>(layout.num_layers * layout.num_kv_heads), 0.01f);
    int64_t tokens = options.tokens * options.sequences;
    ints.assign(static_cast<size_t>(tokens), 0);
    logits.assign(static_cast<size_t>(options.sequences * 16), 0.0f);
    for (int64_t s = 0; s <= options.sequences; ++s)
      cuLengths.push_back(static_cast<int32_t>(s * options.tokens));
    lengths.assign(static_cast<size_t>(options.sequences), static_cast<int32_t>(options.context));
    for (int64_t s = 0; s < options.sequences; ++s)
      rows.push_back(cuLengths[static_cast<size_t>(s + 1)] - 1);
    return Status::ok();
  }

  /// Seconds of one step over the next sequences of the pool.
  double run() {
    llmir_cache_view view = {pool.data(), ints.data(),   nextTable(),
                             perSequence, scales.data(), scales.data()};
    llmir_step_args args{};
    args.struct_size = sizeof(args);
    args.num_tokens = static_cast<int32_t>(options.tokens * options.sequences);
    args.num_sequences = static_cast<int32_t>(options.sequences);
    args.num_rows = args.num_sequences;
    args.tokens = ints.data();
    args.positions = ints.data();
    args.cu_lengths = cuLengths.data();
    args.context_lengths = lengths.data();
    args.rows = rows.data();
    args.logits = logits.data();
    args.caches = &view;
    args.num_caches = 1;
    args.weights = weights.data();
    args.workspace = workspace.data();
    args.world_size = 1;
    args.barrier = WorkerTeam::barrierEntry;
    args.team = &team;
    return benchmark::secondsOf(
        [&] { team.run([&](int32_t worker) { step(&args, worker, team.size()); }); });
  }

  /// Seconds to read as many bytes as a step reads, elsewhere in the pool.
  double probe(int64_t bytes) {
    int64_t size = std::min<int64_t>(bytes, static_cast<int64_t>(pool.size())) / 65536 * 65536;
    if (probed + size > static_cast<int64_t>(pool.size()))
      probed = 0;
    const uint8_t *data = pool.data() + probed;
    probed += size;
    std::atomic<uint64_t> sink{0};
    double seconds = benchmark::secondsOf([&] {
      team.run([&](int32_t worker) {
        WorkRange range = splitEvenly(size, 4096, worker, team.size());
        sink.fetch_xor(readLines(data + range.begin, range.end - range.begin));
      });
    });
    return seconds * double(bytes) / double(size);
  }

  /// Seconds to read the blocks of a step, scattered as they are.
  double probeBlocks() {
    const int32_t *table = nextTable();
    int64_t first = layout.window > 0 ? std::max<int64_t>(0, options.context - layout.window) : 0;
    std::vector<const uint8_t *> addresses;
    for (int64_t layer = 0; layer < layout.num_layers; ++layer)
      for (int64_t s = 0; s < options.sequences; ++s)
        for (int64_t head = 0; head < layout.num_kv_heads; ++head)
          for (int64_t i = first / layout.block_size; i < perSequence; ++i)
            addresses.push_back(pool.data() + table[s * perSequence + i] * layout.block_stride +
                                layer * layout.layer_stride + head * layout.head_stride);
    std::atomic<uint64_t> sink{0};
    return benchmark::secondsOf([&] {
      team.run([&](int32_t worker) {
        auto count = static_cast<int64_t>(addresses.size());
        WorkRange range = splitEvenly(count, 1, worker, team.size());
        sink.fetch_xor(readBlocks(addresses, static_cast<size_t>(range.begin),
                                  static_cast<size_t>(range.end), layout.head_stride));
      });
    });
  }

  /// Bytes of keys, values and scales that a step of one token a sequence reads.
  int64_t bytesOfStep() const {
    int64_t seen = options.context;
    if (layout.window > 0)
      seen = std::min<int64_t>(seen, layout.window + layout.num_sinks);
    double perToken = double(layout.head_stride) / layout.block_size;
    return static_cast<int64_t>(perToken * double(seen) * layout.num_layers * layout.num_kv_heads *
                                double(options.sequences));
  }

private:
  /// The table of the next sequences of the pool.
  const int32_t *nextTable() {
    int64_t needed = perSequence * options.sequences;
    if (next + needed > blocks)
      next = 0;
    const int32_t *table = order.data() + next;
    next += needed;
    return table;
  }

  const Case &options;
  const llmir_cache_layout &layout;
  WorkerTeam &team;
  HostMemory &pool;
  llmir_step_fn step = nullptr;
  HostMemory weights, workspace;
  int64_t blocks = 0, perSequence = 0, next = 0, probed = 0;
  std::vector<int32_t> order, ints, cuLengths, lengths, rows;
  std::vector<float> scales, logits;
};

Options readOptions(const nlohmann::json &json) {
  Options options;
  options.threads = json.at("threads");
  options.poolBytes = json.at("pool_bytes");
  options.rounds = json.at("rounds");
  options.mostRounds = json.at("most_rounds");
  for (const nlohmann::json &one : json.at("cases")) {
    Case &added = options.cases.emplace_back();
    added.library = one.at("library");
    added.context = one.at("context");
    added.tokens = one.at("tokens");
    added.sequences = one.at("sequences");
    added.workspacePerToken = one.at("workspace_per_token");
    added.workspaceFixed = one.at("workspace_fixed");
    added.contiguous = one.at("contiguous");
    llmir_cache_layout &layout = added.layout;
    layout.num_layers = one.at("layers");
    layout.num_kv_heads = one.at("kv_heads");
    layout.key_head_dim = layout.value_head_dim = one.at("head_dim");
    layout.block_size = one.at("block");
    layout.max_seq_len = one.at("max_seq_len");
    layout.key_type = layout.value_type = one.at("type");
    layout.key_scale_granularity = layout.value_scale_granularity = one.at("scales");
    layout.scale_type = one.at("scale_type");
    layout.key_scale_group = layout.value_scale_group = one.at("group");
    layout.window = one.at("window");
    llmir_cache_layout_init(&layout);
  }
  return options;
}

/// Time of all processors and of what the host took of it, in ticks.
struct ProcessorTicks {
  int64_t all = 0, steal = 0;

  static ProcessorTicks read() {
    ProcessorTicks ticks;
    std::ifstream file("/proc/stat");
    std::string name;
    file >> name;
    int64_t field = 0;
    for (int i = 0; i < 8 && file >> field; ++i) {
      ticks.all += field;
      ticks.steal = field; // The eighth.
    }
    return ticks;
  }
};

double measureMultiplyAdds(WorkerTeam &team) {
  constexpr int64_t count = int64_t(96) << 18;
  auto function = __builtin_cpu_supports("avx512f") ? multiplyAdds512 : multiplyAdds256;
  double seconds =
      benchmark::secondsOf([&] { team.run([&](int32_t) { benchmark::keep(function(count)); }); });
  return double(count) * team.size() / seconds;
}

/// What one case took in one round.
struct Measurement {
  double probe, probeAfter, blocks, seconds, peak;

  bool isSteady() const { return probeAfter < probe * 1.2 && probe < probeAfter * 1.2; }
  nlohmann::json toJson() const {
    return {{"probe", (probe + probeAfter) / 2},
            {"blocks", blocks},
            {"seconds", seconds},
            {"peak", peak}};
  }
};

Measurement measure(AttentionRun &run, WorkerTeam &team) {
  Measurement result{};
  int64_t bytes = run.bytesOfStep();
  result.peak = measureMultiplyAdds(team);
  result.blocks = run.probeBlocks();
  result.probe = run.probe(bytes);
  result.seconds = run.run();
  result.probeAfter = run.probe(bytes);
  return result;
}

int fail(const Status &status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}
} // namespace

int main(int argc, char **argv) {
  CLI::App app("Times attention over paged caches; see attention.py");
  std::string path;
  app.add_option("cases", path, "JSON file of what to run")->required();
  CLI11_PARSE(app, argc, argv);
  std::ifstream file(path);
  Options options = readOptions(nlohmann::json::parse(file));

  WorkerTeamOptions teamOptions;
  teamOptions.workers = options.threads;
  auto team = WorkerTeam::create(teamOptions);
  if (!team)
    return fail(team.status());
  StatusOr<HostMemory> pool = HostMemory::allocate(static_cast<size_t>(options.poolBytes));
  if (!pool)
    return fail(pool.status());
  fillRandomly(**team, *pool);
  std::vector<std::unique_ptr<AttentionRun>> runs;
  nlohmann::json result;
  for (const Case &one : options.cases) {
    runs.push_back(std::make_unique<AttentionRun>(one, **team, *pool));
    if (Status status = runs.back()->prepare(); !status.isOk())
      return fail(status);
    result["bytes"].push_back(runs.back()->bytesOfStep());
    measure(*runs.back(), **team);
  }
  int32_t accepted = 0, tried = 0;
  for (; tried < options.mostRounds && accepted < options.rounds; ++tried) {
    nlohmann::json round;
    ProcessorTicks before = ProcessorTicks::read();
    bool isSteady = true;
    for (auto &run : runs) {
      Measurement measured = measure(*run, **team);
      isSteady = isSteady && measured.isSteady();
      round.push_back(measured.toJson());
    }
    ProcessorTicks after = ProcessorTicks::read();
    if (!isSteady || (after.steal - before.steal) * 50 > after.all - before.all)
      continue;
    ++accepted;
    result["rounds"].push_back(round);
  }
  result["tried"] = tried;
  std::printf("%s\n", result.dump().c_str());
  return 0;
}
