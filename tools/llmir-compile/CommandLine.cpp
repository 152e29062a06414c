// Declares the options with CLI11 and fills CompileOptions from them.

#include "CommandLine.h"
#include "llmir/Conversion/LLMToCPU/CPUTarget.h"
#include "llmir/Target/CPU/ObjectCache.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <CLI/CLI.hpp>
#include <map>
#include <thread>

using namespace mlir::llm;

static constexpr const char *kDescription =
    "Compiles a language model's checkpoint (GGUF) ahead of time into native code that serves it.";

static constexpr const char *kExamples = R"(Examples:
  llmir-compile model.gguf                        one file, model.llmir: code, weights, tokenizer;
                                                  run it with: llmir run model.llmir -p "..."
  llmir-compile model.gguf --emit=exe -o chat     a program of its own: ./chat -p "..."
  llmir-compile model.gguf --activations=f32 --kv=f32 -o exact.llmir
                                                  the reference arithmetic, slower
  llmir-compile model.gguf --kv-budget=256MB --kv-sequences=8
                                                  KV caches of 8 sequences in 256 MB
  llmir-compile bf16.gguf --quantize=int4         float weights as 4-bit codes; says what it cost
  llmir-compile model.gguf --compile-to=optimize  the fused `llm` IR, as text
  llmir-compile model.gguf --mcpu=znver5          for another machine than this one
  llmir-compile model.gguf --multiversion         one file for hosts with different units
  llmir-compile model.gguf --triple=aarch64-linux-gnu --features=dotprod,i8mm
                                                  for one with another instruction set
  llmir-compile model.gguf --emit=asm --features=avx2,fma,f16c -o step.s
                                                  the assembly for a host with just these units

Phases: input (checked), shard (this rank's part), optimize (fused, typed, laid out), kernel (tile
functions and the step), target (LLVM dialect).)";

static const std::map<std::string, EmitKind> kEmitKinds = {
    {"mlir", EmitKind::MLIR},     {"llvm", EmitKind::LLVMIR},     {"asm", EmitKind::Assembly},
    {"obj", EmitKind::Object},    {"so", EmitKind::SharedObject}, {"exe", EmitKind::Executable},
    {"llmir", EmitKind::Artifact}};
static const std::map<std::string, ActivationType> kActivations = {
    {"f32", ActivationType::F32}, {"int8", ActivationType::I8}, {"bf16", ActivationType::BF16}};
static const std::map<std::string, KVElementType> kKVTypes = {
    {"f32", KVElementType::F32},       {"f16", KVElementType::F16},
    {"bf16", KVElementType::BF16},     {"f8E4M3FN", KVElementType::F8E4M3FN},
    {"f8E5M2", KVElementType::F8E5M2}, {"i8", KVElementType::I8},
    {"i4", KVElementType::I4}};
static const std::map<std::string, WeightStorage> kWeightStorages = {{"int8", WeightStorage::I8},
                                                                     {"int4", WeightStorage::I4}};
static const std::map<std::string, WeightSymmetry> kSymmetries = {
    {"symmetric", WeightSymmetry::Symmetric},
    {"asymmetric", WeightSymmetry::Asymmetric},
    {"best", WeightSymmetry::Best}};
static const std::map<std::string, TimingFormat> kTimings = {{"table", TimingFormat::Table},
                                                             {"json", TimingFormat::JSON}};

/// The output of `llmir-compile dir/model.gguf` without -o: `model.llmir` in the current folder.
static std::string defaultOutput(const std::string &input, EmitKind emit) {
  std::string stem = llvm::sys::path::stem(input).str();
  switch (emit) {
  case EmitKind::Object:
    return stem + ".o";
  case EmitKind::SharedObject:
    return stem + ".so";
  case EmitKind::Executable:
    return stem;
  case EmitKind::Artifact:
    return stem + ".llmir";
  default:
    return "";
  }
}

/// An option that takes one of the names in `values`.
template <typename T>
static CLI::Option *addChoice(CLI::App &app, const std::string &name, std::string &text,
                              const std::map<std::string, T> &values, const std::string &help) {
  std::vector<std::string> names;
  for (const auto &[key, value] : values)
    names.push_back(key);
  return app.add_option(name, text, help)->check(CLI::IsMember(names))->capture_default_str();
}

