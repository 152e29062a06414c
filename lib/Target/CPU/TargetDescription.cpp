// Reads the host's features and turns feature lists into what LLVM's code generator takes.

#include "llmir/Target/CPU/TargetDescription.h"
#include "llmir/Target/CPU/CodeGeneration.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include <algorithm>

using namespace mlir::llm;
using ::llmir::StatusOr;

namespace {
/// A feature that compiled models can use, and one that implies it.
struct UsefulFeature {
  llvm::StringRef name;
  llvm::StringRef impliedBy;
};
} // namespace

static constexpr UsefulFeature kUsefulFeatures[] = {
    {"ssse3", "sse4.1"}, {"sse4.1", "sse4.2"}, {"sse4.2", "avx"},  {"popcnt", ""},
    {"avx", "avx2"},     {"f16c", ""},         {"fma", ""},        {"avx2", ""},
    {"bmi", ""},         {"bmi2", ""},         {"lzcnt", ""},      {"avxvnni", ""},
    {"avxvnniint8", ""}, {"avxifma", ""},      {"avx512f", ""},    {"avx512bw", ""},
    {"avx512cd", ""},    {"avx512dq", ""},     {"avx512vl", ""},   {"avx512vnni", ""},
    {"avx512bf16", ""},  {"avx512fp16", ""},   {"avx512vbmi", ""}, {"avx512vbmi2", ""},
    {"avx512ifma", ""},  {"amx-tile", ""},     {"amx-int8", ""},   {"amx-bf16", ""},
    {"neon", ""},        {"dotprod", ""},      {"i8mm", ""},       {"bf16", ""},
    {"fullfp16", ""},    {"sve", ""},
};

/// Keeps the useful features of `available`, sorted, without implied ones.
static std::vector<std::string> selectUseful(const llvm::StringMap<bool> &available) {
  std::vector<std::string> selected;
  for (const UsefulFeature &feature : kUsefulFeatures) {
    if (!available.lookup(feature.name))
      continue;
    if (feature.impliedBy.empty() || !available.lookup(feature.impliedBy))
      selected.push_back(feature.name.str());
  }
  std::sort(selected.begin(), selected.end());
  return selected;
}

TargetDescription TargetDescription::forHost() {
  TargetDescription target;
  target.triple = llvm::sys::getDefaultTargetTriple();
  target.features = selectUseful(llvm::sys::getHostCPUFeatures());
  return target;
}

bool TargetDescription::isHost(llvm::StringRef triple) {
  llvm::Triple host(llvm::sys::getDefaultTargetTriple());
  return triple.empty() || llvm::Triple(triple).getArch() == host.getArch();
}

/// `triple` with its parts in their places (`aarch64-linux-gnu` names no vendor), or the host's.
static std::string completeTriple(llvm::StringRef triple) {
  return triple.empty() ? llvm::sys::getDefaultTargetTriple() : llvm::Triple::normalize(triple);
}

/// Fails with the first of `features` that LLVM does not know for `triple`.
static ::llmir::Status checkFeatureNames(llvm::StringRef triple,
                                         const std::vector<std::string> &features) {
  initializeCodeGeneration();
  llvm::Triple parsed(triple);
  std::string error;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(parsed, error);
  if (!target)
    return ::llmir::unimplemented("no code generator for the triple '" + triple.str() +
                                  "': " + error);
  std::unique_ptr<llvm::MCSubtargetInfo> info(target->createMCSubtargetInfo(parsed, "", ""));
  for (const std::string &feature : features) {
    bool known = llvm::any_of(info->getAllProcessorFeatures(),
                              [&](const auto &entry) { return feature == entry.Key; });
    if (!known)
      return ::llmir::invalidArgument("unknown target feature '" + feature + "' for the triple '" +
                                      triple.str() + "'");
  }
  return ::llmir::Status::ok();
}

/// What LLVM's tables say of a processor of `triple`; null: no such target.
static std::unique_ptr<llvm::MCSubtargetInfo>
createSubtarget(llvm::StringRef triple, llvm::StringRef processor, llvm::StringRef features) {
  initializeCodeGeneration();
  llvm::Triple parsed(triple);
  std::string error;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(parsed, error);
  return std::unique_ptr<llvm::MCSubtargetInfo>(
      target ? target->createMCSubtargetInfo(parsed, processor, features) : nullptr);
}

