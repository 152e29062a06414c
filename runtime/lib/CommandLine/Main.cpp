// Declares the sub-commands, parses, and hands over to the command that was named.

#include "llmir/CommandLine/Main.h"

#include "llmir/CommandLine/CompileCommand.h"
#include "llmir/CommandLine/InspectCommand.h"
#include "llmir/CommandLine/RunCommand.h"
#include "llmir/CommandLine/Terminal.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>

namespace llmir {

static constexpr const char *versionText = "LLMIR " LLMIR_VERSION;

static constexpr const char *mainExamples =
    "A language model, compiled ahead of time, in two steps:\n"
    "  llmir compile SmolLM2-135M.gguf -o smollm2.llmir     weights, code and tokenizer in one "
    "file\n"
    "  llmir run smollm2.llmir --chat -p \"What is a KV cache?\"\n"
    "\n"
    "And what is inside:\n"
    "  llmir inspect SmolLM2-135M.gguf                      metadata and tensors\n"
    "  llmir inspect smollm2.llmir                          target, memory, sections\n"
    "\n"
    "`llmir COMMAND --help` explains a command.";

static constexpr const char *runExamples =
    "Examples:\n"
    "  llmir run model.llmir -p \"The capital of France is\" -n 32\n"
    "  llmir run model.llmir --chat --system \"Be brief.\" -p \"Why is the sky blue?\"\n"
    "  llmir run model.llmir -p \"Once upon a time\" --temperature 0.8 --top-p 0.95 --seed 7\n"
    "  llmir run model.llmir --batch prompts.txt -n 64 --stats\n"
    "  llmir run model.llmir --tokens 504,3575,282 -n 8 --print-tokens --logits rows.npy\n"
    "  llmir run model.llmir --perplexity text.txt --max-tokens 1024\n"
    "\n"
    "The text goes to the standard output, figures and errors to the standard error. The exit code "
    "is\n"
    "0, or 1 after an error, 2 for wrong usage, 130 after an interrupt.";

static constexpr const char *inspectExamples =
    "Examples:\n"
    "  llmir inspect model.gguf\n"
    "  llmir inspect model.llmir --json\n"
    "  printf 'Hello\\0world' | llmir inspect model.gguf --tokenize -\n"
    "  llmir inspect cache checkpoints/000000000001.manifest --svg pool.svg\n"
    "  echo '[{\"role\": \"user\", \"content\": \"Hi\"}]' | llmir inspect model.gguf --render-chat "
    "-";

/// Runs the parser; the exit code when there is nothing more to do (help, version, wrong usage).
static std::optional<int> parse(CLI::App &app, int argc, char **argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &success) {
    return app.exit(success);
  } catch (const CLI::ParseError &error) {
    reportError(invalidArgument(error.what()));
    std::fprintf(stderr, "run with --help for more information\n");
    return ExitUsage;
  }
  return std::nullopt;
}

int runLlmir(int argc, char **argv) {
  // The compiler has its own options and its own help, so its arguments are passed on unread.
  if (argc >= 2 && std::strcmp(argv[1], "compile") == 0)
    return executeCompiler({argv + 2, static_cast<size_t>(argc) - 2});

  CLI::App app("LLMIR: compiles language models to native code and runs them.", "llmir");
  app.set_version_flag("--version", versionText, "Print the version and exit");
  app.footer(mainExamples);
  RunOptions runOptions;
  CLI::App *run = app.add_subcommand("run", "Continue prompts with a compiled model");
  run->footer(runExamples);
  addRunOptions(*run, runOptions, ModelSource::Argument);
  app.add_subcommand("compile", "Compile a checkpoint (executes llmir-compile; see its --help)");
  InspectOptions inspectOptions;
  CLI::App *inspect =
      app.add_subcommand("inspect", "Show what is in a checkpoint or a compiled model");
  inspect->footer(inspectExamples);
  addInspectOptions(*inspect, inspectOptions);

  if (argc < 2) {
    std::fputs(app.help().c_str(), stderr);
    return ExitUsage;
  }
  app.require_subcommand(1);
  if (std::optional<int> code = parse(app, argc, argv))
    return *code;
  return *run ? runModel(runOptions) : inspectModel(inspectOptions);
}

int runModelExecutable(int argc, char **argv, std::span<const llmir_linked_step> steps,
                       uint32_t abiVersion) {
  CLI::App app("A language model compiled by LLMIR: code, weights and runtime in one program.");
  app.set_version_flag("--version", versionText, "Print the version and exit");
  RunOptions options;
  addRunOptions(app, options, ModelSource::Program);
  if (std::optional<int> code = parse(app, argc, argv))
    return *code;
  return runModel(options, LinkedModel{steps, abiVersion});
}

} // namespace llmir
