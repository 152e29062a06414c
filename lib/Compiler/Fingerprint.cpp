// Computes fingerprints with OpenSSL's SHA-256.

#include "llmir/Compiler/Fingerprint.h"
#include "llvm/ADT/StringExtras.h"
#include <memory>
#include <openssl/evp.h>

using namespace mlir::llm;
using ::llmir::GGUFFile;
using ::llmir::GGUFTensor;
using ::llmir::StatusOr;

namespace {
/// A running SHA-256 that remembers whether OpenSSL refused anything.
class Digest {
public:
  Digest() : context(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    good = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  }

  void add(const void *bytes, uint64_t size) {
    addRaw(&size, sizeof(size));
    addRaw(bytes, size);
  }
  void add(llvm::StringRef text) { add(text.data(), text.size()); }

  /// The 64 hex digits; empty when something failed.
  std::string finish() {
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!good || EVP_DigestFinal_ex(context.get(), bytes, &size) != 1)
      return "";
    return llvm::toHex(llvm::ArrayRef<uint8_t>(bytes, size), /*LowerCase=*/true);
  }

private:
  void addRaw(const void *bytes, size_t size) {
    good = good && EVP_DigestUpdate(context.get(), bytes, size) == 1;
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context;
  bool good = false;
};
} // namespace

StatusOr<std::string> mlir::llm::computeFingerprint(const GGUFFile &file,
                                                    llvm::ArrayRef<std::string> settings) {
  Digest digest;
  digest.add(file.metadataBytes().data(), file.metadataBytes().size());
  for (const GGUFTensor &tensor : file.tensors()) {
    digest.add(tensor.name);
    digest.add(::llmir::describe(tensor.type).name);
    digest.add(tensor.shape.data(), tensor.shape.size() * sizeof(int64_t));
    digest.add(tensor.data.data(), tensor.data.size());
  }
  for (const std::string &setting : settings)
    digest.add(setting);
  std::string hex = digest.finish();
  if (hex.empty())
    return ::llmir::internalError("OpenSSL cannot compute a SHA-256");
  return hex;
}