namespace {
/// The options as text, before they are looked up.
struct Choices {
  std::string emit = "llmir";
  std::string phase;
  std::string activations = "int8";
  std::string kv = "f16";
  std::string timing;
  std::string quantize;
  std::string symmetry = "best";
  WeightQuantization weights;
  std::string levels;
  int64_t maxSeqLen = 0;
  KVCachePlanning kvCache;
};
} // namespace

static void declareQuantizationOptions(CLI::App &app, CommandLine &line, Choices &choices) {
  CLI::Option *quantize =
      addChoice(app, "--quantize", choices.quantize, kWeightStorages,
                "Round float weights to codes of 8 or 4 bits; weights that are quantised in the "
                "checkpoint stay, and so do embedding and head at 8 bits");
  app.add_option("--group-size", choices.weights.groupSize, "Weights that share a scale")
      ->check(CLI::IsMember({32, 64, 128}))
      ->capture_default_str()
      ->needs(quantize);
  addChoice(app, "--symmetry", choices.symmetry, kSymmetries,
            "Whether 4-bit groups have a minimum beside the scale")
      ->needs(quantize);
  app.add_option("--keep-weights", choices.weights.keep,
                 "Names of weights that keep their type, with * for any characters")
      ->delimiter(',')
      ->needs(quantize);
  app.add_flag("--verbose", line.verbose,
               "Print on standard error what became of each weight, and its error");
}

static void declareCacheOptions(CLI::App &app, CommandLine &line, Choices &choices) {
  app.add_option("--block-size", line.compile.import.blockSize, "Tokens a block of the KV cache")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->capture_default_str();
  CLI::Option *budget =
      app.add_option(
             "--kv-budget", choices.kvCache.budget,
             "Bytes that KV caches may take (2GB, 512MiB): chooses block size and, for each "
             "layer and for keys and values apart, the storage, --kv at most, and says why")
          ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
          ->type_name("BYTES");
  app.add_option("--kv-sequences", choices.kvCache.sequences,
                 "With --kv-budget: sequences that have to fit at a time")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->capture_default_str()
      ->needs(budget);
  app.add_option("--kv-context", choices.kvCache.context,
                 "With --kv-budget: tokens of each sequence (default: all that it may have)")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 30))
      ->needs(budget);
}