StatusOr<TargetDescription> TargetDescription::forProcessor(llvm::StringRef triple,
                                                            llvm::StringRef processor) {
  if (processor == "native")
    return parse(triple, "native");
  TargetDescription target;
  target.triple = completeTriple(triple);
  LLMIR_RETURN_IF_ERROR(checkFeatureNames(target.triple, {}));
  // Asked of a subtarget without a processor: LLVM prints a warning when an unknown one is made.
  std::unique_ptr<llvm::MCSubtargetInfo> names = createSubtarget(target.triple, "", "");
  if (!names || !names->isCPUStringValid(processor))
    return ::llmir::invalidArgument("unknown processor '" + processor.str() + "' for the triple '" +
                                    target.triple + "'");
  std::unique_ptr<llvm::MCSubtargetInfo> info = createSubtarget(target.triple, processor, "");
  llvm::StringMap<bool> available;
  for (const auto &entry : info->getAllProcessorFeatures())
    available[entry.Key] = info->checkFeatures(std::string("+") + entry.Key);
  target.features = selectUseful(available);
  return target;
}

StatusOr<TargetDescription> TargetDescription::parse(llvm::StringRef triple, llvm::StringRef list,
                                                     llvm::StringRef processor) {
  TargetDescription target;
  target.triple = completeTriple(triple);
  if (!processor.empty()) {
    StatusOr<TargetDescription> named = forProcessor(triple, processor);
    if (!named)
      return named.status();
    target = *std::move(named);
  }
  llvm::SmallVector<llvm::StringRef> names;
  list.split(names, ',', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
  for (llvm::StringRef name : names) {
    name = name.trim();
    name.consume_front("+");
    if (name == "native") {
      TargetDescription host = forHost();
      target.features.insert(target.features.end(), host.features.begin(), host.features.end());
    } else if (!name.empty()) {
      target.features.push_back(name.str());
    }
  }
  // The least of AArch64, which x86 lacks: artifacts name it.
  if (llvm::Triple(target.triple).isAArch64())
    target.features.push_back("neon");
  std::sort(target.features.begin(), target.features.end());
  target.features.erase(std::unique(target.features.begin(), target.features.end()),
                        target.features.end());
  LLMIR_RETURN_IF_ERROR(checkFeatureNames(target.triple, target.features));
  return target;
}

static std::string joinFeatures(const std::vector<std::string> &features) {
  std::string list;
  for (const std::string &name : features)
    list += (list.empty() ? "+" : ",+") + name;
  return list;
}

bool TargetDescription::has(llvm::StringRef feature) const {
  if (llvm::is_contained(features, feature))
    return true;
  auto info = createSubtarget(triple, "", joinFeatures(features));
  return info && info->checkFeatures("+" + feature.str());
}

std::vector<std::string> TargetDescription::withImplied() const {
  std::vector<std::string> all = features;
  auto info = createSubtarget(triple, "", joinFeatures(features));
  if (!info)
    return all;
  // Only what the triple has may be asked for.
  for (const auto &entry : info->getAllProcessorFeatures()) {
    bool isUseful =
        llvm::any_of(kUsefulFeatures, [&](const auto &useful) { return useful.name == entry.Key; });
    if (isUseful && !llvm::is_contained(all, entry.Key) &&
        info->checkFeatures(std::string("+") + entry.Key))
      all.push_back(entry.Key);
  }
  std::sort(all.begin(), all.end());
  return all;
}

std::string TargetDescription::codegenFeatures() const {
  std::string list = joinFeatures(features);
  if (!llvm::Triple(triple).isX86())
    return list;
  // The first processors with AVX-512 slow down when they use all of it; those with its byte dot
  // products do not.
  if (has("avx512f"))
    list += has("avx512vnni") ? ",-prefer-256-bit" : ",+prefer-256-bit";
  return list;
}

llvm::StringRef TargetDescription::codegenCPU() const {
  return llvm::Triple(triple).getArch() == llvm::Triple::x86_64 ? "x86-64" : "generic";
}

llvm::StringRef TargetDescription::tuningCPU() const {
  if (llvm::Triple(triple).getArch() != llvm::Triple::x86_64)
    return "generic";
  return has("avx512f") ? "x86-64-v4" : has("avx2") ? "x86-64-v3" : "x86-64";
}
