// InspectCommand: `llmir inspect`: what is in a checkpoint or a compiled model, and what its
// tokenizer and chat template do; what is in a cache (InspectCache). Reads only; runs no model.

#ifndef LLMIR_COMMANDLINE_INSPECTCOMMAND_H
#define LLMIR_COMMANDLINE_INSPECTCOMMAND_H

#include "llmir/Base/Status.h"
#include "llmir/CommandLine/InspectCache.h"
#include "llmir/Engine/ELFSections.h"
#include "llmir/Engine/Manifest.h"
#include "llmir/ModelFiles/GGUF.h"

#include <optional>
#include <span>
#include <string>

namespace CLI {
class App;
} // namespace CLI

namespace llmir {

struct InspectOptions {
  std::string path; ///< A GGUF file or a compiled model.
  std::optional<std::string> tokenizeFile;
  std::optional<std::string> chatFile;
  bool parsesSpecial = false;
  bool addsBos = false;
  bool printsJSON = false;
  std::optional<InspectCacheOptions> cache; ///< Given: `llmir inspect cache`, and nothing else.
};

/// Declares the options on `app`, which writes them into `options` when it parses.
void addInspectOptions(CLI::App &app, InspectOptions &options);

/// Runs the command; returns the exit code.
int inspectModel(const InspectOptions &options);

/// Metadata, tensors and totals of a checkpoint, as a table for people.
std::string describeGGUF(const GGUFFile &file);
/// The same as a line of JSON; long arrays are cut to their first elements.
std::string describeGGUFAsJSON(const GGUFFile &file);

/// Manifest and sections of a compiled model, as a table for people.
std::string describeArtifact(const Manifest &manifest, std::span<const ELFSection> sections);
/// The same as a line of JSON.
std::string describeArtifactAsJSON(const Manifest &manifest, std::span<const ELFSection> sections);

} // namespace llmir

#endif // LLMIR_COMMANDLINE_INSPECTCOMMAND_H
