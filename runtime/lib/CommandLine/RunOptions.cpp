// The options of `llmir run`: their names, their help, and which of them go together.

#include "llmir/CommandLine/RunOptions.h"

#include "llmir/Engine/Generator.h"

#include <CLI/CLI.hpp>
#include <map>

namespace llmir {

static void addPromptOptions(CLI::App &app, RunOptions &options) {
  const char *group = "Prompt (one of these)";
  app.add_option("-p,--prompt", options.prompt, "Text to continue")
      ->group(group)
      ->type_name("TEXT");
  app.add_option("--prompt-file", options.promptFile,
                 "File whose whole text is the prompt (-: standard input)")
      ->group(group)
      ->type_name("FILE");
  app.add_option("--tokens", options.tokens,
                 "Token ids, separated by commas; @FILE has a prompt a line")
      ->group(group)
      ->type_name("IDS");
  app.add_option("--batch", options.batchFile,
                 "File with a prompt a line; all are served together, and printed in order")
      ->group(group)
      ->type_name("FILE");
  app.add_option("--perplexity", options.perplexityFile,
                 "Print the model's perplexity on a text file, in windows of the context")
      ->group(group)
      ->type_name("FILE");
  app.add_flag("--chat", options.usesChatTemplate,
               "Give each prompt to the model's chat template as a user's message")
      ->group("Chat");
  app.add_option("--system", options.systemMessage, "With --chat: the system message before it")
      ->group("Chat")
      ->type_name("TEXT");
}

static void addGenerationOptions(CLI::App &app, RunOptions &options) {
  const char *group = "Generation";
  app.add_option("-n,--num-tokens", options.numTokens,
                 "Tokens to generate for each prompt; -1: until the context ends")
      ->group(group)
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--temperature", options.temperature,
                 "Above 0: draw from the softmax of logits / temperature; 0: take the most likely "
                 "token, so that the same prompt always gives the same text")
      ->group(group)
      ->capture_default_str()
      ->type_name("T");
  app.add_option("--top-k", options.topK, "Draw from the K most likely tokens only; 0: from all")
      ->group(group)
      ->capture_default_str()
      ->type_name("K");
  app.add_option("--top-p", options.topP,
                 "Draw from the fewest most likely tokens that together have probability P")
      ->group(group)
      ->capture_default_str()
      ->type_name("P");
  app.add_option("--seed", options.seed,
                 "Seed of the draws; without it they differ from run to run (--stats prints it)")
      ->group(group)
      ->type_name("SEED");
  app.add_flag("--ignore-eos", options.ignoresEndOfGeneration,
               "Go on after the model's end-of-generation tokens")
      ->group(group);
}

static void addExecutionOptions(CLI::App &app, RunOptions &options) {
  const char *group = "Execution";
  app.add_option("--threads", options.threads,
                 "Threads; 0: one for each CPU that the process may use")
      ->group(group)
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--level", options.level,
                 "The version to run of a model compiled with --multiversion (`llmir inspect` "
                 "lists them); default: the best that this host can run")
      ->group(group)
      ->type_name("NAME");
  app.add_option("--chunk", options.chunk, "Most prompt tokens a step, 1 to 512")
      ->group(group)
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--context", options.contextLength,
                 "Most tokens of a prompt and its continuation; default: the model's limit")
      ->group(group)
      ->type_name("N");
  app.add_option("--kv-blocks", options.kvBlocks,
                 "Blocks of the KV cache's pool; default: enough for the prompts given")
      ->group(group)
      ->type_name("N");
  app.add_option("--shuffle-blocks", options.shuffleBlocks,
                 "Hand out the KV cache's blocks in a random order: a check, as nothing may change")
      ->group(group)
      ->type_name("SEED");
  app.add_flag("--prefix-cache", options.usesPrefixCache,
               "Compute what prompts start with alike once; what is printed does not change (not "
               "for prompts whose --logits are wanted)")
      ->group(group);
  app.add_flag("--verify-weights", options.verifiesWeights,
               "Compare the weights with the file's checksum while loading")
      ->group(group);
}