static void declareOptions(CLI::App &app, CommandLine &line, Choices &choices) {
  CompileOptions &compile = line.compile;
  app.footer(kExamples);
  app.set_version_flag("--version", getCompilerVersion());
  app.add_option("MODEL", compile.inputPath, "The checkpoint, a GGUF file")->required();
  app.add_option("-o,--output", compile.outputPath,
                 "The file to write (default: MODEL's name with the product's ending, in the "
                 "current folder; text goes to standard output)");
  addChoice(app, "--emit", choices.emit, kEmitKinds,
            "What to produce: llmir (one file for `llmir run`), exe (a program), so (the linked "
            "code alone), obj, asm, llvm, or mlir");
  std::vector<std::string> phases;
  for (Phase phase : allPhases())
    phases.push_back(phaseName(phase).str());
  app.add_option("--compile-to", choices.phase, "Stop after this phase and print its IR")
      ->check(CLI::IsMember(phases));
  addChoice(app, "--activations", choices.activations, kActivations,
            "How activations enter the matrix products");
  addChoice(app, "--kv", choices.kv, kKVTypes,
            "Storage of the KV cache; 8 and 4 bits have f16 scales by token (i4: by 32 channels)");
  declareQuantizationOptions(app, line, choices);
  app.add_option("--max-seq-len", choices.maxSeqLen,
                 "Tokens that a sequence may have (default: what the checkpoint says)")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 30));
  declareCacheOptions(app, line, choices);
  app.add_flag("--draft-trees", compile.import.takesTreeMasks,
               "Let steps check trees of draft tokens, not only chains (speculative decoding)");
  app.add_option("--world-size", compile.worldSize,
                 "Ranks among which the model is divided: each needs an artifact of its own")
      ->check(CLI::Range(int64_t(1), int64_t(1024)))
      ->capture_default_str();
  app.add_option("--rank", compile.rank, "The rank to compile, from 0")
      ->check(CLI::Range(int64_t(0), int64_t(1023)))
      ->capture_default_str();
  app.add_option("--triple", compile.triple, "LLVM target triple (default: this host's)");
  app.add_option("--mcpu", compile.processor,
                 "The processor to compile for, by LLVM's name (znver5, sapphirerapids, ...); "
                 "native: this host, which is the default");
  app.add_option("--features,--mcpu-features", compile.features,
                 "LLVM feature names that the code may use, separated by commas: beyond those of "
                 "--mcpu or, without one, beyond the triple's base");
  std::string levels;
  for (const CPULevel &level : cpuLevels())
    levels += (levels.empty() ? "" : ", ") + level.name.str();
  app.add_option("--emulate-features", compile.emulatedFeatures,
                 "Use the schedules of a level (" + levels +
                     ") or of features, with plain arithmetic for the instructions that the target "
                     "lacks: the same results, slowly; for tests");
  app.add_flag("--multiversion{all}", choices.levels,
               "Put versions for several levels into the file, of which the best that the host "
               "can run is taken when it is loaded: all, or =LEVEL,... of " +
                   levels);
  app.add_option("--cache-dir", compile.objectCacheFolder,
                 "Folder of objects of earlier compilations (default: $LLMIR_CACHE_DIR, or "
                 "llmir/objects in the user's cache folder)")
      ->type_name("FOLDER");
  app.add_flag("--no-cache", line.noCache, "Generate all code anew and keep none of it");
  app.add_flag("--profile", compile.profile,
               "Add what llmir-benchmark --profile needs; the step itself stays as it is");
  app.add_option("--threads", compile.numThreads, "Threads for code generation and packing")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  app.add_flag("--print-timing{table}", choices.timing,
               "Print the seconds of each step to standard error (=json: one line)")
      ->check(CLI::IsMember({"table", "json"}));
  app.add_flag("--print-statistics", line.printStatistics,
               "Print on standard error what the passes counted");
  app.add_flag("--print-ir-after-all", compile.printIRAfterAll, "Print the IR after each pass");
  app.add_flag("-q,--quiet", line.quiet, "No progress");
}

std::optional<CommandLine> CommandLine::parse(int argc, char **argv, int &exitCode) {
  CLI::App app(kDescription, "llmir-compile");
  CommandLine line;
  Choices choices;
  line.compile.numThreads = std::clamp(std::thread::hardware_concurrency(), 1u, 8u);
  declareOptions(app, line, choices);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    // CLI11 has a code for each kind of mistake; here they are all one.
    exitCode = app.exit(error) == 0 ? 0 : 2;
    return std::nullopt;
  }
  CompileOptions &compile = line.compile;
  for (llvm::StringRef level : llvm::split(choices.levels, ','))
    if (!level.trim().empty())
      compile.levels.push_back(level.trim().str());
  if (line.noCache)
    compile.objectCacheFolder.clear();
  else if (compile.objectCacheFolder.empty())
    compile.objectCacheFolder = ObjectCache::defaultFolder();
  compile.emit = kEmitKinds.at(choices.emit);
  compile.activations = kActivations.at(choices.activations);
  compile.import.kvElementType = kKVTypes.at(choices.kv);
  if (!choices.quantize.empty()) {
    choices.weights.storage = kWeightStorages.at(choices.quantize);
    choices.weights.symmetry = kSymmetries.at(choices.symmetry);
    choices.weights.verbose = line.verbose;
    compile.weights = choices.weights;
  }
  if (app.count("--kv-budget") != 0) {
    choices.kvCache.verbose = !line.quiet;
    if (app.count("--block-size") != 0)
      choices.kvCache.blockSizes = {compile.import.blockSize};
    compile.kvCache = choices.kvCache;
  }
  if (choices.maxSeqLen != 0)
    compile.import.maxSequenceLength = choices.maxSeqLen;
  if (!choices.phase.empty())
    compile.lastPhase = parsePhase(choices.phase);
  else if (compile.outputPath.empty())
    compile.outputPath = defaultOutput(compile.inputPath, compile.emit);
  if (!choices.timing.empty())
    line.timing = kTimings.at(choices.timing);
  return line;
}
