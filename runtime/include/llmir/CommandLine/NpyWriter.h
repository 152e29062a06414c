// NpyWriter: writes a float32 matrix as a NumPy .npy file (version 1.0, little endian, C order),
// row by row, with a number of rows that is known only at the end. Writes only; nothing here reads
// .npy.

#ifndef LLMIR_COMMANDLINE_NPYWRITER_H
#define LLMIR_COMMANDLINE_NPYWRITER_H

#include "llmir/Base/AtomicFile.h"

#include <cstdint>
#include <span>
#include <string>

namespace llmir {

/// A matrix [rows, columns] on its way to a file. The file appears under its name when it is
/// complete (commit); a writer that is destroyed before leaves nothing behind. Move only, one
/// thread at a time.
class NpyWriter {
public:
  /// Starts a file at `path` for rows of `columns` > 0 numbers; errors are AtomicFile's.
  static StatusOr<NpyWriter> create(const std::string &path, int64_t columns);

  /// Appends one or more whole rows. ResourceExhausted when the disk is full.
  Status append(std::span<const float> rows);

  /// Writes the number of rows and gives the file its name. To be called once, last.
  Status commit();

  int64_t numRows() const { return numRows_; }

private:
  NpyWriter(AtomicFile file, int64_t columns) : file_(std::move(file)), columns_(columns) {}

  AtomicFile file_;
  int64_t columns_;
  int64_t numRows_ = 0;
};

} // namespace llmir

#endif // LLMIR_COMMANDLINE_NPYWRITER_H
