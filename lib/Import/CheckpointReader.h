// Typed access to a checkpoint's metadata and tensors for the builders: every answer is either
// usable or comes with a diagnostic that names the file and the field. Also keeps account of which
// tensors were used, because a surplus tensor means a model that the builder does not know.

#ifndef LLMIR_LIB_IMPORT_CHECKPOINTREADER_H
#define LLMIR_LIB_IMPORT_CHECKPOINTREADER_H

#include "llmir/ModelFiles/GGUF.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringSet.h"

#include <optional>

namespace mlir::llm {

/// A checkpoint seen by a builder. The file must outlive it.
class CheckpointReader {
public:
  CheckpointReader(MLIRContext *context, const ::llmir::GGUFFile &file);

  MLIRContext *getContext() const { return context; }
  const ::llmir::GGUFFile &getFile() const { return file; }
  /// The file as a location.
  Location getLoc() const { return loc; }
  /// An error whose message starts with the file's name.
  InFlightDiagnostic emitError() const;
  /// The reason why a call of the format's reader failed, as an error.
  void emitError(const ::llmir::Status &status) const;

  /// The metadata value `key`, which must be of the kind asked for (integers below 2^31);
  /// nothing, without a diagnostic, when it is absent.
  FailureOr<std::optional<int64_t>> findInteger(StringRef key) const;
  FailureOr<std::optional<double>> findFloat(StringRef key) const;
  FailureOr<std::optional<std::string>> findString(StringRef key) const;
  /// Elements of the array `key`, if there is such an array.
  std::optional<int64_t> findArrayLength(StringRef key) const;
  /// The metadata value `key`, which must be there, and positive.
  FailureOr<int64_t> getPositiveInteger(StringRef key) const;
  FailureOr<double> getPositiveFloat(StringRef key) const;

  bool hasTensor(StringRef name) const;
  /// The shape of tensor `name`, outermost dimension first.
  FailureOr<SmallVector<int64_t>> getShape(StringRef name) const;
  /// The weight type of a matrix of exactly `rows` by `columns`; marks the tensor as used.
  FailureOr<Type> getMatrixType(StringRef name, int64_t rows, int64_t columns);
  /// The weight type of an f32 vector of exactly `elements`; marks the tensor as used.
  FailureOr<Type> getVectorType(StringRef name, int64_t elements);
  /// Fails with the name of the first tensor that nothing asked for.
  LogicalResult checkAllTensorsUsed() const;

private:
  FailureOr<const ::llmir::GGUFTensor *> checkTensor(StringRef name, ArrayRef<int64_t> shape);

  MLIRContext *context;
  const ::llmir::GGUFFile &file;
  Location loc;
  llvm::StringSet<> used;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_IMPORT_CHECKPOINTREADER_H
