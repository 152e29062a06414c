// Puts an artifact together: ELFAppender places, WeightPacker fills, AtomicFile names.

#include "llmir/Compiler/ArtifactWriter.h"
#include "llmir/Base/MappedFile.h"
#include "llmir/Compiler/ELFAppender.h"
#include "llmir/Compiler/InterruptGuard.h"
#include "llvm/ADT/StringExtras.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace mlir::llm;
using ::llmir::AtomicFile;
using ::llmir::MappedFile;
using ::llmir::Status;
using ::llmir::StatusOr;

namespace {
/// A running XXH3-128.
class WeightHash {
public:
  WeightHash() : state(XXH3_createState(), XXH3_freeState) { XXH3_128bits_reset(state.get()); }

  void add(std::span<const uint8_t> bytes) {
    XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
  }
  /// 32 hex digits, high word first.
  std::string finish() const {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state.get()));
    return llvm::toHex(llvm::ArrayRef<uint8_t>(canonical.digest, sizeof(canonical.digest)),
                       /*LowerCase=*/true);
  }

private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state;
};
} // namespace

static Status writeWeights(ELFAppender &appender, const WeightPacker &weights,
                           ::llmir::Manifest &manifest, const WeightPackingOptions &packing) {
  WeightHash hash;
  auto sink = [&](std::span<const uint8_t> bytes) -> Status {
    LLMIR_RETURN_IF_ERROR(InterruptGuard::check());
    hash.add(bytes);
    return appender.write(bytes);
  };
  LLMIR_RETURN_IF_ERROR(weights.pack(sink, packing));
  manifest.weightBytes = weights.totalBytes();
  manifest.weightHash = hash.finish();
  return Status::ok();
}

Status mlir::llm::writeArtifact(const std::string &linkedPath, ArtifactContent content,
                                const ArtifactTarget &target, const WeightPackingOptions &packing) {
  StatusOr<MappedFile> linked = MappedFile::open(linkedPath);
  if (!linked)
    return linked.status();
  StatusOr<AtomicFile> file = AtomicFile::create(target.path, target.access);
  if (!file)
    return file.status();
  StatusOr<ELFAppender> appender = ELFAppender::create(*file, linked->bytes());
  if (!appender)
    return appender.status().withContext(linkedPath);
  LLMIR_RETURN_IF_ERROR(appender->beginSection(".llmir.tokenizer", 4096));
  LLMIR_RETURN_IF_ERROR(appender->write(content.tokenizer));
  LLMIR_RETURN_IF_ERROR(appender->beginSection(".llmir.weights", 4096));
  LLMIR_RETURN_IF_ERROR(writeWeights(*appender, *content.weights, content.manifest, packing));
  // The manifest comes last because it holds the hash of the weights.
  std::string manifest = formatManifest(content.manifest);
  LLMIR_RETURN_IF_ERROR(appender->beginSection(".llmir.manifest", 64));
  LLMIR_RETURN_IF_ERROR(
      appender->write({reinterpret_cast<const uint8_t *>(manifest.data()), manifest.size()}));
  LLMIR_RETURN_IF_ERROR(appender->finish());
  LLMIR_RETURN_IF_ERROR(InterruptGuard::check());
  return file->commit();
}
