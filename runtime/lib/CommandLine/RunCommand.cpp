// The order of a run: open, read prompts, make requests, serve, report.

#include "llmir/CommandLine/RunCommand.h"

#include "llmir/CommandLine/CacheDumpRecorder.h"
#include "llmir/CommandLine/GenerationOutput.h"
#include "llmir/CommandLine/NpyWriter.h"
#include "llmir/CommandLine/Perplexity.h"
#include "llmir/CommandLine/Prompts.h"
#include "llmir/CommandLine/RunReport.h"
#include "llmir/CommandLine/Terminal.h"

#include <cinttypes>
#include <cstdio>
#include <random>
#include <unistd.h>

namespace llmir {

static std::vector<GenerationRequest> makeRequests(std::span<const Prompt> prompts,
                                                   const RunOptions &options, uint64_t seed) {
  std::vector<GenerationRequest> requests;
  for (const Prompt &prompt : prompts) {
    GenerationRequest request;
    request.prompt = prompt.tokens;
    if (options.numTokens >= 0)
      request.maxNewTokens = options.numTokens;
    request.sampling = samplingOf(options, seed);
    if (options.ignoresEndOfGeneration)
      request.endOfGeneration = EndOfGeneration::Ignore;
    if (options.logitsPath)
      request.logits = LogitsCollection::All;
    requests.push_back(std::move(request));
  }
  return requests;
}

static GenerationOutputOptions outputOptionsOf(const RunOptions &options, size_t numPrompts) {
  GenerationOutputOptions output;
  output.echoesPrompt = options.echoesPrompt;
  if (options.printsTokens)
    output.form = OutputForm::TokenIds;
  else if (numPrompts > 1 || options.batchFile)
    output.form = OutputForm::Sections;
  return output;
}

static Status generate(const RunOptions &options, ModelSession &session, RunReport &report) {
  StatusOr<std::vector<Prompt>> prompts =
      readPrompts(options, session.tokenizer(), session.metadata());
  if (!prompts)
    return prompts.status();
  if (!options.printsTokens)
    LLMIR_RETURN_IF_ERROR(session.tokenizer().status());
  uint64_t seed = (uint64_t{std::random_device()()} << 32) | std::random_device()();
  std::vector<GenerationRequest> requests = makeRequests(*prompts, options, seed);
  if (options.temperature > 0.0f)
    report.seed = requests.front().sampling.seed;

  StatusOr<std::unique_ptr<GenerationSetup>> setup =
      GenerationSetup::create(session, options, requests);
  if (!setup)
    return setup.status();
  std::optional<NpyWriter> logits;
  if (options.logitsPath) {
    StatusOr<NpyWriter> writer =
        NpyWriter::create(*options.logitsPath, session.model().manifest().vocabularySize);
    if (!writer)
      return writer.status();
    logits.emplace(std::move(*writer));
  }
  OutputStream stream(STDOUT_FILENO);
  const Tokenizer *tokenizer = session.tokenizer() ? &*session.tokenizer() : nullptr;
  GenerationOutput output(*prompts, tokenizer, stream, logits ? &*logits : nullptr,
                          outputOptionsOf(options, prompts->size()));
  std::optional<CacheDumpRecorder> recorder;
  if (options.cacheDumpPath)
    recorder.emplace((*setup)->caches(), (*setup)->prefixTree(), output);
  Status served = (*setup)->generator().run(
      requests, recorder ? static_cast<GenerationListener &>(*recorder) : output);
  // The picture is wanted most when the run has failed.
  if (Status written = recorder ? recorder->write(*options.cacheDumpPath) : Status::ok();
      served && !written)
    served = written;
  LLMIR_RETURN_IF_ERROR(served);
  report.generation = (*setup)->generator().statistics();
  if (options.usesPrefixCache)
    report.reusedTokens = report.generation.reusedTokens;
  report.cacheBytesPerToken = (*setup)->cacheBytesPerToken();
  return logits && !SignalScope::wasInterrupted() ? logits->commit() : Status::ok();
}

static Status measurePerplexity(const RunOptions &options, ModelSession &session,
                                RunReport &report) {
  LLMIR_RETURN_IF_ERROR(session.tokenizer().status());
  const Tokenizer &tokenizer = *session.tokenizer();
  StatusOr<std::string> text = readTextFile(*options.perplexityFile);
  if (!text)
    return text.status();
  std::vector<int32_t> tokens = tokenizer.encode(*text, {AddBOS::No, ParseSpecial::No});
  if (options.maxTokens && *options.maxTokens < static_cast<int64_t>(tokens.size()))
    tokens.resize(static_cast<size_t>(*options.maxTokens));

  PerplexityOptions perplexityOptions;
  perplexityOptions.windowLength = session.contextLength();
  if (tokenizer.addsBos())
    perplexityOptions.bos = tokenizer.specialTokens().bos;
  if (perplexityOptions.windowLength < 2)
    return invalidArgument("expected a context of at least 2 tokens for a perplexity");
  std::vector<GenerationRequest> windows = makePerplexityRequests(tokens, perplexityOptions);
  if (windows.empty())
    return invalidArgument("expected '" + *options.perplexityFile +
                           "' to have at least 2 tokens, but got " + std::to_string(tokens.size()));
  // The windows run one by one, so the pool is for the first and longest.
  StatusOr<std::unique_ptr<GenerationSetup>> setup =
      GenerationSetup::create(session, options, std::span(windows).first(1));
  if (!setup)
    return setup.status();
  StatusOr<PerplexityResult> result = computePerplexity((*setup)->generator(), windows);
  if (!result)
    return result.status();
  report.generation = (*setup)->generator().statistics();
  report.perplexity = *result;
  char line[96];
  std::snprintf(line, sizeof line, "perplexity %.4f over %" PRId64 " tokens\n", result->perplexity,
                result->numPredicted);
  return OutputStream(STDOUT_FILENO).write(line);
}

int runModel(const RunOptions &options, const std::optional<LinkedModel> &linked) {
  if (Status status = checkRunOptions(options); !status) {
    reportError(status);
    return ExitUsage;
  }
  SignalScope signals;
  StatusOr<std::unique_ptr<ModelSession>> session = ModelSession::open(options, linked);
  if (!session)
    return reportError(session.status());
  RunReport report;
  report.model = (*session)->model().manifest().name;
  report.loadSeconds = (*session)->loadSeconds();
  report.threads = (*session)->team().size();
  report.level = (*session)->model().level();
  report.weightBytesPerToken = (*session)->model().manifest().bytesPerToken;
  report.readBandwidth = (*session)->readBandwidth();
  Status status = options.perplexityFile ? measurePerplexity(options, **session, report)
                                         : generate(options, **session, report);
  bool wasInterrupted = SignalScope::wasInterrupted();
  if (!status && !wasInterrupted)
    return reportError(status);
  if (options.stats == StatsForm::Text)
    std::fputs(formatReport(report).c_str(), stderr);
  if (options.stats == StatsForm::JSON)
    std::fputs(formatReportAsJSON(report).c_str(), stderr);
  return wasInterrupted ? ExitInterrupted : ExitSuccess;
}

} // namespace llmir
