// Tells a checkpoint from a compiled model, and prints what was asked for.

#include "llmir/CommandLine/InspectCommand.h"

#include "llmir/Base/MappedFile.h"
#include "llmir/CommandLine/ChatRenderer.h"
#include "llmir/CommandLine/Prompts.h"
#include "llmir/CommandLine/Terminal.h"
#include "llmir/Engine/LoadedModel.h"
#include "llmir/ModelFiles/Tokenizer.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <unistd.h>

namespace llmir {

void addInspectOptions(CLI::App &app, InspectOptions &options) {
  CLI::App *cache = app.add_subcommand(
      "cache", "Show what is in a checkpoint of a KV cache, or in a dump of a live one");
  // Where the subcommand writes; `cache` tells whether it was given.
  auto cacheOptions = std::make_shared<InspectCacheOptions>();
  addInspectCacheOptions(*cache, *cacheOptions);
  CLI::Option *model =
      app.add_option("model", options.path, "A GGUF checkpoint or a compiled model")
          ->type_name("MODEL");
  app.callback([cache, cacheOptions, model, &options] {
    if (*cache)
      options.cache = *cacheOptions;
    else if (!*model)
      throw CLI::RequiredError("model");
  });
  app.add_flag("--json", options.printsJSON, "Print one line of JSON");
  const char *group = "Tokenizer";
  app.add_option("--tokenize", options.tokenizeFile,
                 "Print the token ids of each NUL-separated record of FILE (-: standard input), a "
                 "line for each")
      ->group(group)
      ->type_name("FILE");
  app.add_flag("--parse-special", options.parsesSpecial,
               "With --tokenize: names of control tokens become those tokens")
      ->group(group);
  app.add_flag("--add-bos", options.addsBos,
               "With --tokenize: put the beginning-of-sequence token first")
      ->group(group);
  app.add_option("--render-chat", options.chatFile,
                 "Print what the chat template makes of FILE (-: standard input), a JSON array of "
                 "messages {\"role\": ..., \"content\": ...}")
      ->group(group)
      ->type_name("FILE");
}

/// The records of `text`. A NUL at the very end closes the last record and opens none.
static std::vector<std::string_view> splitRecords(std::string_view text) {
  std::vector<std::string_view> records;
  while (!text.empty()) {
    size_t end = std::min(text.find('\0'), text.size());
    records.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return records;
}

static Status tokenize(const InspectOptions &options, const GGUFFile &metadata,
                       OutputStream &output) {
  StatusOr<Tokenizer> tokenizer = Tokenizer::fromGGUF(metadata);
  if (!tokenizer)
    return tokenizer.status();
  StatusOr<std::string> text = readTextFile(*options.tokenizeFile);
  if (!text)
    return text.status();
  EncodeOptions encodeOptions;
  encodeOptions.addBos = options.addsBos ? AddBOS::Yes : AddBOS::No;
  encodeOptions.parseSpecial = options.parsesSpecial ? ParseSpecial::Yes : ParseSpecial::No;
  for (std::string_view record : splitRecords(*text)) {
    std::string line;
    for (int32_t token : tokenizer->encode(record, encodeOptions))
      line += (line.empty() ? "" : " ") + std::to_string(token);
    LLMIR_RETURN_IF_ERROR(output.write(line + "\n"));
  }
  return Status::ok();
}

static Status renderChat(const InspectOptions &options, const GGUFFile &metadata,
                         OutputStream &output) {
  StatusOr<Tokenizer> tokenizer = Tokenizer::fromGGUF(metadata);
  if (!tokenizer)
    return tokenizer.status();
  StatusOr<ChatRenderer> chat = ChatRenderer::create(metadata, *tokenizer);
  if (!chat)
    return chat.status();
  StatusOr<std::string> text = readTextFile(*options.chatFile);
  if (!text)
    return text.status();
  auto messages = nlohmann::ordered_json::parse(*text, nullptr, false);
  if (!messages.is_array())
    return invalidArgument(*options.chatFile + ": expected a JSON array of messages");
  StatusOr<std::string> rendered = chat->render(messages);
  return rendered ? output.write(*rendered) : rendered.status();
}

/// What was asked of the tokenizer; whether anything was.
static bool asksTokenizer(const InspectOptions &options) {
  return options.tokenizeFile || options.chatFile;
}

static Status answerTokenizer(const InspectOptions &options, const GGUFFile &metadata,
                              OutputStream &output) {
  if (options.tokenizeFile)
    LLMIR_RETURN_IF_ERROR(tokenize(options, metadata, output));
  if (options.chatFile)
    LLMIR_RETURN_IF_ERROR(renderChat(options, metadata, output));
  return Status::ok();
}

static Status inspectArtifact(const InspectOptions &options, const MappedFile &file,
                              OutputStream &output) {
  StatusOr<ELFSections> sections = ELFSections::read(file.bytes());
  if (!sections)
    return sections.status().withContext(options.path);
  if (asksTokenizer(options)) {
    StatusOr<ELFSection> section = sections->find(".llmir.tokenizer");
    if (!section)
      return section.status().withContext(options.path);
    StatusOr<GGUFFile> metadata = GGUFFile::parse(
        file.bytes().subspan(section->offset, section->size), options.path + ": tokenizer section");
    return metadata ? answerTokenizer(options, *metadata, output) : metadata.status();
  }
  StatusOr<Manifest> manifest = LoadedModel::readManifest(options.path);
  if (!manifest)
    return manifest.status();
  return output.write(options.printsJSON ? describeArtifactAsJSON(*manifest, sections->sections())
                                         : options.path + ": " +
                                               describeArtifact(*manifest, sections->sections()));
}

static Status inspectFile(const InspectOptions &options) {
  if ((options.parsesSpecial || options.addsBos) && !options.tokenizeFile)
    return invalidArgument("--parse-special and --add-bos need --tokenize");
  StatusOr<MappedFile> file = MappedFile::open(options.path);
  if (!file)
    return file.status();
  OutputStream output(STDOUT_FILENO);
  std::span<const uint8_t> bytes = file->bytes();
  std::string_view magic(reinterpret_cast<const char *>(bytes.data()),
                         std::min<size_t>(bytes.size(), 4));
  if (magic == "\x7f"
               "ELF")
    return inspectArtifact(options, *file, output);
  if (magic != "GGUF")
    return invalidArgument(options.path +
                           ": expected a GGUF checkpoint or a compiled model, but the file starts "
                           "like neither");
  StatusOr<GGUFFile> checkpoint = GGUFFile::open(options.path);
  if (!checkpoint)
    return checkpoint.status();
  if (asksTokenizer(options))
    return answerTokenizer(options, *checkpoint, output);
  return output.write(options.printsJSON ? describeGGUFAsJSON(*checkpoint)
                                         : describeGGUF(*checkpoint));
}

int inspectModel(const InspectOptions &options) {
  if (options.cache)
    return inspectCache(*options.cache);
  SignalScope signals;
  Status status = inspectFile(options);
  if (SignalScope::wasInterrupted())
    return ExitInterrupted;
  return status ? ExitSuccess : reportError(status);
}

} // namespace llmir