static void addOutputOptions(CLI::App &app, RunOptions &options) {
  const char *group = "Output";
  app.add_flag("--echo", options.echoesPrompt, "Print the prompt before its continuation")
      ->group(group);
  app.add_flag("--print-tokens", options.printsTokens,
               "Print the generated token ids, a line for each prompt, instead of text")
      ->group(group);
  app.add_option("--logits", options.logitsPath,
                 "Write the logits to a NumPy file: float32, a row for each prompt token and each "
                 "generated token that was fed back, prompts one after another")
      ->group(group)
      ->type_name("OUT.npy");
  app.add_option(
         "--dump-cache", options.cacheDumpPath,
         "Write who had which block of the KV cache when it was fullest, for `llmir inspect "
         "cache`; a picture if OUT ends in .svg")
      ->group(group)
      ->type_name("OUT");
  app.add_option("--max-tokens", options.maxTokens,
                 "With --perplexity: use the first N tokens of the text only")
      ->group(group)
      ->type_name("N");
  const std::map<std::string, StatsForm> forms = {{"text", StatsForm::Text},
                                                  {"json", StatsForm::JSON}};
  app.add_flag("--stats{text}", options.stats,
               "Print the run's figures to the standard error; =json: as one line of JSON")
      ->group(group)
      ->type_name("[=text|json]")
      ->transform(CLI::CheckedTransformer(forms).description(""));
}

void addRunOptions(CLI::App &app, RunOptions &options, ModelSource source) {
  if (source == ModelSource::Argument)
    app.add_option("model", options.modelPath, "The compiled model (model.llmir)")
        ->required()
        ->type_name("MODEL");
  addPromptOptions(app, options);
  addGenerationOptions(app, options);
  addExecutionOptions(app, options);
  addOutputOptions(app, options);
}

/// The options that give prompts, as they are named, and whether each is there.
static std::vector<const char *> promptSourcesOf(const RunOptions &options) {
  std::vector<const char *> sources;
  auto add = [&](const std::optional<std::string> &value, const char *name) {
    if (value)
      sources.push_back(name);
  };
  add(options.prompt, "--prompt");
  add(options.promptFile, "--prompt-file");
  add(options.tokens, "--tokens");
  add(options.batchFile, "--batch");
  add(options.perplexityFile, "--perplexity");
  return sources;
}

static Status checkAtLeast(const char *option, int64_t value, int64_t least) {
  if (value >= least)
    return Status::ok();
  return invalidArgument(std::string("expected ") + option + " to be at least " +
                         std::to_string(least) + ", but got " + std::to_string(value));
}

Status checkRunOptions(const RunOptions &options) {
  std::vector<const char *> sources = promptSourcesOf(options);
  if (sources.empty())
    return invalidArgument("expected a prompt: --prompt, --prompt-file, --tokens, --batch or "
                           "--perplexity");
  if (sources.size() > 1)
    return invalidArgument(std::string("expected one of ") + sources[0] + " and " + sources[1] +
                           ", but got both");
  if (options.usesChatTemplate && (options.tokens || options.perplexityFile))
    return invalidArgument(std::string("--chat needs text to put into the template, but got ") +
                           sources[0]);
  if (options.systemMessage && !options.usesChatTemplate)
    return invalidArgument("--system needs --chat");
  if (options.maxTokens && !options.perplexityFile)
    return invalidArgument("--max-tokens needs --perplexity (to generate fewer tokens, use -n)");
  if (options.perplexityFile && options.usesPrefixCache)
    return invalidArgument(
        "--perplexity needs the logits of all tokens, so --prefix-cache does not "
        "go with it");
  if (options.perplexityFile &&
      (options.logitsPath || options.printsTokens || options.cacheDumpPath))
    return invalidArgument("--perplexity generates nothing, so --logits, --print-tokens and "
                           "--dump-cache do not go with it");
  LLMIR_RETURN_IF_ERROR(checkAtLeast("--num-tokens", options.numTokens, -1));
  LLMIR_RETURN_IF_ERROR(checkAtLeast("--threads", options.threads, 0));
  LLMIR_RETURN_IF_ERROR(checkAtLeast("--context", options.contextLength.value_or(1), 1));
  LLMIR_RETURN_IF_ERROR(checkAtLeast("--kv-blocks", options.kvBlocks.value_or(1), 1));
  LLMIR_RETURN_IF_ERROR(checkAtLeast("--max-tokens", options.maxTokens.value_or(2), 2));
  if (options.chunk < 1 || options.chunk > GeneratorOptions::maxChunk)
    return invalidArgument("expected --chunk to be from 1 to " +
                           std::to_string(GeneratorOptions::maxChunk) + ", but got " +
                           std::to_string(options.chunk));
  return samplingOf(options, 0).validate();
}

SamplingParameters samplingOf(const RunOptions &options, uint64_t seed) {
  SamplingParameters sampling;
  sampling.temperature = options.temperature;
  sampling.topK = options.topK;
  sampling.topP = options.topP;
  sampling.seed = options.seed.value_or(seed);
  return sampling;
}

} // namespace llmir
