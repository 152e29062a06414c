// A program for AArch64 that serves prompts of token ids from a compiled model and writes a row of
// logits for each token, with the runtime's own loading, workers, caches and steps; the tests run
// it under qemu. It is no `llmir run`: it has no text, no sampling and no library of a third party.
//
//   llmir-aarch64-steps MODEL PROMPTS LOGITS CHUNK THREADS [SEED]
//   llmir-aarch64-steps units
//
// The second runs each of the probe's units that the processor has, and prints its name.
// PROMPTS: a line of ids separated by commas for each. LOGITS: f32, prompts one after another.
// A step takes at most CHUNK tokens, of as many prompts as that makes.

#include "ComputeUnits.h"

#include "llmir/Engine/LoadedModel.h"
#include "llmir/Engine/StepRunner.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

using namespace llmir;

namespace {

struct Prompt {
  std::vector<int32_t> tokens;
  size_t done = 0;
  std::vector<float> logits;
};

std::vector<Prompt> readPrompts(const char *path) {
  std::vector<Prompt> prompts;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream ids(line);
    Prompt prompt;
    for (int32_t id; ids >> id;)
      prompt.tokens.push_back(id);
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

/// The next step of at most `chunk` tokens; false when there is nothing left.
StatusOr<bool> runStep(StepRunner &runner, std::vector<Prompt> &prompts, size_t chunk) {
  struct Share {
    Prompt *prompt;
    RowRange rows;
    size_t tokens;
  };
  std::vector<Share> shares;
  runner.batch().clear();
  for (size_t i = 0; i < prompts.size() && chunk > 0; ++i) {
    Prompt &prompt = prompts[i];
    size_t count = std::min(chunk, prompt.tokens.size() - prompt.done);
    if (count == 0)
      continue;
    BatchEntry entry{static_cast<SequenceId>(i),
                     std::span(prompt.tokens).subspan(prompt.done, count),
                     static_cast<int64_t>(prompt.done), LogitsRows::All};
    StatusOr<RowRange> rows = runner.batch().add(entry);
    if (!rows)
      return rows.status();
    shares.push_back({&prompt, *rows, count});
    chunk -= count;
  }
  if (shares.empty())
    return false;
  LLMIR_RETURN_IF_ERROR(runner.run());
  for (const Share &share : shares) {
    for (int64_t row = 0; row < share.rows.count; ++row) {
      std::span<const float> logits = runner.logits(share.rows.first + row);
      share.prompt->logits.insert(share.prompt->logits.end(), logits.begin(), logits.end());
    }
    share.prompt->done += share.tokens;
  }
  return true;
}

Status serve(char **arguments, std::vector<Prompt> &prompts) {
  int64_t chunk = std::atoll(arguments[4]);
  WorkerTeamOptions teamOptions;
  teamOptions.workers = std::atoi(arguments[5]);
  StatusOr<std::unique_ptr<WorkerTeam>> team = WorkerTeam::create(teamOptions);
  if (!team)
    return team.status();
  LoadOptions loadOptions;
  loadOptions.team = team->get();
  StatusOr<std::unique_ptr<LoadedModel>> model = LoadedModel::open(arguments[1], loadOptions);
  if (!model)
    return model.status();
  StepProgram program = stepProgramOf(**model);
  std::vector<std::unique_ptr<PagedKVCache>> caches;
  std::vector<PagedKVCache *> pointers;
  for (const CacheParameters &parameters : program.caches) {
    StatusOr<llmir_cache_layout> layout = makeCacheLayout(parameters);
    if (!layout)
      return layout.status();
    int64_t numBlocks = 0;
    for (const Prompt &prompt : prompts)
      numBlocks += blocksForTokens(*layout, static_cast<int64_t>(prompt.tokens.size()));
    caches.push_back(std::make_unique<PagedKVCache>(parameters, numBlocks));
    LLMIR_RETURN_IF_ERROR(caches.back()->status());
    if (arguments[6])
      caches.back()->shuffleFreeBlocks(static_cast<uint64_t>(std::atoll(arguments[6])));
    pointers.push_back(caches.back().get());
  }
  StepSize largest{chunk, static_cast<int64_t>(prompts.size()), chunk};
  StatusOr<std::unique_ptr<StepRunner>> runner =
      StepRunner::create(program, **team, pointers, largest);
  if (!runner)
    return runner.status();
  while (true) {
    StatusOr<bool> ran = runStep(**runner, prompts, static_cast<size_t>(chunk));
    if (!ran || !*ran)
      return ran.status();
  }
}

int runUnits() {
  for (const benchmark::ComputeUnit &unit : benchmark::computeUnits()) {
    if (CPUFeatures::host().firstMissing(unit.features))
      continue;
    unit.run(1000);
    std::printf("%s\n", unit.name);
  }
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  if (argc == 2 && std::strcmp(argv[1], "units") == 0)
    return runUnits();
  if (argc != 6 && argc != 7) {
    std::fprintf(stderr, "usage: %s MODEL PROMPTS LOGITS CHUNK THREADS [SEED] | units\n", argv[0]);
    return 2;
  }
  std::vector<Prompt> prompts = readPrompts(argv[2]);
  if (Status status = serve(argv, prompts); !status) {
    std::fprintf(stderr, "error: %s\n", status.message().c_str());
    return 1;
  }
  std::ofstream output(argv[3], std::ios::binary);
  for (const Prompt &prompt : prompts)
    output.write(reinterpret_cast<const char *>(prompt.logits.data()),
                 static_cast<std::streamsize>(prompt.logits.size() * sizeof(float)));
  output.close();
  return output ? 0 : 1;
}
