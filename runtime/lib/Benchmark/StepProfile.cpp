// Fills a cache, then runs one step again and again, with and without clocks in turn. The floors
// are of figures that are probed before, with the same threads.

#include "llmir/Benchmark/StepProfile.h"

#include "llmir/Benchmark/MachineProbe.h"
#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Device/WorkerTeam.h"
#include "llmir/Engine/Batch.h"
#include "llmir/Engine/LoadedModel.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

namespace llmir::benchmark {

namespace {

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double median(std::vector<double> values) { return Rates::of(std::move(values)).median; }

Status checkOptions(const ProfileOptions &options, const Manifest &manifest) {
  for (auto [what, value, least] : {std::tuple{"threads", int64_t{options.threads}, int64_t{1}},
                                    {"sequences", options.sequences, 1},
                                    {"tokens", options.tokens, 1},
                                    {"a context", options.context, 0}})
    if (value < least || value > (int64_t{1} << 20))
      return invalidArgument(std::string("expected ") + what + " from " + std::to_string(least) +
                             " to 1048576, but got " + std::to_string(value));
  if (options.context + options.tokens > manifest.maxSequenceLength)
    return invalidArgument("expected context and tokens to be at most the model's " +
                           std::to_string(manifest.maxSequenceLength) + ", but got " +
                           std::to_string(options.context) + " and " +
                           std::to_string(options.tokens));
  if (!(options.seconds > 0))
    return invalidArgument("expected a positive time for the steps, but got " +
                           std::to_string(options.seconds) + " s");
  return Status::ok();
}

/// A model with a cache, and the memory of its steps.
class ProfiledModel {
public:
  ProfiledModel(const LoadedModel &model, WorkerTeam &team, const ProfileOptions &options)
      : model_(model), team_(team), options_(options), batch_(limitsOf(model, options)) {}

  Status prepare() {
    int64_t longest = options_.context + options_.tokens;
    for (const CacheParameters &parameters : model_.manifest().caches) {
      int64_t blocks = (longest + parameters.blockSize - 1) / parameters.blockSize;
      owned_.push_back(std::make_unique<PagedKVCache>(parameters, blocks * options_.sequences));
      LLMIR_RETURN_IF_ERROR(owned_.back()->status());
      caches_.push_back(owned_.back().get());
    }
    BatchLimits limits = limitsOf(model_, options_);
    auto workspace = HostMemory::allocate(static_cast<size_t>(model_.workspaceBytes(
        limits.maxTokens, limits.maxSequences, limits.maxRows, team_.size())));
    if (!workspace)
      return workspace.status();
    auto logits = HostMemory::allocate(static_cast<size_t>(limits.maxRows * limits.vocabularySize) *
                                       sizeof(float));
    if (!logits)
      return logits.status();
    workspace_ = *std::move(workspace);
    logits_ = *std::move(logits);
    return fill();
  }

  /// Runs the step over the filled cache, which it leaves as it was; nanoseconds. With clocks when
  /// `profile` is not null.
  StatusOr<double> run(const llmir_profile *profile) {
    batch_.clear();
    for (int64_t sequence = 0; sequence < options_.sequences; ++sequence)
      LLMIR_RETURN_IF_ERROR(add(sequence, options_.context, options_.tokens,
                                options_.allRows ? LogitsRows::All : LogitsRows::Last));
    LLMIR_RETURN_IF_ERROR(batch_.reserve(caches_));
    double time = runReserved(profile);
    LLMIR_RETURN_IF_ERROR(batch_.unreserve(caches_));
    return time;
  }

private:
  static constexpr int64_t kFillTokens = 512; ///< A step.

  static BatchLimits limitsOf(const LoadedModel &model, const ProfileOptions &options) {
    const Manifest &manifest = model.manifest();
    int64_t tokens = options.sequences * options.tokens;
    int64_t rows = options.allRows ? tokens : options.sequences;
    return {std::max(kFillTokens, tokens), options.sequences, rows, manifest.vocabularySize,
            manifest.maxSequenceLength};
  }

  Status add(int64_t sequence, int64_t first, int64_t count, LogitsRows rows) {
    tokens_.resize(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i)
      tokens_[static_cast<size_t>(i)] = static_cast<int32_t>(
          (sequence * 7919 + (first + i) * 104729 + 11) % model_.manifest().vocabularySize);
    return batch_.add({SequenceId{static_cast<int32_t>(sequence)}, tokens_, first, rows}).status();
  }

  Status fill() {
    for (int64_t sequence = 0; sequence < options_.sequences; ++sequence)
      for (int64_t first = 0; first < options_.context; first += kFillTokens) {
        batch_.clear();
        LLMIR_RETURN_IF_ERROR(add(sequence, first, std::min(kFillTokens, options_.context - first),
                                  LogitsRows::None));
        LLMIR_RETURN_IF_ERROR(batch_.reserve(caches_));
        runReserved(nullptr);
      }
    return Status::ok();
  }

