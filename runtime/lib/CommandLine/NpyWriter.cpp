// The .npy header has a fixed size here, so that the number of rows can be written into it at the
// end.

#include "llmir/CommandLine/NpyWriter.h"

#include <bit>
#include <cassert>

namespace llmir {

static_assert(std::endian::native == std::endian::little, "rows are written as they lie in memory");

/// Magic, version 1.0, the header's length, then a Python dictionary padded to 128 bytes in all.
static std::string makeHeader(int64_t numRows, int64_t numColumns) {
  constexpr size_t preambleSize = 10;
  constexpr size_t totalSize = 128;
  std::string header("\x93NUMPY\x01\x00\x00\x00", preambleSize);
  header[8] = static_cast<char>(totalSize - preambleSize);
  header += "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(numRows) + ", " +
            std::to_string(numColumns) + "), }";
  assert(header.size() < totalSize && "two 64-bit numbers fit");
  header.resize(totalSize - 1, ' ');
  return header + '\n';
}

StatusOr<NpyWriter> NpyWriter::create(const std::string &path, int64_t columns) {
  StatusOr<AtomicFile> file = AtomicFile::create(path);
  if (!file)
    return file.status();
  LLMIR_RETURN_IF_ERROR(file->write(makeHeader(0, columns)));
  return NpyWriter(std::move(*file), columns);
}

Status NpyWriter::append(std::span<const float> rows) {
  assert(rows.size() % static_cast<size_t>(columns_) == 0 && "expected whole rows");
  numRows_ += static_cast<int64_t>(rows.size()) / columns_;
  return file_.write(std::span(reinterpret_cast<const uint8_t *>(rows.data()), rows.size_bytes()));
}

Status NpyWriter::commit() {
  std::string header = makeHeader(numRows_, columns_);
  LLMIR_RETURN_IF_ERROR(file_.overwrite(
      0, std::span(reinterpret_cast<const uint8_t *>(header.data()), header.size())));
  return file_.commit();
}

} // namespace llmir
