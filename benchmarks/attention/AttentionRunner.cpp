// Runs the step of a compiled model that is nothing but attention layers (attention.py writes and
// compiles it) over caches larger than any processor cache, and probes the machine's limits between
// the steps: read bandwidth at the same bytes and threads, multiply-adds of f32. Prints one JSON
// object. The caches' contents are random; results are not looked at here (tests do that).

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
#include <ctime>
#include <numeric>
#include <random>

using namespace llmir;

namespace {

struct Options {
  std::string library;
  llmir_cache_layout layout{};
  int64_t heads = 0;
  int64_t context = 0;
  int64_t tokens = 1;    ///< Of each sequence in a step.
  int64_t sequences = 1; ///< Of a step.
  int32_t threads = 1;
  int64_t poolBytes = int64_t(4) << 30;
  int32_t rounds = 9;
  int64_t workspacePerToken = 0, workspaceFixed = 0;
  bool contiguous = false;
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

class AttentionRun {
public:
  AttentionRun(const Options &options, WorkerTeam &team, llmir_step_fn step)
      : options(options), layout(options.layout), team(team), step(step) {}

  Status prepare() {
    blocks = options.poolBytes / layout.block_stride;
    perSequence = (options.context + layout.block_size - 1) / layout.block_size;
    if (blocks < perSequence * options.sequences)
      return invalidArgument("expected a pool for " + std::to_string(options.sequences) +
                             " sequences, but it has " + std::to_string(blocks) + " blocks");
    int64_t workspaceBytes = options.workspaceFixed + (int64_t(64) << 20) * team.size() +
                             options.workspacePerToken * options.tokens * options.sequences;
    struct {
      HostMemory &memory;
      int64_t bytes;
    } parts[] = {{pool, blocks * layout.block_stride},
                 {weights, int64_t(16) << 20},
                 {workspace, workspaceBytes}};
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
    int64_t needed = perSequence * options.sequences;
    if (next + needed > blocks)
      next = 0;
    llmir_cache_view view = {pool.data(), ints.data(),   order.data() + next,
                             perSequence, scales.data(), scales.data()};
    next += needed;
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
  const Options &options;
  const llmir_cache_layout &layout;
  WorkerTeam &team;
  llmir_step_fn step;
  HostMemory pool, weights, workspace;
  int64_t blocks = 0, perSequence = 0, next = 0, probed = 0;
  std::vector<int32_t> order, ints, cuLengths, lengths, rows;
  std::vector<float> scales, logits;
};

void addOptions(CLI::App &app, Options &options) {
  llmir_cache_layout &layout = options.layout;
  app.add_option("--library", options.library, "compiled step (.so)")->required();
  app.add_option("--layers", layout.num_layers)->required();
  app.add_option("--heads", options.heads)->required();
  app.add_option("--kv-heads", layout.num_kv_heads)->required();
  app.add_option("--key-dim", layout.key_head_dim)->required();
  app.add_option("--value-dim", layout.value_head_dim)->required();
  app.add_option("--block", layout.block_size)->required();
  app.add_option("--max-seq-len", layout.max_seq_len)->required();
  app.add_option("--key-type", layout.key_type)->required();
  app.add_option("--value-type", layout.value_type)->required();
  app.add_option("--key-scales", layout.key_scale_granularity);
  app.add_option("--value-scales", layout.value_scale_granularity);
  app.add_option("--scale-type", layout.scale_type);
  app.add_option("--key-group", layout.key_scale_group);
  app.add_option("--value-group", layout.value_scale_group);
  app.add_option("--window", layout.window);
  app.add_option("--sinks", layout.num_sinks);
  app.add_option("--context", options.context)->required();
  app.add_option("--tokens", options.tokens);
  app.add_option("--sequences", options.sequences);
  app.add_option("--threads", options.threads);
  app.add_option("--pool-bytes", options.poolBytes);
  app.add_option("--rounds", options.rounds);
  app.add_option("--workspace-per-token", options.workspacePerToken);
  app.add_option("--workspace-fixed", options.workspaceFixed);
  app.add_flag("--contiguous", options.contiguous, "a sequence's blocks lie one after another");
}

/// Processor time of all threads: what a step costs on a machine that others use.
double processorSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

double measureMultiplyAdds(WorkerTeam &team) {
  constexpr int64_t count = int64_t(96) << 18;
  auto function = __builtin_cpu_supports("avx512f") ? multiplyAdds512 : multiplyAdds256;
  double seconds =
      benchmark::secondsOf([&] { team.run([&](int32_t) { benchmark::keep(function(count)); }); });
  return double(count) * team.size() / seconds;
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("Times attention over paged caches; see attention.py");
  Options options;
  addOptions(app, options);
  CLI11_PARSE(app, argc, argv);
  llmir_cache_layout_init(&options.layout);

  void *library = dlopen(options.library.c_str(), RTLD_NOW | RTLD_LOCAL);
  void *step = library ? dlsym(library, LLMIR_MODEL_STEP_SYMBOL) : nullptr;
  if (!step) {
    std::fprintf(stderr, "cannot load a step: %s\n", dlerror());
    return 1;
  }
  WorkerTeamOptions teamOptions;
  teamOptions.workers = options.threads;
  auto team = WorkerTeam::create(teamOptions);
  if (!team) {
    std::fprintf(stderr, "%s\n", team.status().message().c_str());
    return 1;
  }
  AttentionRun run(options, **team, reinterpret_cast<llmir_step_fn>(step));
  if (Status status = run.prepare(); !status.isOk()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    return 1;
  }
  std::vector<double> times, probes, peaks, processorTimes;
  for (int32_t round = 0; round < options.rounds + 2; ++round) {
    double probe = run.probe(run.bytesOfStep());
    double processorTime = processorSeconds();
    double time = run.run();
    processorTime = processorSeconds() - processorTime;
    double peak = measureMultiplyAdds(**team);
    if (round < 2)
      continue;
    times.push_back(time);
    processorTimes.push_back(processorTime);
    probes.push_back(probe);
    peaks.push_back(peak);
  }
  nlohmann::json result = {{"seconds", benchmark::median(times)},
                           {"processor_seconds", benchmark::median(processorTimes)},
                           {"best_seconds", *std::min_element(times.begin(), times.end())},
                           {"probe_seconds", benchmark::median(probes)},
                           {"multiply_adds_per_second", benchmark::median(peaks)},
                           {"bytes", run.bytesOfStep()}};
  std::printf("%s\n", result.dump().c_str());
  return 0;
}