  double runReserved(const llmir_profile *profile) {
    llmir_step_args args = batch_.stepArguments();
    args.logits = reinterpret_cast<float *>(logits_.data());
    args.weights = model_.weights();
    args.workspace = workspace_.data();
    args.barrier = &WorkerTeam::barrierEntry;
    args.team = &team_;
    int64_t begin = now();
    team_.run([&](int32_t worker) {
      profile ? model_.profile()(&args, worker, team_.size(), profile)
              : model_.step()(&args, worker, team_.size());
    });
    return static_cast<double>(now() - begin);
  }

  const LoadedModel &model_;
  WorkerTeam &team_;
  const ProfileOptions &options_;
  Batch batch_;
  std::vector<std::unique_ptr<PagedKVCache>> owned_;
  std::vector<PagedKVCache *> caches_;
  std::vector<int32_t> tokens_;
  HostMemory workspace_, logits_;
};

/// The calls of the model's table with what they read and compute in the step; `unit` is still the
/// table's.
StatusOr<std::vector<CallProfile>> readCalls(const LoadedModel &model, const StepProfile &profile) {
  auto table = nlohmann::json::parse(model.profileTable(), nullptr, /*allow_exceptions=*/false);
  auto tokens = static_cast<double>(profile.sequences * profile.tokens);
  auto contexts = static_cast<double>(profile.sequences * (profile.context + profile.tokens));
  // Token i of a sequence sees the context and i + 1 tokens of the step.
  double seen =
      tokens * (static_cast<double>(profile.context) + static_cast<double>(profile.tokens + 1) / 2);
  std::vector<CallProfile> calls;
  if (!table.is_array())
    return dataLoss("expected the model's table of calls to be an array");
  for (const auto &entry : table) {
    bool isComplete = entry.is_object();
    auto number = [&](const char *name) {
      isComplete = isComplete && entry.contains(name) && entry[name].is_number();
      return isComplete ? entry[name].get<double>() : 0.0;
    };
    auto text = [&](const char *name) {
      isComplete = isComplete && entry.contains(name) && entry[name].is_string();
      return isComplete ? entry[name].get<std::string>() : std::string();
    };
    CallProfile call;
    call.name = text("name");
    call.unit = text("unit");
    double repetitions = number("repetitions");
    call.repetitions = static_cast<int64_t>(repetitions);
    call.bytes = repetitions * (number("bytes") + tokens * number("bytes_per_token") +
                                contexts * number("bytes_per_key"));
    call.operations =
        repetitions * (tokens * number("operations_per_token") +
                       static_cast<double>(profile.rows) * number("operations_per_row") +
                       seen * number("operations_per_key"));
    if (!isComplete)
      return dataLoss("expected calls with names and numbers in the model's table, but got " +
                      entry.dump());
    calls.push_back(std::move(call));
  }
  return calls;
}

/// Replaces the table's unit by the fastest of the machine's that the model's code may use, and
/// sets the floor.
void setFloors(const MachineReport &machine, const Manifest &manifest, StepProfile &profile) {
  auto mayUse = [&](const ComputeFigure &figure) {
    return std::all_of(figure.features.begin(), figure.features.end(), [&](const auto &feature) {
      return std::find(manifest.targetFeatures.begin(), manifest.targetFeatures.end(), feature) !=
             manifest.targetFeatures.end();
    });
  };
  auto fastest = [&](const std::string &kind) {
    std::pair<std::string, double> best;
    for (const ComputeFigure &figure : machine.compute)
      if (figure.unit.starts_with(kind) && figure.gigaOperationsPerSecond && mayUse(figure) &&
          figure.gigaOperationsPerSecond->median > best.second)
        best = {figure.unit, figure.gigaOperationsPerSecond->median};
    return best;
  };
  for (CallProfile &call : profile.calls) {
    auto [unit, peak] = fastest(call.unit);
    if (peak == 0 && call.unit == "bf16") // Multiplied as f32 where there are no dots of them.
      std::tie(unit, peak) = fastest("f32");
    call.unit = unit;
    // Units per ns are G units per s.
    call.floorMicroseconds = call.bytes / profile.bandwidth / 1e3;
    if (peak > 0)
      call.floorMicroseconds = std::max(call.floorMicroseconds, call.operations / peak / 1e3);
  }
}

Status measure(ProfiledModel &model, const ProfileOptions &options, StepProfile &profile) {
  size_t stride = (2 * profile.calls.size() + 7) / 8 * 8; // Lines of their own for each worker.
  std::vector<int64_t> times(stride * static_cast<size_t>(options.threads));
  llmir_profile clocks{&now, times.data(), static_cast<int64_t>(stride)};
  std::vector<double> plain, clocked;
  std::vector<std::vector<double>> sums(2 * profile.calls.size());
  constexpr int64_t warmUps = 2, leastSteps = 5;
  int64_t start = now();
  for (int64_t step = 0;
       step < warmUps + leastSteps || static_cast<double>(now() - start) < options.seconds * 1e9;
       ++step) {
    StatusOr<double> without = model.run(nullptr);
    if (!without)
      return without.status();
    std::fill(times.begin(), times.end(), 0);
    StatusOr<double> with = model.run(&clocks);
    if (!with)
      return with.status();
    if (step < warmUps)
      continue;
    plain.push_back(*without);
    clocked.push_back(*with);
    for (size_t i = 0; i < sums.size(); ++i) {
      double sum = 0;
      for (size_t worker = 0; worker < static_cast<size_t>(options.threads); ++worker)
        sum += static_cast<double>(times[worker * stride + i]);
      sums[i].push_back(sum / options.threads);
    }
  }
  profile.steps = static_cast<int64_t>(plain.size());
  profile.stepMicroseconds = median(plain) / 1e3;
  profile.clockMicroseconds = median(clocked) / 1e3 - profile.stepMicroseconds;
  for (size_t i = 0; i < profile.calls.size(); ++i) {
    profile.calls[i].workMicroseconds = median(sums[2 * i]) / 1e3;
    profile.calls[i].waitMicroseconds = median(sums[2 * i + 1]) / 1e3;
  }
  return Status::ok();
}

/// What the machine does with the model's bytes and the profile's threads.
StatusOr<MachineReport> probe(const Manifest &manifest, int32_t threads, bool compute) {
  ProbeOptions options;
  options.workingSets = {std::max<int64_t>(manifest.weightBytes, 1)};
  options.threads = {threads};
  options.compute = compute;
  return probeMachine(options);
}

double bandwidthOf(const MachineReport &machine) {
  for (const BandwidthFigure &figure : machine.bandwidth)
    if (figure.pages == Pages::Huge)
      return figure.gigabytesPerSecond.median;
  return 0;
}

} // namespace

double StepProfile::floorMicroseconds() const {
  double sum = 0;
  for (const CallProfile &call : calls)
    sum += call.floorMicroseconds;
  return sum;
}

StatusOr<StepProfile> profileStep(const ProfileOptions &options) {
  auto announce = [&](const char *what) {
    if (options.progress)
      options.progress(std::string(what) + ", " + std::to_string(options.threads) + " threads");
  };
  StatusOr<Manifest> manifest = LoadedModel::readManifest(options.model);
  if (!manifest)
    return manifest.status();
  LLMIR_RETURN_IF_ERROR(checkOptions(options, *manifest));
  announce("probing");
  StatusOr<MachineReport> machine = probe(*manifest, options.threads, /*compute=*/true);
  if (!machine)
    return machine.status();

  announce("loading the model");
  StatusOr<std::unique_ptr<WorkerTeam>> team = WorkerTeam::create({.workers = options.threads});
  if (!team)
    return team.status();
  LoadOptions loading;
  loading.team = team->get();
  StatusOr<std::unique_ptr<LoadedModel>> model = LoadedModel::open(options.model, loading);
  if (!model)
    return model.status();
  if (!(*model)->profile() || !(*model)->profileTable())
    return failedPrecondition(options.model +
                              ": expected a model compiled with --profile, but it has no clocks");
  StepProfile profile{.model = manifest->name,
                      .processor = machine->processor,
                      .threads = options.threads,
                      .sequences = options.sequences,
                      .tokens = options.tokens,
                      .context = options.context,
                      .rows = options.sequences * (options.allRows ? options.tokens : 1),
                      .calls = {}};
  auto calls = readCalls(**model, profile);
  if (!calls)
    return calls.status();
  profile.calls = *std::move(calls);

  announce("filling the cache");
  {
    ProfiledModel profiled(**model, **team, options);
    LLMIR_RETURN_IF_ERROR(profiled.prepare());
    announce("running steps");
    LLMIR_RETURN_IF_ERROR(measure(profiled, options, profile));
  }
  // Where others use the memory, too, its rate moves: what it is behind the steps counts as much.
  team->reset();
  announce("probing again");
  StatusOr<MachineReport> after = probe(*manifest, options.threads, /*compute=*/false);
  if (!after)
    return after.status();
  double rates[] = {bandwidthOf(*machine), bandwidthOf(*after)};
  profile.bandwidth = (rates[0] + rates[1]) / 2;
  profile.bandwidthDrift = std::abs(rates[1] - rates[0]) / profile.bandwidth;
  profile.stealShare = std::max(machine->stealShare, after->stealShare);
  setFloors(*machine, *manifest, profile);
  return profile;
}

} // namespace llmir::benchmark
