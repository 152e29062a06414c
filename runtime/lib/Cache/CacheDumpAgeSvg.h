// The parts of a cache's picture that show for how long blocks have been held: a map of the blocks
// coloured by age, and how many blocks there are of each age, by use.

#ifndef LLMIR_LIB_CACHE_CACHEDUMPAGESVG_H
#define LLMIR_LIB_CACHE_CACHEDUMPAGESVG_H

#include "SvgWriter.h"
#include "llmir/Cache/CacheDump.h"

#include <cstddef>

namespace llmir {

/// Where the blocks of a map are: cells of `size`, `columns` a row.
struct BlockGrid {
  double x = 0, y = 0, size = 1;
  size_t columns = 1;

  /// The box around blocks `first` to `end` - 1, which are in one row.
  SvgWriter::Box box(size_t first, size_t end) const {
    return {x + static_cast<double>(first % columns) * size,
            y + static_cast<double>(first / columns) * size,
            static_cast<double>(end - first) * size, size};
  }
  /// Where the next block would begin another box: at the end of a row and of the pool.
  bool endsRow(size_t end) const { return end % columns == 0; }
};

void drawAgeMap(SvgWriter &svg, const CacheDump &dump, const BlockGrid &grid);
/// Draws the table below `top`; returns where it ends.
double drawAgeTable(SvgWriter &svg, const CacheDump &dump, double left, double top, double width);

} // namespace llmir

#endif // LLMIR_LIB_CACHE_CACHEDUMPAGESVG_H
